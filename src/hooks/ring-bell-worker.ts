// SPDX-License-Identifier: MIT
/** Entry of the thread that sleeps on a ring for a thread that must not block: see event-loop.ts. */
import { parentPort, workerData, type MessagePort } from 'node:worker_threads';

import { RingWaiter } from 'libbpf-ts';

import { BELL, type RingBellData } from './event-loop';

/** Longest wait in milliseconds: Node waits for this thread at exit, and cannot interrupt a system call. */
const LOOK_MS = 1000;

function main(port: MessagePort, { ringFd, words, sleeper }: RingBellData): void {
  const bell = new Int32Array(words);
  using waiter = new RingWaiter(ringFd);
  port.postMessage(waiter.wakeFd);
  // `quit` is set before `armed` is set for the last time, so this thread sees one or the other.
  while (Atomics.load(bell, BELL.quit) === 0) {
    Atomics.wait(bell, BELL.armed, 0);
    const ready = waiter.wait(LOOK_MS);
    if ((ready & RingWaiter.RING) !== 0 && Atomics.compareExchange(bell, BELL.armed, 1, 0) === 1)
      sleeper.postMessage('look');
  }
  sleeper.close();
}

if (!parentPort) throw new Error('ring-bell-worker runs as a worker thread');
main(parentPort, workerData as RingBellData);
