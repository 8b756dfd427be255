// SPDX-License-Identifier: MIT
/**
 * The mmsghdr array of one sendmmsg. It lies in a pinned BPF array, not in the process: the kernel marks each message
 * there as it sends it, and the marks survive a kill. recovery.ts reads them.
 */
import type { MappedMemory } from 'libbpf-ts';

import { BATCH, BATCH_HOOKED, CONTROL, MESSAGE } from '../layout';
import { CONTROL_BYTES } from './gro';
import { SharedWords } from './shared-memory';

/** Offsets in struct mmsghdr and struct iovec on 64-bit Linux. */
export const MSG_IOV = 16;
export const MSG_IOVLEN = 24;
export const MSG_CONTROL = 32;
export const MSG_CONTROLLEN = 40;
export const MSG_LEN = 56;
export const IOVEC_BYTES = 16;
/** In msg_len: the socket will never take this frame, which was counted as refused. */
export const MARK_REFUSED = 0xffffffff;

/** Bytes of iovecs for a batch of `budget` records: one per record, and one for the headers of each superpacket. */
export const iovecBytes = (budget: number): number => 2 * budget * IOVEC_BYTES;

/** The counters from before a batch of frames that a hook has judged. */
export interface HookedCounters {
  /** Consumer position of the first record. */
  start: number;
  drained: number;
  rxPackets: number;
  rxBytes: number;
  dropped: number;
  injected: number;
  delayed: number;
  released: number;
}

/** How far the counting of a hooked batch has come since the batch began. */
export interface Tally {
  records: number;
  dropped: number;
  injected: number;
  /** Frames taken into the memory of the hook's thread, and frames that have left it. */
  delayed: number;
  released: number;
}

export class Batch {
  private readonly messages: Uint32Array;
  private readonly iovecs: Uint32Array;
  private readonly messagesAddress: number;
  private readonly iovecsAddress: number;
  private readonly log: SharedWords;
  /** The iovec that was written for each message of one record; -1 for messages of another kind. */
  private readonly plain: Int32Array;
  /** Iovecs used so far. */
  private used = 0;
  /** The first record of each message and, after the last message, the number of all records. */
  readonly records: Uint16Array;
  /** Messages in the batch. */
  count = 0;

  /**
   * `memory` maps struct batch, `at` bytes from its beginning; `iovecMemory` has iovecBytes(budget), which must not
   * move while the batch is used. Both are borrowed.
   */
  constructor(memory: MappedMemory, iovecMemory: MappedMemory, budget: number, at = 0) {
    this.messages = new Uint32Array(memory.buffer, at + BATCH.messages, (budget * BATCH.messageBytes) >>> 2);
    this.iovecs = new Uint32Array(iovecMemory.buffer, 0, iovecBytes(budget) >>> 2);
    this.log = new SharedWords(memory.buffer, at, BATCH.messages);
    this.messagesAddress = memory.address + at + BATCH.messages;
    this.iovecsAddress = iovecMemory.address;
    this.records = new Uint16Array(budget + 1);
    this.plain = new Int32Array(budget).fill(-1);
    this.messages.fill(0);
  }

  /** Empties the batch. */
  clear(): void {
    this.count = 0;
    this.used = 0;
  }

  /** Adds a message of one record, `bytes` of memory. Most of the message is left over from the batch before. */
  addRecord(address: number, bytes: number): void {
    const index = this.next(1);
    const iovec = this.used++;
    if (this.plain[index] !== iovec) {
      this.writeMessage(index, iovec, 1, 1, 0);
      this.plain[index] = iovec;
    }
    this.writeIovec(iovec, address, bytes);
  }

  /**
   * Adds a message of `records` records; append() adds its memory. If there are several records, each has `headerBytes`
   * of headers. `control` is the address of a control message of CONTROL_BYTES, or 0.
   */
  add(records: number, headerBytes: number, control: number): void {
    const index = this.next(records);
    this.writeMessage(index, this.used, 0, (headerBytes << 16) | records, control);
    this.plain[index] = -1;
  }

  /** Adds `bytes` of memory to the last message. */
  append(address: number, bytes: number): void {
    this.writeIovec(this.used++, address, bytes);
    const at = ((this.count - 1) * BATCH.messageBytes + MSG_IOVLEN) >>> 2;
    this.messages[at] = (this.messages[at] as number) + 1;
  }

  /** Begins the next message, of `records` records, marked as neither sent nor refused; returns its index. */
  private next(records: number): number {
    const index = this.count++;
    this.messages[(index * BATCH.messageBytes + MSG_LEN) >>> 2] = 0;
    this.records[index + 1] = (this.records[index] as number) + records;
    return index;
  }

