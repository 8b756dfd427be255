// SPDX-License-Identifier: MIT
/**
 * What one poll is going to send, and how that changes the counters. Each message says how far the counting is once it
 * has been sent: records done with, and frames dropped, injected, delayed and released since the plan began. Wherever
 * sending stops, the frame accounting balances.
 *
 *   records in the ring   r0        r1     r2 (superpacket, 3 pieces)      r3                       r4
 *   verdict               pass      drop   pass, drop, replace             pass, and injects one    r4: delay, r5: pass
 *   messages              m0               m1              m2              m3      m4               m5
 *   records done          1                2               3               4       4                6
 *   dropped               0                1               2               2       2                2
 *   injected              0                0 + 1           1 + 1           2       3                3
 *   delayed               0                0               0               0       0                1
 *
 * A superpacket that is sent in pieces came in as one frame, so the pieces beyond the first count as injected. A
 * delayed frame is in the memory of the hook's thread (waiting.ts); the message that sends it later counts it as
 * released.
 */
import type { MappedMemory } from 'libbpf-ts';

import type { Batch, HookedCounters, Tally } from '../datapath/batch';
import { OUTCOME } from '../datapath/outcomes';
import type { SharedWords } from '../datapath/shared-memory';
import { BATCH, CONTROL, VNET_HDR_BYTES } from '../layout';

/** The most faults of a plan that a recorder is told of. */
const FAULTS_MAX = 4 * BATCH.max;

const nothing = (): Tally => ({ records: 0, dropped: 0, injected: 0, delayed: 0, released: 0 });

export class Plan {
  /** The address of each message's virtio_net_hdr and frame, and the bytes of both. */
  readonly addresses = new Float64Array(BATCH.max);
  readonly bytes = new Uint32Array(BATCH.max);
  /** The counts once message i is done with. */
  readonly records = new Uint32Array(BATCH.max);
  readonly dropped = new Uint32Array(BATCH.max);
  readonly injected = new Uint32Array(BATCH.max);
  readonly delayed = new Uint32Array(BATCH.max);
  readonly released = new Uint32Array(BATCH.max);
  /** The record of message i; -1 for injected frames and for pieces of superpackets. */
  readonly recordOf = new Int32Array(BATCH.max);
  /** The outcome of each record as a value of OUTCOME, and how many of its pieces went on; for recorders. */
  readonly outcomes = new Uint8Array(BATCH.max);
  readonly pieces = new Uint32Array(BATCH.max);
  /** Faults of records, in the order of the records, for recorders: values of faultOf(), and the record of each. */
  readonly faults = new Uint32Array(FAULTS_MAX);
  readonly recordOfFault = new Uint32Array(FAULTS_MAX);
  faultCount = 0;
  /** How many of them a recorder has been told of. */
  faultsTold = 0;
  /** Number of messages. */
  length = 0;
  private judged = 0;
  /** Whether every message is a record as it lies in the ring. */
  private asInRing = true;
  /** The counts after everything, records after the last message included. */
  readonly total: Tally = nothing();

  /** Number of messages that still fit. */
  get space(): number {
    return BATCH.max - this.length;
  }

  /** Whether all records pass as they are, and there is nothing else to send or count. */
  get passesAll(): boolean {
    const { dropped, injected, delayed, released } = this.total;
    return this.length > 0 && this.asInRing && this.faultCount === 0 && dropped + injected + delayed + released === 0;
  }

  clear(): void {
    this.length = this.faultCount = this.faultsTold = 0;
    this.asInRing = true;
    clear(this.total);
  }

  /** Adds the message of a record that passes as it lies in the ring. */
  pass(address: number, bytes: number): void {
    this.recordDone(OUTCOME.reinjected, 1);
    this.add(address, bytes, this.judged);
  }

  /**
   * Adds a message of the record being judged, or an injected one, from the arena; call the counting methods for it
   * first.
   */
  send(address: number, bytes: number, injected = false): void {
    this.asInRing = false;
    this.add(address, bytes, injected ? -1 : this.judged);
  }

  private add(address: number, bytes: number, record: number): void {
    const i = this.length++;
    this.addresses[i] = address;
    this.bytes[i] = bytes;
    this.records[i] = this.total.records;
    this.dropped[i] = this.total.dropped;
    this.injected[i] = this.total.injected;
    this.delayed[i] = this.total.delayed;
    this.released[i] = this.total.released;
    this.recordOf[i] = record;
  }

