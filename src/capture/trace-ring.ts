// SPDX-License-Identifier: MIT
/** Reads the trace ring (bpf/trace.h), and holds what becomes known of each recorded frame. */
import { type BpfMap, RingBuffer } from 'libbpf-ts';

import { TRACE_KIND, TRACE_RECORD, VNET_HDR_BYTES } from '../layout';
import type { PacketFilter } from '../packet/filter';
import { type Block, blockOf, copyWords, FrameMemory } from './buffers';

// One frame of a recording: what the trace ring said of it, and what became known since. Times are CLOCK_MONOTONIC in
// ns.

/** How a frame's way ended, as far as known. */
export type Ending =
  /** Nothing is known yet. */
  | 'open'
  /** Refused by the programs: see `reason`. */
  | 'refused'
  /** The poller has written its outcome: see `outcome`. */
  | 'told'
  /** Went into the waiting room, and is no longer there. */
  | 'lost'
  /** The outcome that the poller wrote was missed. */
  | 'untold';

/** Padding between virtio_net_hdr and frame in a record of the trace ring, in bytes. */
const PAD_BYTES = 2;
export const HEADER_BYTES = VNET_HDR_BYTES + PAD_BYTES;

export class RecordedFrame {
  ending: Ending = 'open';
  /** When the frame left the waiting room; 0: it has not. */
  releasedAt = 0;
  /** A value of enum refusal. */
  reason = 0;
  /** A value of OUTCOME or an outcome of REFUSALS, and its detail. */
  outcome = 0;
  detail = 0;
  endedAt = 0;
  /** Rules of faults that did something to it, as values of faultOf(); null: none. */
  faults: number[] | null = null;

  constructor(
    readonly time: number,
    /** Bytes on the wire. */
    readonly length: number,
    /** Whether it had to wait. */
    readonly held: boolean,
    /** Number among the captured frames; before it leaves the waiting room, among the held ones. Cut to 32 bits. */
    public number: number,
    /** The memory and the offset of virtio_net_hdr, padding and frame, and how many bytes of the frame there are. */
    readonly block: Block,
    readonly at: number,
    readonly captured: number,
  ) {}

  /** Whether the frame is still in the waiting room, as far as known. */
  get inRoom(): boolean {
    return this.held && this.releasedAt === 0;
  }

  /** Notes that the frame left the waiting room and entered the ring. */
  release(number: number, time: number): void {
    this.releasedAt = time;
    this.number = number;
  }

  refuse(reason: number, time: number): void {
    if (this.held) this.releasedAt = time;
    this.ending = 'refused';
    this.reason = reason;
    this.endedAt = time;
  }

  end(outcome: number, detail: number, time: number): void {
    this.ending = 'told';
    this.outcome = outcome;
    this.detail = detail;
    this.endedAt = time;
  }

  /** Offset of the frame itself. */
  get frameAt(): number {
    return this.at + HEADER_BYTES;
  }

  get bytes(): Uint8Array {
    return this.block.bytes.subarray(this.frameAt, this.frameAt + this.captured);
  }

  get virtioNetHeader(): Uint8Array {
    return this.block.bytes.subarray(this.at, this.at + VNET_HDR_BYTES);
  }

  /** Whether the virtio_net_hdr is not all zeroes. */
  get hasVirtioNetHeader(): boolean {
    const { words } = this.block;
    const first = this.at >>> 2;
    return ((words[first] as number) | (words[first + 1] as number) | ((words[first + 2] as number) & 0xffff)) !== 0;
  }

  /** Memory that the frame takes, in bytes. */
  get size(): number {
    return HEADER_BYTES + this.captured;
  }
}

/** Takes the records of a trace ring. Numbers are cut to 32 bits. */
export interface TraceListener {
  captured(frame: RecordedFrame): void;
  held(frame: RecordedFrame): void;
  refused(frame: RecordedFrame, reason: number): void;
  /** A held frame is captured now, or refused. `tag`: what is known of its number in the room. */
  released(tag: number, number: number, time: number): void;
  roomRefused(tag: number, reason: number, time: number): void;
}

export class TraceReader implements Disposable {
  private readonly ring: RingBuffer;
  private readonly view: DataView;
  private readonly source: Block;
  private readonly memory = new FrameMemory();

  /** Frames that the filter does not match. */
  unmatched = 0;

  /** The map may be closed afterwards. With a filter, frames that do not match are not passed on. */
  constructor(
    trace: BpfMap,
    private readonly filter: PacketFilter | null,
  ) {
    this.ring = new RingBuffer(trace);
    const { data } = this.ring;
    this.view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    this.source = blockOf(data);
  }

  /** Bytes written since the beginning. */
  get written(): number {
    return this.ring.reader.producerPosition();
  }

  get read(): number {
    return this.ring.reader.consumerPosition();
  }

  /** Passes on the records that are there, about a thousand at most; returns how many there were. */
  take(listener: TraceListener): number {
    const { reader } = this.ring;
    const count = reader.lease(reader.capacity);
    for (let i = 0; i < count; i++) this.handOn(reader.offsets[i] as number, listener);
    reader.commit(count);
    return count;
  }

  private handOn(at: number, listener: TraceListener): void {
    const { view } = this;
    const time =
      view.getUint32(at + TRACE_RECORD.time + 4, true) * 4294967296 + view.getUint32(at + TRACE_RECORD.time, true);
    const number = view.getUint32(at + TRACE_RECORD.number, true);
    const tag = view.getUint16(at + TRACE_RECORD.roomTag, true);
    switch (view.getUint16(at + TRACE_RECORD.kind, true)) {
      case TRACE_KIND.captured:
        return this.matches(at) ? listener.captured(this.frame(at, time, false, number)) : undefined;
      case TRACE_KIND.held:
        return this.matches(at) ? listener.held(this.frame(at, time, true, number)) : undefined;
      case TRACE_KIND.refused:
        return this.matches(at) ? listener.refused(this.frame(at, time, false, 0), number) : undefined;
      case TRACE_KIND.released:
        return listener.released(tag, number, time);
      case TRACE_KIND.roomRefused:
        return listener.roomRefused(tag, number, time);
    }
  }

  private matches(at: number): boolean {
    const { view, filter } = this;
    if (filter === null) return true;
    const matches = filter.matches(
      this.source.bytes,
      at + TRACE_RECORD.frame,
      view.getUint32(at + TRACE_RECORD.copied, true),
      view.getUint32(at + TRACE_RECORD.frameLen, true),
    );
    if (!matches) this.unmatched++;
    return matches;
  }

  /** A frame with a copy of its bytes, because the record goes back to the trace ring. */
  private frame(at: number, time: number, held: boolean, number: number): RecordedFrame {
    const { view } = this;
    const copied = view.getUint32(at + TRACE_RECORD.copied, true);
    const bytes = HEADER_BYTES + copied;
    const to = this.memory.reserve(bytes);
    const { block } = this.memory;
    copyWords(this.source, at + TRACE_RECORD.vnet, block, to, bytes);
    return new RecordedFrame(time, view.getUint32(at + TRACE_RECORD.frameLen, true), held, number, block, to, copied);
  }

  close(): void {
    this.ring.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
