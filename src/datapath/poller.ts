// SPDX-License-Identifier: MIT
/**
 * NAPI's poll(budget), in TypeScript: takes at most `budget` records out of the ring and sends them with one sendmmsg
 * straight from the mapped ring. Nothing is allocated here, whatever the traffic: fields are numbers, memory is mapped
 * once.
 */
import { CONTROL, RECORD, VNET_HDR_BYTES } from '../layout';
import type { Gro } from './gro';
import { OUTCOME, type OutcomeWriter } from './outcomes';
import type { UnsentFrame } from './packet-socket';
import type { QueueGate } from './queue-gate';
import { LATER, outcomeOf, Transmitter, type TransmitterParts } from './transmitter';

/** What the poller needs of a ring: RingBuffer of libbpf-ts, or a test's own. */
export interface Ring {
  readonly offsets: Uint32Array;
  lease(budget: number): number;
  commit(count: number): void;
  consumerPosition(): number;
}

export interface PollerParts extends TransmitterParts {
  ring: Ring;
  /** The ring's data, mapped twice in a row, and its address. */
  data: Uint8Array;
  dataAddress: number;
  gate: QueueGate;
  /** Merges neighbouring frames of a flow; null: each frame is sent by itself. */
  gro: Gro | null;
  /** All frames that the socket's interface has transmitted; null where it does not count them one by one. */
  delivered: () => number | null;
}

/**
 * Polls that skip merging after the kernel refused a merged packet; doubles with each refusal in a row, PLAIN_DOUBLINGS
 * times at most.
 */
const PLAIN_POLLS = 16;
const PLAIN_DOUBLINGS = 12;

export class Poller extends Transmitter {
  /** Records per poll, 1 to 1024. */
  readonly budget: number;
  private readonly words: Uint32Array;
  private drained = 0;
  private rxPackets = 0;
  private rxBytes = 0;
  private largestFrame = 0;
  /** Bytes of the frames in the batch, and of the largest one. */
  private filledBytes = 0;
  private filledLargest = 0;
  private polls = 0;
  private budgetExhausted = 0;

  private readonly unsent: UnsentFrame;
  /** What the interface had transmitted when rxPackets was 0. */
  private deliveredBefore: number;
  /** Polls left that must not merge. */
  private plainPolls = 0;
  /** Merged packets that the kernel has refused in a row, for a reason that may apply to all of them. */
  private mergesRefused = 0;
  /** Takes the outcome of each frame during a recording. */
  outcomes: OutcomeWriter | null = null;
  private wasImpaired = false;
  /** Frames of the merged packet that ended the transmission which were delivered nevertheless. */
  private pieces = 0;

  constructor(private readonly parts: PollerParts) {
    super(parts);
    const { options, data } = parts;
    this.budget = options.budget;
    this.words = new Uint32Array(data.buffer, data.byteOffset, data.byteLength >>> 2);
    this.unsent = { memory: data, at: 0, length: 0 };
    if (parts.gro) this.readFrameMax(parts.gro);
    this.readCounters();
    this.deliveredBefore = this.deliveredMeanwhile();
  }

  /** Reads the counters that this poller writes: another one may have written them meanwhile. */
  readCounters(): void {
    const { control } = this.parts;
    this.drained = control.get64(CONTROL.drained);
    this.rxPackets = control.get64(CONTROL.rxPackets);
    this.rxBytes = control.get64(CONTROL.rxBytes);
    this.largestFrame = control.get64(CONTROL.largestFrame);
    this.polls = control.get64(CONTROL.polls);
    this.budgetExhausted = control.get64(CONTROL.budgetExhausted);
  }

  /** Takes over what another poller of the same queue was told. */
  follow({ linkDown, impaired, line, outcomes }: Pick<Poller, 'linkDown' | 'impaired' | 'line' | 'outcomes'>): void {
    this.linkDown = linkDown;
    this.impaired = impaired;
    this.wasImpaired ||= impaired;
    this.line = line;
    this.outcomes = outcomes;
  }

  private deliveredMeanwhile(): number {
    return (this.parts.delivered() ?? 0) - this.rxPackets;
  }