  /**
   * Marks a record as done with, by the next message or without one; `outcome` is for the case that the message is
   * sent.
   */
  recordDone(outcome: number, pieces = 0): void {
    this.judged = this.total.records++;
    this.outcomes[this.judged] = outcome;
    this.pieces[this.judged] = pieces;
  }

  /** Notes a fault of the record being judged, once for all pieces of a superpacket. */
  noteFault(fault: number): void {
    const record = this.total.records;
    for (let i = this.faultCount - 1; i >= 0 && this.recordOfFault[i] === record; i--)
      if (this.faults[i] === fault) return;
    if (this.faultCount === FAULTS_MAX) return;
    this.faults[this.faultCount] = fault;
    this.recordOfFault[this.faultCount++] = record;
  }

  /** Sets the outcome of a record whose message i was refused. */
  refused(i: number, outcome: number): void {
    const record = this.recordOf[i] as number;
    if (record >= 0) this.outcomes[record] = outcome;
  }

  countDropped(): void {
    this.total.dropped++;
  }

  countInjected(): void {
    this.total.injected++;
  }

  countDelayed(): void {
    this.total.delayed++;
  }

  countReleased(): void {
    this.total.released++;
  }

  /** Counts a frame that was dropped while it waited. */
  discard(): void {
    this.total.released++;
    this.total.dropped++;
  }
}

function clear(tally: Tally): void {
  tally.records = tally.dropped = tally.injected = tally.delayed = tally.released = 0;
}

// How far a plan has been carried out, and the counters that follow from it.

export class Ledger {
  /** Messages of the plan that are done with. */
  sent = 0;
  private readonly counters: HookedCounters;
  /** The part of the plan that is in the counters. */
  private readonly counted: Tally = nothing();
  private readonly left: Tally = nothing();
  /** The counts of the plan up to the message at which sending stopped. */
  private readonly reached: Tally = nothing();
  private largestFrame = 0;

  constructor(
    private readonly control: SharedWords,
    private readonly plan: Plan,
  ) {
    const at = (offset: number): number => control.get64(offset);
    this.counters = {
      start: 0,
      drained: 0,
      rxPackets: 0,
      rxBytes: 0,
      dropped: at(CONTROL.hooksDropped),
      injected: at(CONTROL.hooksInjected),
      delayed: at(CONTROL.hooksDelayed),
      released: at(CONTROL.hooksReleased),
    };
    this.readCounters();
  }

  /** Reads the counters that another poller may have written meanwhile. */
  readCounters(): void {
    const { control, counters } = this;
    counters.drained = control.get64(CONTROL.drained);
    counters.rxPackets = control.get64(CONTROL.rxPackets);
    counters.rxBytes = control.get64(CONTROL.rxBytes);
    this.largestFrame = control.get64(CONTROL.largestFrame);
  }

  /** Whether messages wait to be sent. */
  get hasMore(): boolean {
    return this.sent < this.plan.length;
  }

  /** Records of the plan that are still in the ring. */
  get recordsLeft(): number {
    return this.plan.total.records - this.counted.records;
  }

  get drained(): number {
    return this.counters.drained;
  }

  /** Starts a new plan. */
  startAnew(): void {
    this.plan.clear();
    this.sent = 0;
    clear(this.counted);
  }

  /** Makes messages of the rest of the plan, and writes the counters from before them into the batch log. */
  begin(batch: Batch, consumerPosition: number): void {
    const { plan, counted, left } = this;
    batch.clear();
    for (let i = this.sent; i < plan.length; i++) {
      batch.add(1, 0, 0);
      batch.append(plan.addresses[i] as number, plan.bytes[i] as number);
      batch.tally(
        (plan.records[i] as number) - counted.records,
        (plan.dropped[i] as number) - counted.dropped,
        (plan.injected[i] as number) - counted.injected,
        (plan.delayed[i] as number) - counted.delayed,
        (plan.released[i] as number) - counted.released,
      );
    }
    left.records = plan.total.records - counted.records;
    left.dropped = plan.total.dropped - counted.dropped;
    left.injected = plan.total.injected - counted.injected;
    left.delayed = plan.total.delayed - counted.delayed;
    left.released = plan.total.released - counted.released;
    this.counters.start = consumerPosition;
    batch.beginHooked(this.counters, left);
  }

