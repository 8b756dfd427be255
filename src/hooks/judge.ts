// SPDX-License-Identifier: MIT
/**
 * Shows the record of a frame to the hook and enters the answer into the plan. A frame that passes is sent from the
 * ring as it is, its virtio_net_hdr included; only changed frames, and superpackets that do not pass whole, are sent
 * from the arena. A frame that has to wait is copied from either (waiting.ts).
 *
 * A virtio_net_hdr may lie: anyone who may open a packet socket in vnet0's namespace can write one. Fields that the
 * frame does not bear out are left out, and the frame is judged and sent as plain bytes: what the hook saw is what is
 * received.
 */
import { OUTCOME } from '../datapath/outcomes';
import type { Concerns } from '../faults/concerns';
import { NEEDS_CSUM, RECORD, VNET, VNET_HDR_BYTES } from '../layout';
import { Frame } from '../packet/frame';
import { FrameData } from '../packet/headers';
import { completeChecksum, isChecksumPlace, MAX_PIECES, preparePartialChecksum, Segmenter } from '../packet/offload';
import { DROP, PASS, REPLACE, type HookHost } from './host';
import { isOrdinary } from './ordinary';
import type { Arena, Plan } from './plan';
import type { WaitingFrames } from './waiting';

/** Bytes of the arena kept free while a superpacket is segmented: for its pieces, and for copies of them. */
const ARENA_FOR_PIECES = 768 << 10;
/** Tenths of a millisecond, and the most of them that an outcome can hold. */
const TENTHS = 10;
const DETAIL_MAX = 0xffffff;

export class Judge {
  private readonly data = new FrameData((data) => this.writable(data));
  private readonly frame = new Frame(this.data);
  private readonly view: DataView;
  private readonly segmenter = new Segmenter();
  /** The pieces of the superpacket that is being segmented, each as it will be sent; null for a dropped one. */
  private readonly pieces: (Uint8Array | null)[] = Array<Uint8Array | null>(MAX_PIECES).fill(null);
  /** Which pieces are sent exactly as they are; the others lack their TCP or UDP checksum. */
  private readonly answered = new Uint8Array(MAX_PIECES);
  /** How long each piece is delayed, until when, and its ticket. */
  private readonly delays = new Float64Array(MAX_PIECES);
  private readonly dues = new Float64Array(MAX_PIECES);
  private readonly tickets = new Int32Array(MAX_PIECES);
  /** The place of the checksum that the frame shown lacks; not used if it lacks none. */
  private checksumStart = 0;
  private checksumOffset = 0;
  private lacksChecksum = false;
  /** Whether that place is not in the transport header that the hook sees, but in one inside a tunnel. */
  private checksumIsInside = false;
  /** Offset in the ring of the virtio_net_hdr of a superpacket that is shown whole; -1 for other frames. */
  private superpacketAt = -1;
  /** The piece that is shown; null while a record of the ring is shown. */
  private piece: Uint8Array | null = null;

  constructor(
    /** The ring's data, mapped twice in a row, and its address. */
    private readonly ring: Uint8Array,
    private readonly ringAddress: number,
    private readonly arena: Arena,
    private readonly plan: Plan,
    private readonly host: HookHost,
    private readonly waiting: WaitingFrames,
  ) {
    this.view = new DataView(ring.buffer, ring.byteOffset, ring.byteLength);
  }

  /** The stamp of the record at `offset`. */
  stampOf(offset: number): number {
    return this.view.getUint16(offset + RECORD.stamp, true);
  }

  /** Whether there is space for the record at `offset`, in as many pieces as it may have, if it is delayed. */
  canWait(offset: number): boolean {
    return (
      this.waiting.length === 0 ||
      (this.waiting.length < this.host.waitsMost &&
        this.waiting.fits(this.messagesFor(offset), VNET_HDR_BYTES + this.view.getUint32(offset, true)))
    );
  }

