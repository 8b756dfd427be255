// SPDX-License-Identifier: MIT
/**
 * Finishes the batch that a killed poller left half-way. The kernel set msg_len of each message
 * as it sent it, so the marks in the pinned batch log say how far sendmmsg came. The counters are
 * set from those before the batch, not added to: done twice, it gives the same.
 */
import { MARK_REFUSED, messageOf } from './batch';
import { BATCH, CONTROL, VNET_HDR_BYTES } from './layout';
import type { SharedWords } from './shared-memory';

export interface RecoverParts {
  /** struct batch, mapped. */
  log: SharedWords;
  control: SharedWords;
  ring: { lease(budget: number): number; commit(count: number): void; consumerPosition(): number };
}

/** Returns how many frames of the batch were done with, or 0 if none was under way. */
export function recoverBatch({ log, control, ring }: RecoverParts): number {
  const count = log.get32(BATCH.count);
  if (count === 0) return 0;
  let done = 0;
  let sent = 0;
  let bytes = 0;
  for (let i = 0; i < count; i++) {
    const { mark, records, headerBytes } = messageOf(log, i);
    if (mark === 0) break;
    done += records;
    if (mark === MARK_REFUSED) continue;
    sent += records;
    // packet_snd (net/packet/af_packet.c) returns the length of the packet and its virtio_net_hdr.
    bytes += mark - VNET_HDR_BYTES + (records - 1) * headerBytes;
  }
  if (ring.consumerPosition() === log.get64(BATCH.start)) {
    ring.lease(BATCH.max);
    ring.commit(done);
  }
  control.set64(CONTROL.drained, log.get64(BATCH.drained) + done);
  control.set64(CONTROL.rxPackets, log.get64(BATCH.rxPackets) + sent);
  control.set64(CONTROL.rxBytes, log.get64(BATCH.rxBytes) + bytes);
  log.set32(BATCH.count, 0);
  return done;
}
