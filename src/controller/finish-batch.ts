// SPDX-License-Identifier: MIT
/** Finishes what a poller had under way when it was killed, so that another can begin. */
import { MappedMemory, RingBuffer } from 'libbpf-ts';

import type { Datapath } from '../datapath/datapath';
import { BATCH, CONTROL } from '../datapath/layout';
import { recoverBatch } from '../datapath/recover';
import { SharedWords } from '../datapath/shared-memory';

export function finishBatch({ maps }: Datapath): void {
  using control = MappedMemory.map({ fd: maps.control.fd, length: CONTROL.size });
  const batchBytes = BATCH.messages + BATCH.max * BATCH.messageBytes;
  using batch = MappedMemory.map({ fd: maps.batch.fd, length: batchBytes });
  using ring = new RingBuffer(maps.ring);
  const words = new SharedWords(control.buffer, 0, CONTROL.size);
  recoverBatch({ log: new SharedWords(batch.buffer, 0, batchBytes), control: words, ring: ring.reader });
  // What the last poller had armed for itself; the new one arms when it sleeps.
  words.set32(CONTROL.armed, 0);
}