  /** Drains up to `budget` records; returns how many left the ring. */
  poll(): number {
    return this.drain(this.parts.ring.lease(this.budget));
  }

  /** Drains the first `leased` records of the ring, which are leased; returns how many left it. */
  drain(leased: number): number {
    const { ring, control } = this.parts;
    this.blocked = false;
    if (this.wasImpaired && !this.impaired) this.deliveredBefore = this.deliveredMeanwhile();
    this.wasImpaired = this.impaired;
    const done = leased === 0 ? 0 : this.send(leased);
    if (this.outcomes !== null) this.outcomes.publish();
    ring.commit(done); // with 0: releases discarded records
    if (leased > 0) {
      this.drained += done;
      this.polls++;
      // Those that came back first: readers take a queue in which nothing is pending for one that is counted to the end.
      control.set64(CONTROL.rxPackets, this.rxPackets);
      control.set64(CONTROL.rxBytes, this.rxBytes);
      control.set64(CONTROL.drained, this.drained);
      this.parts.batch.end();
      control.set64(CONTROL.polls, this.polls);
      if (done === this.budget) control.set64(CONTROL.budgetExhausted, ++this.budgetExhausted);
    }
    this.parts.gate.update(this.drained);
    return done;
  }

  /** Sends the leased records; returns how many are done with, sent or refused. */
  private send(leased: number): number {
    const { batch, ring } = this.parts;
    this.fill(leased);
    batch.begin(ring.consumerPosition(), this.drained, this.rxPackets, this.rxBytes);
    this.pieces = 0;
    const messages = this.transmit();
    return (batch.records[messages] as number) + this.pieces;
  }

  unsentFrame(message: number): UnsentFrame {
    const { ring, batch } = this.parts;
    const offset = ring.offsets[batch.records[message] as number] as number;
    this.unsent.at = offset + RECORD.vnet;
    this.unsent.length = this.words[offset >>> 2] as number;
    return this.unsent;
  }

  /**
   * Splits a merged packet that the kernel did not take: its frames are sent one by one by the next polls, and each
   * gets its own error.
   */
  protected override splits(message: number, reason: number): boolean {
    if (!this.isMerged(message) || reason === CONTROL.refusedDown) return false;
    if (reason === LATER) {
      this.plainPolls = PLAIN_POLLS;
      this.blocked = true;
      this.pieces = this.piecesDelivered(message);
    } else if (reason === CONTROL.refusedToolong) {
      this.readFrameMax(this.parts.gro as Gro);
      this.plainPolls = 1;
    } else {
      this.plainPolls = PLAIN_POLLS << Math.min(this.mergesRefused++, PLAIN_DOUBLINGS);
    }
    return true;
  }

  /**
   * How many of the first frames of a merged packet were delivered that did not fit into the backlog as a whole. Only
   * the interface's own counter shows; those frames are not sent again.
   */
  private piecesDelivered(message: number): number {
    const { batch, delivered } = this.parts;
    const from = batch.records[message] as number;
    const pieces = (delivered() ?? 0) - this.deliveredBefore - this.rxPackets;
    if (!(pieces > 0 && from + pieces < (batch.records[message + 1] as number))) return 0;
    this.countFrames(from, from + pieces);
    if (this.outcomes !== null)
      this.tell(this.outcomes, from, from + pieces, OUTCOME.reinjected, pieces, this.outcomes.now());
    return pieces;
  }

  private isMerged(message: number): boolean {
    const { records } = this.parts.batch;
    return (records[message + 1] as number) - (records[message] as number) > 1;
  }