  /** The most messages that the record at `offset` may need. */
  messagesFor(offset: number): number {
    if (!this.isSegmented(offset)) return 1;
    const gsoSize = this.view.getUint16(offset + RECORD.vnet + VNET.gsoSize, true);
    return Math.min(Math.ceil(this.view.getUint32(offset, true) / (gsoSize || 1)), MAX_PIECES);
  }

  private isSegmented(offset: number): boolean {
    return this.view.getUint8(offset + RECORD.vnet + VNET.gsoType) !== 0 && !this.host.wholeSuperpackets;
  }

  /** Whether the record at `offset` passes as it is, which is known without showing it. */
  passesUnseen(offset: number, concerns: Concerns): boolean {
    const length = this.view.getUint32(offset, true);
    return isOrdinary(this.ring, offset, length) && !concerns(this.ring, offset + RECORD.frame, length);
  }

  /** Enters a record that passesUnseen(). */
  pass(offset: number): void {
    const bytes = VNET_HDR_BYTES + this.view.getUint32(offset, true);
    this.plan.pass(this.ringAddress + offset + RECORD.vnet, bytes);
  }

  /** Judges the record at `offset` and enters it into the plan. Never throws, whatever the hook does. */
  record(offset: number): void {
    const mark = this.arena.mark();
    try {
      this.judge(offset);
    } catch (error) {
      // Nothing of the record is in the plan yet.
      this.arena.release(mark);
      this.data.close();
      this.enter(offset, this.view.getUint32(offset, true), this.host.unjudged(error), null);
    }
  }

  private judge(offset: number): void {
    const { view, segmenter, ring } = this;
    const length = view.getUint32(offset, true);
    const type = view.getUint8(offset + RECORD.vnet + VNET.gsoType);
    this.show(offset, length, type !== 0);
    const headers = this.lacksChecksum || type !== 0 ? this.data.offsets() : null;
    if (headers === null) return this.whole(offset, length, true);
    const placed = !this.lacksChecksum || isChecksumPlace(headers, length, this.checksumStart, this.checksumOffset);
    this.checksumIsInside = this.lacksChecksum && this.checksumStart !== headers.transport;
    // How a frame that is not IP would be segmented is not known here.
    if (type === 0 || headers.ip === 0) return this.whole(offset, length, placed);
    const pieces = segmenter.open(
      ring,
      offset + RECORD.frame,
      length,
      type,
      view.getUint16(offset + RECORD.vnet + VNET.gsoSize, true),
    );
    const isTrue = placed && pieces > 0 && !this.checksumIsInside;
    if (isTrue && segmenter.fits && !this.host.wholeSuperpackets) {
      if (this.host.ignores(this.frame)) this.passIgnored(offset, length);
      else this.cut(offset, length, pieces);
    } else this.whole(offset, length, isTrue);
  }

  /** Enters a decision on the next record that the hook did not make. */
  decided(verdict: 'drop' | Uint8Array): void {
    this.plan.recordDone(verdict === 'drop' ? OUTCOME.dropped : OUTCOME.changed);
    if (verdict === 'drop') this.plan.countDropped();
    else this.send(this.arena.copy(verdict));
  }

  /** A copy of a record's frame, its checksum completed unless it is a superpacket. */
  copyOf(offset: number): { bytes: Uint8Array; superpacket: boolean } {
    const superpacket = this.view.getUint8(offset + RECORD.vnet + VNET.gsoType) !== 0;
    this.show(offset, this.view.getUint32(offset, true), superpacket);
    const bytes = this.frame.copy();
    this.data.close();
    return { bytes, superpacket };
  }

  private show(offset: number, length: number, superpacket: boolean): void {
    const header = offset + RECORD.vnet;
    this.piece = null;
    this.superpacketAt = superpacket ? header : -1;
    this.lacksChecksum = (this.view.getUint8(header + VNET.flags) & NEEDS_CSUM) !== 0;
    this.checksumIsInside = false;
    this.checksumStart = this.view.getUint16(header + VNET.checksumStart, true);
    this.checksumOffset = this.view.getUint16(header + VNET.checksumOffset, true);
    this.data.open(this.ring, offset + RECORD.frame, length);
  }

