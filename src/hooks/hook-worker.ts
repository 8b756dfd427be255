// SPDX-License-Identifier: MIT
/** The thread of one hook: polls one interface, and lets the hook judge its frames. */
import { parentPort, workerData, type MessagePort } from 'node:worker_threads';

import { trackMappings } from 'libbpf-ts';

import { VnetError } from '../errors';
import { allowedCpus, bindToCpu } from '../native/libc';
import { keepNodeQuiet } from '../native/node-warnings';
import { HookHost } from './hook-host';
import { HookLoop } from './hook-loop';
import type { HookAnswers, HookOrder, HookReply, HookRequest, HookWorkerData, SentError } from './hook-orders';
import { openHookedInterface, type HookedInterface } from './hooked-interface';
import { Injections } from './injections';
import { loadHook } from './load';
import { Reports } from './reports';
import type { BellRope } from './ring-bell';

class HookWorker {
  private readonly injections = new Injections();
  private readonly reports = new Reports((text) => this.say({ kind: 'error', text }));
  private readonly host: HookHost;
  private polled: HookedInterface | undefined;
  private loop: HookLoop | undefined;
  /** Errors from before there was a counter. */
  private uncounted = 0;
  private readonly vitals: Int32Array;

  constructor(
    private readonly port: MessagePort,
    data: HookWorkerData,
  ) {
    this.vitals = new Int32Array(data.vitals);
    this.host = new HookHost({
      interface: data.interface,
      mac: data.mac,
      injections: this.injections,
      count: () => (this.polled ? this.polled.countError() : void this.uncounted++),
      report: (text) => this.reports.add(text),
      log: (text) => this.say({ kind: 'log', text }),
      wake: () => this.loop?.look(),
    });
    // What a hook leaves behind in Node's own timers and promises must not end the thread.
    process.on('uncaughtException', (error) => this.host.failedLater(error));
    process.on('unhandledRejection', (reason) => this.host.failedLater(reason));
  }

  async receive(request: HookRequest): Promise<void> {
    if (request === 'look') return this.loop?.look();
    const { id, order } = request;
    try {
      const value = await this.carryOut(order);
      this.say({ kind: 'answer', id, value });
    } catch (error) {
      this.say({ kind: 'failed', id, error: sendable(error) });
    }
  }

  private async carryOut(order: HookOrder): Promise<HookAnswers[HookOrder['kind']]> {
    switch (order.kind) {
      case 'use': {
        const hook = order.file === null ? null : await loadHook(order.file);
        this.host.onError = order.onError;
        this.host.use(hook);
        return hook?.name ?? null;
      }
      case 'poll':
        this.poll(order);
        return null;
      case 'inject':
        this.injections.add(order.frame);
        this.loop?.look();
        return null;
      case 'pause':
        this.loop?.pause();
        return null;
      case 'resume':
        this.loop?.resume();
        return null;
      case 'peek':
        return this.polled?.poller.peek() ?? null;
      case 'step':
        return this.polled?.poller.step(order.verdict) ?? false;
    }
  }

  private poll({ request, bell, deadly }: HookOrder & { kind: 'poll' }): void {
    const polled = openHookedInterface(request, { host: this.host, injections: this.injections, vitals: this.vitals, deadly }, {
      queue: () => this.say({ kind: 'queue' }),
      stalled: () => this.say({ kind: 'stalled' }),
    });
    this.polled = polled;
    for (; this.uncounted > 0; this.uncounted--) polled.countError();
    const loop = new HookLoop(polled.loop, new Int32Array(bell.words), this.vitals, () => this.end(polled, bell), (error) => this.giveUp(error));
    bell.port.on('message', () => loop.look());
    this.loop = loop;
  }

  private end(polled: HookedInterface, bell: BellRope): void {
    this.host.use(null);
    this.polled = undefined;
    polled.close();
    this.reports.flush();
    this.say({ kind: 'ended' });
    bell.port.close();
    this.port.close(); // nothing keeps the thread then but what the hook has left behind
  }

  /** The main thread goes on without this one. */
  private giveUp(error: unknown): never {
    console.error(error);
    process.exit(1);
  }

  private say(reply: HookReply): void {
    this.port.postMessage(reply);
  }
}

function sendable(error: unknown): SentError {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  const known = error instanceof VnetError;
  return { code: known ? error.code : 'INTERNAL', message, hint: known ? error.hint : undefined, stack };
}

if (!parentPort) throw new Error('hook-worker runs as a worker thread');
keepNodeQuiet();
const data = workerData as HookWorkerData;
trackMappings(data.mappings);
// As the plain poller: on the CPU on which it would be.
const cpus = allowedCpus();
bindToCpu(cpus[data.spread % cpus.length] as number);
const worker = new HookWorker(parentPort, data);
parentPort.on('message', (request: HookRequest) => void worker.receive(request));