  private writeMessage(index: number, iovec: number, iovecs: number, merged: number, control: number): void {
    const at = (index * BATCH.messageBytes) >>> 2;
    const address = this.iovecsAddress + iovec * IOVEC_BYTES;
    this.messages[at + (MSG_IOV >>> 2)] = address >>> 0;
    this.messages[at + (MSG_IOV >>> 2) + 1] = (address / 4294967296) >>> 0;
    this.messages[at + (MSG_IOVLEN >>> 2)] = iovecs;
    this.messages[at + (MSG_CONTROL >>> 2)] = control >>> 0;
    this.messages[at + (MSG_CONTROL >>> 2) + 1] = (control / 4294967296) >>> 0;
    this.messages[at + (MSG_CONTROLLEN >>> 2)] = control === 0 ? 0 : CONTROL_BYTES;
    this.messages[at + (MESSAGE.merged >>> 2)] = merged;
  }

  private writeIovec(index: number, address: number, bytes: number): void {
    const at = (index * IOVEC_BYTES) >>> 2;
    this.iovecs[at] = address >>> 0;
    this.iovecs[at + 1] = (address / 4294967296) >>> 0;
    this.iovecs[at + 2] = bytes;
  }

  /** Writes into the last message of a hooked batch how far the counting is once it has been sent. */
  tally(records: number, dropped: number, injected: number, delayed: number, released: number): void {
    const message = (this.count - 1) * BATCH.messageBytes;
    this.messages[(message + MESSAGE.records) >>> 2] = records;
    this.messages[(message + MESSAGE.dropped) >>> 2] = dropped;
    this.messages[(message + MESSAGE.injected) >>> 2] = injected;
    this.messages[(message + MESSAGE.delayed) >>> 2] = delayed;
    this.messages[(message + MESSAGE.released) >>> 2] = released;
  }

  /** Logs what is about to be sent, with the counters from before it, for recoverBatch(). */
  begin(start: number, drained: number, rxPackets: number, rxBytes: number, flags = 0): void {
    this.log.set64(BATCH.start, start);
    this.log.set64(BATCH.drained, drained);
    this.log.set64(BATCH.rxPackets, rxPackets);
    this.log.set64(BATCH.rxBytes, rxBytes);
    this.log.set32(BATCH.count, (this.count | flags) >>> 0);
  }

  /** begin() for frames that a hook has judged; the totals include what follows the last message. */
  beginHooked(before: HookedCounters, total: Tally): void {
    this.log.set64(BATCH.hooksDropped, before.dropped);
    this.log.set64(BATCH.hooksInjected, before.injected);
    this.log.set64(BATCH.hooksDelayed, before.delayed);
    this.log.set64(BATCH.hooksReleased, before.released);
    this.log.set64(BATCH.totalRecords, total.records);
    this.log.set64(BATCH.totalDropped, total.dropped);
    this.log.set64(BATCH.totalInjected, total.injected);
    this.log.set64(BATCH.totalDelayed, total.delayed);
    this.log.set64(BATCH.totalReleased, total.released);
    this.begin(before.start, before.drained, before.rxPackets, before.rxBytes, BATCH_HOOKED);
  }

  /** Marks the batch as completely counted. */
  end(): void {
    this.log.set32(BATCH.count, 0);
  }

  /**
   * Marks message `index`, of `frames` frames, as refused, and counts it in `reason`, an offset in CONTROL. The new
   * values of the counters are logged before the mark is set: after an interruption at any point, recoverBatch() either
   * sets them or sends the message again.
   */
  refuse(index: number, reason: number, frames: number, control: SharedWords): void {
    const { log } = this;
    const count = control.get64(reason) + frames;
    const errors = control.get64(CONTROL.reinjectErrors) + (reason === CONTROL.impairOverflow ? 0 : frames);
    log.set64(BATCH.refusedReason, reason);
    log.set64(BATCH.refusedCount, count);
    log.set64(BATCH.refusedErrors, errors);
    log.set64(BATCH.refusedMessage, index + 1);
    this.messages[(index * BATCH.messageBytes + MSG_LEN) >>> 2] = MARK_REFUSED;
    control.set64(reason, count);
    control.set64(CONTROL.reinjectErrors, errors);
  }

  /** The address of message `index`, for sendmmsg. */
  address(index: number): number {
    return this.messagesAddress + index * BATCH.messageBytes;
  }
}

/** What the batch log says of a message, for finishing the batch of a killed poller. */
export function messageOf(log: SharedWords, index: number): { mark: number; records: number; headerBytes: number } {
  const at = BATCH.messages + index * BATCH.messageBytes;
  const records = log.get32(at + MESSAGE.merged);
  return { mark: log.get32(at + MSG_LEN), records: records & 0xffff, headerBytes: records >>> 16 };
}
