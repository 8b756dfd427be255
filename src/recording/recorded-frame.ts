// SPDX-License-Identifier: MIT
/** One frame of a recording: what the tape said of it, and what has become known since. Times are ns of CLOCK_MONOTONIC. */
import { VNET_HDR_BYTES } from '../datapath/layout';
import type { Block } from './copy';

/** How a frame's way ended, as far as it is known. */
export type Ending =
  /** Nothing is known yet. */
  | 'open'
  /** By the programs: see `reason`. */
  | 'refused'
  /** The poller told: see `fate`. */
  | 'told'
  /** It waited for its turn, and nothing waits there any more. */
  | 'lost'
  /** What the poller told was missed. */
  | 'untold';

/** Between the virtio_net_hdr and the frame, in a record of the tape. */
const PAD_BYTES = 2;
export const HEADER_BYTES = VNET_HDR_BYTES + PAD_BYTES;

export class RecordedFrame {
  ending: Ending = 'open';
  /** When it came out of the waiting room; 0: it has not. */
  releasedAt = 0;
  /** Index into REFUSALS. */
  reason = 0;
  /** Of FATE, and its detail. */
  fate = 0;
  detail = 0;
  endedAt = 0;

  constructor(
    readonly time: number,
    /** Bytes on the wire. */
    readonly length: number,
    /** It had to wait. */
    readonly held: boolean,
    /** Among the captured ones; until it comes out of the room, among the held ones. Cut to 32 bits. */
    public number: number,
    /** Where its virtio_net_hdr, padding and the frame are, and of how many bytes of the frame there are. */
    readonly block: Block,
    readonly at: number,
    readonly captured: number,
  ) {}

  /** Whether it is still in the waiting room, as far as is known. */
  get inRoom(): boolean {
    return this.held && this.releasedAt === 0;
  }

  /** It came out of the room into the ring. */
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

  end(fate: number, detail: number, time: number): void {
    this.ending = 'told';
    this.fate = fate;
    this.detail = detail;
    this.endedAt = time;
  }

  /** Where the frame itself begins. */
  get frameAt(): number {
    return this.at + HEADER_BYTES;
  }

  get bytes(): Uint8Array {
    return this.block.bytes.subarray(this.frameAt, this.frameAt + this.captured);
  }

  get virtioNetHeader(): Uint8Array {
    return this.block.bytes.subarray(this.at, this.at + VNET_HDR_BYTES);
  }

  /** Whether the header says anything. */
  get hasVirtioNetHeader(): boolean {
    const { words } = this.block;
    const first = this.at >>> 2;
    return ((words[first] as number) | (words[first + 1] as number) | ((words[first + 2] as number) & 0xffff)) !== 0;
  }

  /** Memory that it takes. */
  get size(): number {
    return HEADER_BYTES + this.captured;
  }
}
