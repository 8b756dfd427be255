// SPDX-License-Identifier: MIT
/** The control words of all queues of an interface, seen from the outside of their pollers. */
import { MappedMemory, type BpfMap } from 'libbpf-ts';

import { CONTROL } from './layout';
import { GATE_STOPPED, heldFrames, type HeldFrames } from './queue-gate';
import { SharedWords } from './shared-memory';

export class QueueControls implements Disposable {
  readonly queues: readonly SharedWords[];
  private readonly memory: MappedMemory;

  /** Maps the map `control`, which stays the caller's and may be closed. */
  constructor({ fd, maxEntries }: BpfMap) {
    this.memory = MappedMemory.map({ fd, length: maxEntries * CONTROL.size });
    this.queues = Array.from({ length: maxEntries }, (_, queue) => new SharedWords(this.memory.buffer, queue * CONTROL.size, CONTROL.size));
  }

  /** The first queue's: for what is counted only there. */
  get first(): SharedWords {
    return this.queues[0] as SharedWords;
  }

  /** A counter, over all queues. */
  sum(offset: number): number {
    return this.queues.reduce((total, queue) => total + queue.get64(offset), 0);
  }

  max(offset: number): number {
    return Math.max(...this.queues.map((queue) => queue.get64(offset)));
  }

  /** Whether one of them is stopped. */
  get stopped(): boolean {
    return this.queues.some((queue) => (queue.get32(CONTROL.gate) & GATE_STOPPED) !== 0);
  }

  /** Held frames, in all waiting rooms and on the way to them. */
  get held(): HeldFrames {
    const all = { now: 0, total: 0, dropped: 0, added: 0 };
    for (const { now, total, dropped, added } of this.queues.map(heldFrames)) {
      all.now += now;
      all.total += total;
      all.dropped += dropped;
      all.added += added;
    }
    return all;
  }

  close(): void {
    this.memory.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
