// SPDX-License-Identifier: MIT
/**
 * The mmsghdr array of one sendmmsg. It lies in a pinned BPF array, not in the process: the
 * kernel marks each message there as it sends it, and that survives a kill.
 */
import type { MappedMemory } from 'libbpf-ts';

import { BATCH } from './layout';
import { SharedWords } from './shared-memory';

/** Offsets in struct mmsghdr and struct iovec on 64-bit Linux. */
const MSG_IOV = 16;
const MSG_IOVLEN = 24;
export const MSG_LEN = 56;
const IOVEC_BYTES = 16;
/** In msg_len: the socket will never take this frame, it was counted as refused. */
export const MARK_REFUSED = 0xffffffff;

export class Batch {
  private readonly messages: Uint32Array;
  private readonly iovecs: Uint32Array;
  private readonly messagesAddress: number;
  private readonly log: SharedWords;

  /**
   * `memory` is struct batch mapped; `iovecMemory` is `budget` × 16 bytes that stay where they
   * are while the batch is used. Both are borrowed.
   */
  constructor(memory: MappedMemory, iovecMemory: MappedMemory, budget: number) {
    this.messages = new Uint32Array(memory.buffer, BATCH.messages, (budget * BATCH.messageBytes) >>> 2);
    this.iovecs = new Uint32Array(iovecMemory.buffer, 0, (budget * IOVEC_BYTES) >>> 2);
    this.log = new SharedWords(memory.buffer, 0, BATCH.messages);
    this.messagesAddress = memory.address + BATCH.messages;
    this.messages.fill(0);
    for (let i = 0; i < budget; i++) {
      const message = (i * BATCH.messageBytes) >>> 2;
      const iovec = iovecMemory.address + i * IOVEC_BYTES;
      this.messages[message + (MSG_IOV >>> 2)] = iovec >>> 0;
      this.messages[message + (MSG_IOV >>> 2) + 1] = (iovec / 4294967296) >>> 0;
      this.messages[message + (MSG_IOVLEN >>> 2)] = 1;
    }
  }

  /** Lets message `index` point at `bytes` bytes of memory. */
  point(index: number, address: number, bytes: number): void {
    const iovec = index * 4;
    this.iovecs[iovec] = address >>> 0;
    this.iovecs[iovec + 1] = (address / 4294967296) >>> 0;
    this.iovecs[iovec + 2] = bytes;
    this.messages[((index * BATCH.messageBytes) + MSG_LEN) >>> 2] = 0;
  }

  /** Says what is about to be sent, with the counters from before it; recoverBatch() reads it. */
  begin(count: number, start: number, drained: number, rxPackets: number, rxBytes: number): void {
    this.log.set64(BATCH.start, start);
    this.log.set64(BATCH.drained, drained);
    this.log.set64(BATCH.rxPackets, rxPackets);
    this.log.set64(BATCH.rxBytes, rxBytes);
    this.log.set32(BATCH.count, count);
  }

  /** Everything about the batch is counted. */
  end(): void {
    this.log.set32(BATCH.count, 0);
  }

  /** Marks message `index` as one that was refused. */
  refused(index: number): void {
    this.messages[(index * BATCH.messageBytes + MSG_LEN) >>> 2] = MARK_REFUSED;
  }

  /** The address of message `index`, for sendmmsg. */
  address(index: number): number {
    return this.messagesAddress + index * BATCH.messageBytes;
  }
}
