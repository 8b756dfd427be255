// SPDX-License-Identifier: MIT
/** The thread that polls: takes in interfaces that the main thread has opened, and runs them until the last has ended. */
import { parentPort, receiveMessageOnPort, workerData, type MessagePort } from 'node:worker_threads';

import { RingWaiter, trackMappings } from 'libbpf-ts';

import { allowedCpus, bindToCpu } from '../native/libc';
import { PollGroup } from './poll-group';
import { openInterface, type PolledInterface, type PollRequest } from './polled-interface';
import type { PollLoop } from './poll-loop';

export interface PollWorkerData {
  /** Any number that differs between threads: spreads them over the CPUs. */
  spread: number;
  /** One word, changed and notified by the main thread after each message. */
  bell: SharedArrayBuffer;
  /** Where the thread writes down what it maps, for whoever outlives it. */
  mappings: SharedArrayBuffer;
}

/** What the main thread says: poll this, too; or end, when nothing is polled any more. */
export type PollOrder = PollRequest | 'quit';

export type PollWorkerMessage =
  | { kind: 'started'; wakeFd: number }
  | { kind: 'ready' | 'queue' | 'stalled' | 'ended'; key: string }
  | { kind: 'failed'; key: string; error: Error };

/** Flag of the waiter for every ring; which one it was, each loop sees by itself. */
const RING_READY = RingWaiter.RING;

function main(port: MessagePort, { spread, bell, mappings }: PollWorkerData): void {
  trackMappings(mappings);
  // As a NIC's interrupt is bound to a CPU: frames wait in the backlog of the CPU that sent them
  // (netif_rx), so a poller that moved in the middle of a flow would overtake its own frames.
  const cpus = allowedCpus();
  bindToCpu(cpus[spread % cpus.length] as number);
  using waiter = new RingWaiter();
  const open = new Map<PollLoop, PolledInterface>();
  const say = (message: PollWorkerMessage): void => port.postMessage(message);

  const takeIn = (request: PollRequest): void => {
    const { key } = request;
    try {
      const polled = openInterface(request, () => say({ kind: 'queue', key }), () => say({ kind: 'stalled', key }));
      waiter.add(request.ringFd, RING_READY);
      open.set(polled.loop, polled);
      group.add(polled.loop);
      say({ kind: 'ready', key });
    } catch (error) {
      say({ kind: 'failed', key, error: error as Error });
    }
  };
  const onBell = (): void => {
    // The thread never returns to its event loop, so messages are fetched.
    for (let got = receiveMessageOnPort(port); got; got = receiveMessageOnPort(port)) {
      const order = got.message as PollOrder;
      if (order === 'quit') group.quit();
      else takeIn(order);
    }
  };
  const onEnded = (loop: PollLoop): void => {
    const polled = open.get(loop) as PolledInterface;
    open.delete(loop);
    waiter.remove(polled.ringFd);
    polled.close();
    say({ kind: 'ended', key: polled.key });
  };

  const group = new PollGroup({ waiter, bell: new Int32Array(bell), onBell, onEnded });
  say({ kind: 'started', wakeFd: waiter.wakeFd });
  onBell();
  group.run();
}

if (!parentPort) throw new Error('poll-thread runs as a worker thread');
main(parentPort, workerData as PollWorkerData);
