// SPDX-License-Identifier: MIT
/** One frame of a recording: what the tape said of it, and what has become known since. Times are ns of CLOCK_MONOTONIC. */
import { VNET_HDR_BYTES } from '../datapath/layout';

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
    /** Bytes on the wire; `data` may have fewer. */
    readonly length: number,
    /** It had to wait. */
    readonly held: boolean,
    /** Among the captured ones; until it comes out of the room, among the held ones. Cut to 32 bits. */
    public number: number,
    /** The virtio_net_hdr, padding, the frame. */
    private readonly data: Uint8Array,
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

  get bytes(): Uint8Array {
    return this.data.subarray(VNET_HDR_BYTES + PAD_BYTES);
  }

  get virtioNetHeader(): Uint8Array {
    return this.data.subarray(0, VNET_HDR_BYTES);
  }

  /** Memory that it takes. */
  get size(): number {
    return this.data.length;
  }
}
