// SPDX-License-Identifier: MIT
/**
 * Who polls an interface: the thread that polls all plain ones of this process, or, with a hook, a
 * thread of its own. A change hands it over between two polls; meanwhile frames wait in the ring.
 */
import type { BpfMap } from 'libbpf-ts';

import { VnetError } from '../errors';
import { COMMAND, STOP } from '../datapath/poll-loop';
import type { PollRequest } from '../datapath/polled-interface';
import { PollerThread, type Polled } from '../datapath/poller-thread';
import type { OnHookError } from '../hooks/contract';
import type { SteppedFrame } from '../hooks/hook-orders';
import { HookThread, type HookEvents } from '../hooks/hook-thread';
import { trustedHookFile } from '../hooks/trust';
import { duplicateFd } from '../native/libc';

export interface HookChoice {
  file: string;
  onError: OnHookError;
}

export interface PollingParts {
  interface: string;
  /** The interface's Ethernet address. */
  mac: () => string;
  /** Of each queue. */
  requests: readonly Omit<PollRequest, 'command'>[];
  pollDelayUs: number;
  /** Whether a qdisc stands between the socket and the interface from the beginning. */
  impaired: boolean;
  /** Differs between processes: spreads them over the CPUs. */
  spread: number;
  events: Omit<HookEvents, 'stalled'> & { stalled: (queue: number) => void };
  /** Another hook is in place, or none. */
  hookChanged: (file: string | null) => void;
  /** Finishes a batch that a thread has left half-way. */
  finishBatches: () => void;
  /** Counts an error of a hook whose thread can no longer do it. */
  countError: () => void;
}

/** Any number that differs between attachments. */
export const spreadOf = (attachment: { id: string }): number => parseInt(attachment.id, 16);

export class Polling {
  private plain: Polled | undefined;
  private hooked: HookThread | undefined;
  private choice: HookChoice | null = null;
  private linkDown = false;
  private impaired: boolean;
  private fates: BpfMap | null = null;
  private stopping = false;
  /** Changes happen one after the other. */
  private last: Promise<unknown> = Promise.resolve();

  constructor(private readonly parts: PollingParts) {
    this.impaired = parts.impaired;
  }

  /** The hook in place, or null. */
  get hook(): HookChoice | null {
    return this.choice;
  }

  /** Begins to poll; resolves when the interface is polled. */
  async start(hook: HookChoice | null): Promise<void> {
    if (hook) await this.use(hook);
    else this.plain = await this.pollPlain();
  }

  /** Puts a hook in place, or none. If it cannot be loaded, everything stays as it was. */
  use(hook: HookChoice | null): Promise<void> {
    return this.inTurn(() => this.change(hook));
  }

  inject(frame: Uint8Array): Promise<void> {
    return this.inTurn(async () => {
      await (await this.thread()).order({ kind: 'inject', frame });
    });
  }

  /** Lets frames wait in the ring until resume(). */
  pause(): Promise<void> {
    return this.inTurn(async () => {
      await (await this.thread()).order({ kind: 'pause' });
    });
  }

  /** The next frame in the ring, while paused; null if there is none. */
  peek(): Promise<SteppedFrame | null> {
    return this.inTurn(async () => (await this.thread()).order({ kind: 'peek' }));
  }

  /** Deals with it: 'pass' leaves it to the hook, bytes take its place. False if there is none. */
  step(verdict: 'pass' | 'drop' | Uint8Array): Promise<boolean> {
    return this.inTurn(async () => (await this.thread()).order({ kind: 'step', verdict }));
  }

  resume(): Promise<void> {
    return this.inTurn(async () => {
      await this.hooked?.order({ kind: 'resume' });
      if (this.choice === null) await this.change(null);
    });
  }

  setLinkDown(down: boolean): void {
    this.linkDown = down;
    (this.hooked ?? this.plain)?.command(COMMAND.linkDown, down ? 1 : 0);
  }

  /** Whether a qdisc stands between the socket and the interface. */
  setImpaired(impaired: boolean): Promise<void> {
    return this.inTurn(() => {
      this.impaired = impaired;
      (this.hooked ?? this.plain)?.command(COMMAND.impaired, impaired ? 1 : 0);
      return Promise.resolve();
    });
  }

  /** Has whoever polls tell a recorder what becomes of each frame: through a map of createFates(), borrowed; null ends it. */
  setFates(fates: BpfMap | null): Promise<void> {
    return this.inTurn(() => {
      if (fates) this.onlyQueue('a recording');
      this.fates = fates;
      this.tell(this.hooked ?? this.plain);
      return Promise.resolve();
    });
  }