  /** Counts messages of the plan that the socket took. */
  received(from: number, to: number): void {
    const { plan, counters } = this;
    for (let i = from; i < to; i++) {
      const length = (plan.bytes[i] as number) - VNET_HDR_BYTES;
      counters.rxBytes += length;
      if (length > this.largestFrame) this.control.set64(CONTROL.largestFrame, (this.largestFrame = length));
    }
    counters.rxPackets += to - from;
  }

  /** Notes that the first `sent` messages are done with; returns how many records are done with since the last call. */
  settle(sent: number): number {
    const { plan, counters, counted } = this;
    this.sent = sent;
    const all = sent === plan.length;
    if (!all && sent === 0) return 0;
    const { records, dropped, injected, delayed, released } = all ? plan.total : this.reachedBy(sent - 1);
    const done = records - counted.records;
    counters.drained += done;
    counters.dropped += dropped - counted.dropped;
    counters.injected += injected - counted.injected;
    counters.delayed += delayed - counted.delayed;
    counters.released += released - counted.released;
    counted.records = records;
    counted.dropped = dropped;
    counted.injected = injected;
    counted.delayed = delayed;
    counted.released = released;
    return done;
  }

  private reachedBy(message: number): Tally {
    const { plan, reached } = this;
    reached.records = plan.records[message] as number;
    reached.dropped = plan.dropped[message] as number;
    reached.injected = plan.injected[message] as number;
    reached.delayed = plan.delayed[message] as number;
    reached.released = plan.released[message] as number;
    return reached;
  }

  /** Publishes the counters, after the records have left the ring. */
  publish(): void {
    const { control, counters } = this;
    // In the order of Poller.drain().
    control.set64(CONTROL.rxPackets, counters.rxPackets);
    control.set64(CONTROL.rxBytes, counters.rxBytes);
    control.set64(CONTROL.drained, counters.drained);
    control.set64(CONTROL.hooksDropped, counters.dropped);
    control.set64(CONTROL.hooksInjected, counters.injected);
    control.set64(CONTROL.hooksDelayed, counters.delayed);
    control.set64(CONTROL.hooksReleased, counters.released);
  }
}

// The arena: memory for frames that are not sent straight from the ring, which are changed ones, injected ones, and
// pieces of superpackets. It has an address, which sendmmsg needs, and is reused for each plan.

/** Frames begin at multiples of this, in bytes. */
const ALIGNMENT = 16;

export const ARENA_BYTES = 4 << 20;

export class Arena {
  /** The whole arena; frames are parts of it. */
  readonly bytes: Uint8Array;
  private used = 0;

  /** `memory` is borrowed. */
  constructor(private readonly memory: Pick<MappedMemory, 'address' | 'buffer'>) {
    this.bytes = new Uint8Array(memory.buffer);
  }

  get free(): number {
    return this.bytes.length - this.used;
  }

  /** Forgets all frames. */
  reset(): void {
    this.used = 0;
  }

  /** Space for a frame. The virtio_net_hdr before it is set to zero: checksums complete, not a superpacket. */
  take(length: number): Uint8Array {
    const at = this.used + ALIGNMENT;
    if (at + length > this.bytes.length) throw new RangeError('the arena is full');
    this.bytes.fill(0, at - VNET_HDR_BYTES, at);
    this.used = (at + length + ALIGNMENT - 1) & -ALIGNMENT;
    return this.bytes.subarray(at, at + length);
  }

  /** A copy of a frame, in the arena. */
  copy(frame: Uint8Array): Uint8Array {
    const copy = this.take(frame.length);
    copy.set(frame);
    return copy;
  }

  /** The virtio_net_hdr of a frame in the arena. */
  headerOf(frame: Uint8Array): Uint8Array {
    return this.bytes.subarray(frame.byteOffset - VNET_HDR_BYTES, frame.byteOffset);
  }

  /** The address of the virtio_net_hdr of a frame in the arena. */
  addressOf(frame: Uint8Array): number {
    return this.memory.address + frame.byteOffset - VNET_HDR_BYTES;
  }

  /** The offset in `bytes` of an address in the arena. */
  offsetOf(address: number): number {
    return address - this.memory.address;
  }

  /** The place of the next frame; release() gives back what was taken since. */
  mark(): number {
    return this.used;
  }

  release(mark: number): void {
    this.used = mark;
  }
}