  /** Shows a record's frame where it lies; `isTrue` says that its virtio_net_hdr fits it. */
  private whole(offset: number, length: number, isTrue: boolean): void {
    if (!isTrue) {
      this.superpacketAt = -1;
      this.lacksChecksum = false;
    }
    const verdict = this.waitable(this.host.call(this.frame), length);
    let frame: Uint8Array | null = null;
    if (verdict === REPLACE) frame = this.replacement();
    else if (verdict === PASS && !isTrue) frame = this.plain(offset, length);
    // The hook has read the frame with its inner checksum completed; in the ring those two bytes are not.
    else if (verdict === PASS && this.data.writable !== null && this.checksumIsInside && this.superpacketAt < 0)
      frame = this.completed(offset, length);
    this.data.close();
    this.enter(offset, length, verdict, frame);
  }

  /** A copy of the frame without its virtio_net_hdr. */
  private plain(offset: number, length: number): Uint8Array {
    const at = offset + RECORD.frame;
    return this.arena.copy(this.ring.subarray(at, at + length));
  }

  private completed(offset: number, length: number): Uint8Array {
    const frame = this.plain(offset, length);
    if (this.lacksChecksum) completeChecksum(frame, this.checksumStart, this.checksumOffset);
    return frame;
  }

  /** The verdict on a frame, or a refusal: what replaces it may be larger than there is space for it to wait. */
  private waitable(verdict: number, length: number): number {
    const { host, waiting } = this;
    if (host.delay === 0 || verdict === DROP) return verdict;
    const bytes = VNET_HDR_BYTES + (verdict === REPLACE ? (host.replacement as Uint8Array).length : length);
    return waiting.fits(1, bytes) ? verdict : host.refuse('a delay for more than there is memory for');
  }

  /** Enters the verdict on a record as a whole; `frame`, unless null, is sent in its place. */
  private enter(offset: number, length: number, verdict: number, frame: Uint8Array | null): void {
    const { plan, host } = this;
    if (host.delay > 0 && verdict !== DROP) {
      plan.recordDone(OUTCOME.delayed, Math.min(Math.round(host.delay * TENTHS), DETAIL_MAX));
      if (frame !== null)
        this.wait(this.arena.bytes, frame.byteOffset - VNET_HDR_BYTES, frame.length, host.due, host.ticket);
      else this.wait(this.ring, offset + RECORD.vnet, length, host.due, host.ticket);
      return;
    }
    if (verdict === PASS && frame === null) {
      plan.pass(this.ringAddress + offset + RECORD.vnet, VNET_HDR_BYTES + length);
      return;
    }
    plan.recordDone(verdict === PASS ? OUTCOME.reinjected : verdict === DROP ? OUTCOME.dropped : OUTCOME.changed, 1);
    if (verdict === DROP) plan.countDropped();
    else this.send(frame as Uint8Array);
  }

  /** Lets a frame of `length` bytes wait, whose virtio_net_hdr is at `memory[at]`. */
  private wait(memory: Uint8Array, at: number, length: number, due: number, ticket: number): void {
    this.waiting.add(memory, at, VNET_HDR_BYTES + length, due, ticket);
    this.plan.countDelayed();
  }

  private passIgnored(offset: number, length: number): void {
    this.data.close();
    this.host.delay = 0;
    this.enter(offset, length, PASS, null);
  }