  /** Makes messages of the records: virtio_net_hdr and frame are one piece of the ring, unless frames are merged. */
  private fill(leased: number): void {
    const { ring, batch, dataAddress } = this.parts;
    // A qdisc would take a merged packet for one frame.
    const gro = this.plainPolls > 0 || this.impaired ? null : this.parts.gro;
    if (this.plainPolls > 0) this.plainPolls--;
    if (gro !== null && gro.passedOver) this.readFrameMax(gro);
    batch.clear();
    let bytes = 0;
    let largest = 0;
    for (let i = 0; i < leased;) {
      const offset = ring.offsets[i] as number;
      const length = this.words[offset >>> 2] as number;
      if (length > largest) largest = length; // of frames that are merged, the first is the largest
      const count = gro === null ? 1 : gro.run(ring.offsets, i, leased);
      if (count > 1) {
        bytes += this.merge(gro as Gro, i, count);
      } else {
        batch.addRecord(dataAddress + offset + RECORD.vnet, VNET_HDR_BYTES + length);
        bytes += length;
      }
      i += count;
    }
    this.filledBytes = bytes;
    this.filledLargest = largest;
  }

  private readFrameMax(gro: Gro): void {
    gro.passedOver = false;
    gro.frameMax = this.failures.longestFrame();
  }

  /**
   * Adds one message for several records: headers of its own, then each payload where it is in the ring. Returns the
   * frames' bytes.
   */
  private merge(gro: Gro, from: number, count: number): number {
    const { ring, batch, dataAddress } = this.parts;
    const { headerBytes, segmentBytes, lastBytes } = gro;
    const headers = gro.writeHeaders(batch.count, ring.offsets[from] as number, count);
    batch.add(count, headerBytes, gro.controlAddress);
    batch.append(headers, VNET_HDR_BYTES + headerBytes);
    for (let i = 0; i < count; i++) {
      const payload = (ring.offsets[from + i] as number) + RECORD.frame + headerBytes;
      batch.append(dataAddress + payload, i === count - 1 ? lastBytes : segmentBytes);
    }
    return count * headerBytes + (count - 1) * segmentBytes + lastBytes;
  }

  protected received(fromMessage: number, toMessage: number): void {
    const { batch, control } = this.parts;
    const from = batch.records[fromMessage] as number;
    const to = batch.records[toMessage] as number;
    this.countFrames(from, to);
    const merged = to - from - (toMessage - fromMessage);
    if (merged > 0) {
      control.set64(CONTROL.merged, control.get64(CONTROL.merged) + merged);
      this.mergesRefused = 0;
    }
    if (this.outcomes !== null) this.tellSent(this.outcomes, fromMessage, toMessage);
  }

  private countFrames(from: number, to: number): void {
    this.rxPackets += to - from;
    const { ring, batch } = this.parts;
    if (to - from === batch.records[batch.count]) {
      this.countBytes(this.filledBytes, this.filledLargest);
      return;
    }
    for (let i = from; i < to; i++) {
      const length = this.words[(ring.offsets[i] as number) >>> 2] as number;
      this.countBytes(length, length);
    }
  }

  private countBytes(bytes: number, largest: number): void {
    this.rxBytes += bytes;
    if (largest <= this.largestFrame) return;
    this.largestFrame = largest;
    this.parts.control.set64(CONTROL.largestFrame, largest);
  }

  protected refuse(message: number, reason: number): void {
    const { batch, control } = this.parts;
    const records = (batch.records[message + 1] as number) - (batch.records[message] as number);
    batch.refuse(message, reason, records, control);
    const from = batch.records[message] as number;
    if (this.outcomes !== null)
      this.tell(this.outcomes, from, from + records, outcomeOf(reason), 0, this.outcomes.now());
  }

  private tellSent(outcomes: OutcomeWriter, fromMessage: number, toMessage: number): void {
    const { records } = this.parts.batch;
    const now = outcomes.now();
    for (let message = fromMessage; message < toMessage; message++) {
      const from = records[message] as number;
      const to = records[message + 1] as number;
      this.tell(outcomes, from, to, OUTCOME.reinjected, to - from, now);
    }
  }

  /** Tells the recorder the outcome of the leased records from `from` up to `to`. */
  private tell(outcomes: OutcomeWriter, from: number, to: number, outcome: number, detail: number, now: number): void {
    const { offsets } = this.parts.ring;
    for (let i = from; i < to; i++) {
      const stamp = (this.words[((offsets[i] as number) + RECORD.stamp) >>> 2] as number) & 0xffff;
      outcomes.note(this.drained + i, stamp, outcome, detail, now);
    }
  }
}
