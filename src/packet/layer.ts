// SPDX-License-Identifier: MIT
/** The headers of a frame as objects with fields. Each is where the frame has it at the moment. */
import type { FrameData } from './frame-data';

export abstract class Layer {
  constructor(protected readonly data: FrameData) {}

  /** Where the header begins, in bytes from the start of the frame. */
  abstract get offset(): number;

  protected u8(at: number): number {
    return this.data.u8(this.offset + at);
  }

  protected u16(at: number): number {
    return this.data.u16(this.offset + at);
  }

  protected u32(at: number): number {
    return this.data.u32(this.offset + at);
  }

  /** An address as text: `text` reads it at a place in memory. */
  protected text(text: (memory: Uint8Array, at: number) => string, at: number): string {
    const { offset, data } = this;
    return text(data.memory, data.start + offset + at);
  }

  /** Part of the writable copy, from one place in the frame to another. */
  protected part(from: number, to: number): Uint8Array {
    return this.data.bytes().subarray(from, Math.max(from, to));
  }
}
