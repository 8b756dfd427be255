// SPDX-License-Identifier: MIT
/** Takes records off the tape (bpf/tape.h), and hands them on one by one. */
import type { BpfMap } from 'libbpf-ts';
import { RingBuffer } from 'libbpf-ts';

import { TAPE, TAPE_RECORD } from '../datapath/layout';
import type { PacketFilter } from '../filter/program';
import { blockOf, copyWords, FrameMemory, type Block } from './copy';
import { HEADER_BYTES, RecordedFrame } from './recorded-frame';

/** Numbers are cut to 32 bits. */
export interface TapeListener {
  captured(frame: RecordedFrame): void;
  held(frame: RecordedFrame): void;
  refused(frame: RecordedFrame, reason: number): void;
  /** A held frame is captured, or refused, now. `tag`: what is known of its number in the room. */
  released(tag: number, number: number, time: number): void;
  roomRefused(tag: number, reason: number, time: number): void;
}

export class TapeReader implements Disposable {
  private readonly ring: RingBuffer;
  private readonly view: DataView;
  private readonly source: Block;
  private readonly memory = new FrameMemory();

  /** Frames that the filter does not match. */
  unmatched = 0;

  /** The map may be closed afterwards. With a filter, frames that it does not match are not handed on. */
  constructor(
    tape: BpfMap,
    private readonly filter: PacketFilter | null,
  ) {
    this.ring = new RingBuffer(tape);
    const { data } = this.ring;
    this.view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    this.source = blockOf(data);
  }

  /** How far it has been written, in bytes since the beginning. */
  get written(): number {
    return this.ring.reader.producerPosition();
  }

  get read(): number {
    return this.ring.reader.consumerPosition();
  }

  /** Hands on what is there, at most about a thousand records; how many there were. */
  take(listener: TapeListener): number {
    const { reader } = this.ring;
    const count = reader.lease(reader.capacity);
    for (let i = 0; i < count; i++) this.handOn(reader.offsets[i] as number, listener);
    reader.commit(count);
    return count;
  }

  private handOn(at: number, listener: TapeListener): void {
    const { view } = this;
    const time = view.getUint32(at + TAPE_RECORD.time + 4, true) * 4294967296 + view.getUint32(at + TAPE_RECORD.time, true);
    const number = view.getUint32(at + TAPE_RECORD.number, true);
    const tag = view.getUint16(at + TAPE_RECORD.roomTag, true);
    switch (view.getUint16(at + TAPE_RECORD.kind, true)) {
      case TAPE.captured:
        return this.matches(at) ? listener.captured(this.frame(at, time, false, number)) : undefined;
      case TAPE.held:
        return this.matches(at) ? listener.held(this.frame(at, time, true, number)) : undefined;
      case TAPE.refused:
        return this.matches(at) ? listener.refused(this.frame(at, time, false, 0), number) : undefined;
      case TAPE.released:
        return listener.released(tag, number, time);
      case TAPE.roomRefused:
        return listener.roomRefused(tag, number, time);
    }
  }

  private matches(at: number): boolean {
    const { view, filter } = this;
    if (filter === null) return true;
    const matches = filter.matches(this.source.bytes, at + TAPE_RECORD.frame, view.getUint32(at + TAPE_RECORD.copied, true), view.getUint32(at + TAPE_RECORD.frameLen, true));
    if (!matches) this.unmatched++;
    return matches;
  }

  /** With a copy of its bytes: the record goes back to the tape. */
  private frame(at: number, time: number, held: boolean, number: number): RecordedFrame {
    const { view } = this;
    const copied = view.getUint32(at + TAPE_RECORD.copied, true);
    const bytes = HEADER_BYTES + copied;
    const to = this.memory.reserve(bytes);
    const { block } = this.memory;
    copyWords(this.source, at + TAPE_RECORD.vnet, block, to, bytes);
    return new RecordedFrame(time, view.getUint32(at + TAPE_RECORD.frameLen, true), held, number, block, to, copied);
  }

  close(): void {
    this.ring.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
