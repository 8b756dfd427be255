// SPDX-License-Identifier: MIT
/** Finishes what pollers had under way when they were killed, so that others can begin. */
import { MappedMemory, RingBuffer } from 'libbpf-ts';

import { queuesOf, type Datapath, type QueueMaps } from '../datapath/datapath';
import { BATCH, CONTROL } from '../datapath/layout';
import { QueueControls } from '../datapath/queue-controls';
import { countLostWake, queueTurns, recoverBatch, type QueueTurns } from '../datapath/recover';
import { SharedWords } from '../datapath/shared-memory';

/** Longer than a program takes from one change of the shared words to the next. */
const PROGRAM_MS = 1;

export function finishBatches({ maps }: Datapath): void {
  using controls = new QueueControls(maps.control);
  const before = controls.queues.map(queueTurns);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PROGRAM_MS);
  for (const each of queuesOf(maps)) {
    const control = controls.queues[each.queue] as SharedWords;
    countLostWake(control, before[each.queue] as QueueTurns);
    finishBatch(each, control);
  }
}

function finishBatch({ queue, ring: map, batch }: QueueMaps, control: SharedWords): void {
  using memory = MappedMemory.map({ fd: batch.fd, length: (queue + 1) * BATCH.size });
  using ring = new RingBuffer(map);
  recoverBatch({ log: new SharedWords(memory.buffer, queue * BATCH.size, BATCH.size), control, ring: ring.reader });
  // What the last poller had armed for itself; the new one arms when it sleeps.
  control.set32(CONTROL.armed, 0);
}