  /** Shows the pieces one after the other; if all pass, the superpacket is sent as it is. */
  private cut(offset: number, length: number, count: number): void {
    const { arena } = this;
    const mark = arena.mark();
    const { host } = this;
    let allPass = true;
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const verdict = this.fitting(this.showPiece(i));
      this.delays[i] = host.delay;
      this.dues[i] = host.due;
      this.tickets[i] = host.ticket;
      // Pieces that are delayed equally long wait as one frame.
      if (verdict !== PASS || host.delay !== this.delays[0] || (host.delay > 0 && host.ticket > 0)) allPass = false;
      if (verdict !== DROP) kept++;
      this.answered[i] = verdict === REPLACE ? 1 : 0;
      this.pieces[i] = verdict === DROP ? null : verdict === REPLACE ? this.replacement() : this.untouched(i);
      this.data.close();
    }
    if (allPass) {
      arena.release(mark);
      this.enter(offset, length, PASS, null);
      return;
    }
    for (let i = 0; i < count; i++) this.enterPiece(i, i === count - 1, kept);
  }

  private showPiece(i: number): number {
    const { arena, segmenter } = this;
    const piece = arena.take(segmenter.lengthOf(i));
    segmenter.write(i, piece);
    this.piece = piece;
    this.superpacketAt = -1;
    this.lacksChecksum = true;
    this.checksumStart = segmenter.checksumStart;
    this.checksumOffset = segmenter.checksumOffset;
    this.data.open(arena.bytes, piece.byteOffset, piece.length);
    return this.host.call(this.frame);
  }

  /** The verdict on a piece, or a refusal: replacements may be large, and there may be many. */
  private fitting(answer: number): number {
    const { host, arena } = this;
    const verdict = this.waitable(answer, this.frame.length);
    if (verdict !== REPLACE || arena.free > (host.replacement as Uint8Array).length + ARENA_FOR_PIECES) return verdict;
    return host.refuse('more for one superpacket than there is memory for');
  }

  /** A piece that passes, written anew if the hook has had its bytes: it may have changed them. */
  private untouched(i: number): Uint8Array {
    const piece = this.piece as Uint8Array;
    if (this.data.writable !== null) this.segmenter.write(i, piece);
    return piece;
  }

  private enterPiece(i: number, last: boolean, kept: number): void {
    const { plan, pieces } = this;
    const piece = pieces[i] as Uint8Array | null;
    pieces[i] = null;
    if (last) plan.recordDone(kept > 0 ? OUTCOME.segmented : OUTCOME.dropped, kept);
    else plan.countInjected();
    if (piece === null) return plan.countDropped();
    if (this.answered[i] === 0) completeChecksum(piece, this.segmenter.checksumStart, this.segmenter.checksumOffset);
    if (this.delays[i] === 0) this.send(piece, true);
    else
      this.wait(
        this.arena.bytes,
        piece.byteOffset - VNET_HDR_BYTES,
        piece.length,
        this.dues[i] as number,
        this.tickets[i] as number,
      );
  }

  /** The hook's answer, in the arena. */
  private replacement(): Uint8Array {
    const answer = this.host.replacement as Uint8Array;
    const own = this.data.writable;
    if (own === null || answer.buffer !== own.buffer || answer.byteOffset !== own.byteOffset)
      return this.arena.copy(answer);
    // Its virtio_net_hdr was copied with it; the hook may have changed addresses or length.
    if (this.superpacketAt >= 0) preparePartialChecksum(answer);
    return answer;
  }

  /** The copy of the frame that a hook may write to. */
  private writable({ length, memory, start }: FrameData): Uint8Array {
    const { arena } = this;
    if (this.piece !== null) {
      completeChecksum(this.piece, this.checksumStart, this.checksumOffset);
      return this.piece;
    }
    const copy = arena.copy(memory.subarray(start, start + length));
    if (this.superpacketAt >= 0)
      arena.headerOf(copy).set(this.ring.subarray(this.superpacketAt, this.superpacketAt + VNET_HDR_BYTES));
    else if (this.lacksChecksum) completeChecksum(copy, this.checksumStart, this.checksumOffset);
    return copy;
  }

  private send(frame: Uint8Array, isPiece = false): void {
    this.plan.send(this.arena.addressOf(frame), VNET_HDR_BYTES + frame.length, isPiece);
  }
}
