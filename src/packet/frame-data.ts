// SPDX-License-Identifier: MIT
/**
 * The memory behind a Frame: one object is used for frame after frame, so that looking at one
 * allocates nothing. Headers are found when somebody asks for the first of them.
 */
import { HeaderOffsets } from './header-offsets';

const NOTHING = new Uint8Array(0);

/** Makes a copy that may be written to, with its checksums complete. */
export type MakeWritable = (data: FrameData) => Uint8Array;

export class FrameData {
  memory: Uint8Array = NOTHING;
  start = 0;
  length = 0;
  /** The copy that somebody has been given, or null. */
  writable: Uint8Array | null = null;
  private readonly headers = new HeaderOffsets();
  private found = false;
  private isOpen = false;

  constructor(private readonly makeWritable: MakeWritable) {}

  /** Shows the frame in `memory[start, start + length)` from now on. */
  open(memory: Uint8Array, start: number, length: number): void {
    this.memory = memory;
    this.start = start;
    this.length = length;
    this.writable = null;
    this.found = false;
    this.isOpen = true;
  }

  /** From now on whoever kept a view is told so. */
  close(): void {
    this.isOpen = false;
  }

  requireOpen(): void {
    if (!this.isOpen) {
      throw new Error('this frame was looked at after the hook had returned: its memory holds another one now; frame.copy() makes one that stays');
    }
  }

  offsets(): HeaderOffsets {
    this.requireOpen();
    if (!this.found) {
      this.headers.find(this.memory, this.start, this.length);
      this.found = true;
    }
    return this.headers;
  }

  u8(offset: number): number {
    this.requireOpen();
    return this.memory[this.start + offset] as number;
  }

  u16(offset: number): number {
    return (this.u8(offset) << 8) | (this.memory[this.start + offset + 1] as number);
  }

  u32(offset: number): number {
    return this.u16(offset) * 0x10000 + this.u16(offset + 2);
  }

  /** The writable copy; what is read from now on is read from it. */
  bytes(): Uint8Array {
    this.requireOpen();
    if (this.writable === null) {
      const copy = this.makeWritable(this);
      this.memory = copy;
      this.start = 0;
      this.writable = copy;
    }
    this.found = false; // whoever has it may write into it
    return this.writable;
  }
}