  /** The poller gets a descriptor of its own, which it closes. */
  private tell(polled: Polled | undefined): void {
    polled?.tell(this.fates ? duplicateFd(this.fates.fd) : 0);
  }

  /** Ends the loop, after it has delivered what is in the ring. It does not wait for its turn: a hook may hang. */
  async stop(): Promise<void> {
    this.stopping = true;
    await (this.hooked ?? this.plain)?.stop(STOP.deliver);
  }

  private async change(hook: HookChoice | null): Promise<void> {
    if (hook === null) return this.leaveThread();
    const file = trustedHookFile(hook.file);
    const use = (thread: HookThread): Promise<unknown> => thread.order({ kind: 'use', file, onError: hook.onError });
    if (this.hooked) await use(this.hooked);
    else await this.enterThread(use);
    this.choose({ ...hook, file });
  }

  /** The interface's own thread; without a hook it lets all frames pass. */
  private async thread(): Promise<HookThread> {
    return this.hooked ?? (await this.enterThread(() => Promise.resolve()));
  }

  /** Only when the thread is prepared is the interface taken from whoever polls it. */
  private async enterThread(prepare: (thread: HookThread) => Promise<unknown>): Promise<HookThread> {
    const { interface: name, mac, spread, events, pollDelayUs } = this.parts;
    const request = this.onlyQueue('a hook');
    const died = (error: Error): void => void this.inTurn(() => this.threadDied(thread, error));
    const thread: HookThread = new HookThread({ interface: name, mac: mac(), spread }, { ...events, stalled: () => events.stalled(0), died });
    try {
      await prepare(thread);
      await this.plain?.stop(STOP.leave);
      this.plain = undefined;
      await thread.poll(request, { pollDelayUs, linkDown: this.linkDown, impaired: this.impaired });
      if (this.fates) this.tell(thread);
      return (this.hooked = thread);
    } catch (error) {
      await thread.stop();
      if (!this.plain) await this.leaveThread();
      throw error;
    }
  }

  private async leaveThread(): Promise<void> {
    this.choose(null);
    if (this.plain) return;
    await this.hooked?.stop(STOP.leave);
    this.hooked = undefined;
    // A hook that did not return was ended with its thread, perhaps in the middle of a batch.
    this.parts.finishBatches();
    this.plain = await this.pollPlain();
    this.setLinkDown(this.linkDown);
  }

  /** A hook has ended its own thread, or used up its memory: the loop goes on without it. */
  private async threadDied(thread: HookThread, error: Error): Promise<void> {
    if (this.hooked !== thread || this.stopping) return;
    this.parts.countError();
    this.parts.events.error(`hook ${this.choice?.file ?? ''}: ${error.message}; the loop goes on without it`);
    await this.leaveThread();
  }

  private choose(hook: HookChoice | null): void {
    if (hook?.file !== this.choice?.file) this.parts.hookChanged(hook?.file ?? null);
    this.choice = hook;
  }

  private async pollPlain(): Promise<Polled> {
    const { requests, pollDelayUs, spread, events } = this.parts;
    const conditions = { pollDelayUs, linkDown: this.linkDown, impaired: this.impaired };
    const begun = await Promise.allSettled(
      requests.map((request) => PollerThread.poll(request, conditions, spread, { ...events, stalled: () => events.stalled(request.queue) })),
    );
    const queues = begun.filter((result) => result.status === 'fulfilled').map(({ value }) => value);
    const failed = begun.find((result) => result.status === 'rejected');
    const polled = allOf(queues);
    if (failed) {
      await polled.stop(STOP.leave);
      throw failed.reason;
    }
    if (this.fates) this.tell(polled);
    return polled;
  }

  /** Throws if there are several: what has to see all frames, one after the other, works with one alone. */
  private onlyQueue(what: string): Omit<PollRequest, 'command'> {
    const { requests, interface: name } = this.parts;
    if (requests.length > 1) throw new VnetError('UNSUPPORTED', `${what} on ${name}`, `it has ${requests.length} queues, and ${what} takes one`, { hint: `vnet-bpf attach ${name} --replace, without --queues` });
    return requests[0] as Omit<PollRequest, 'command'>;
  }

  private inTurn<T>(body: () => Promise<T>): Promise<T> {
    const result = this.last.then(body, body);
    this.last = result.catch(() => undefined);
    return result;
  }
}

/** The queues of an interface as one. Only a single one tells a recorder. */
function allOf(queues: readonly Polled[]): Polled {
  return {
    command: (word, value) => queues.forEach((queue) => queue.command(word, value)),
    tell: (fatesFd) => queues.forEach((queue) => queue.tell(fatesFd)),
    stop: async (how) => void (await Promise.all(queues.map((queue) => queue.stop(how)))),
  };
}
