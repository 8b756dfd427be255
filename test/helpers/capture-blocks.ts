// SPDX-License-Identifier: MIT
/** Builds capture files block by block, as tools other than ours write them. */

export const padded = (value: Buffer): Buffer => Buffer.concat([value, Buffer.alloc((4 - (value.length % 4)) % 4)]);

/** Blocks in little-endian byte order if `little` is true, otherwise in big-endian. */
export class Blocks {
  constructor(private readonly little: boolean) {}

  u16(...values: number[]): Buffer {
    return Buffer.concat(values.map((value) => this.number(value, 2)));
  }

  u32(...values: number[]): Buffer {
    return Buffer.concat(values.map((value) => this.number(value, 4)));
  }

  block(type: number, ...body: Buffer[]): Buffer {
    const length = 12 + body.reduce((sum, part) => sum + part.length, 0);
    return Buffer.concat([this.u32(type, length), ...body, this.u32(length)]);
  }

  option(code: number, value: Buffer): Buffer {
    return Buffer.concat([this.u16(code, value.length), padded(value)]);
  }

  section(): Buffer {
    return this.block(0x0a0d0d0a, this.u32(0x1a2b3c4d), this.u16(1, 0), this.u32(0xffffffff, 0xffffffff));
  }

  interface(linkType: number, ...options: Buffer[]): Buffer {
    return this.block(1, this.u16(linkType, 0), this.u32(0), ...options);
  }

  /** An enhanced packet block whose lengths need not match its bytes. */
  odd(id: number, captured: number, length: number, bytes: Buffer, ...options: Buffer[]): Buffer {
    return this.block(6, this.u32(id, 0, 0, captured, length), padded(bytes), ...options);
  }

  packet(high: number, low: number, frame: Buffer, ...options: Buffer[]): Buffer {
    return this.block(6, this.u32(0, high, low, frame.length, frame.length), padded(frame), ...options);
  }

  /** The header of a classic capture file. */
  pcapHeader(magic: number, linkType: number, minor = 4): Buffer {
    return Buffer.concat([this.u32(magic), this.u16(2, minor), this.u32(0, 0, 65535, linkType)]);
  }

  /**
   * A record of a classic capture file; `more` is the number of bytes that a patched libpcap adds to the record header.
   */
  pcapRecord(
    frame: Buffer,
    { seconds = 1_700_000_000, captured = frame.length, length = frame.length, more = 0 } = {},
  ): Buffer {
    return Buffer.concat([this.u32(seconds, 20, captured, length), Buffer.alloc(more, 1), frame]);
  }

  private number(value: number, bytes: 2 | 4): Buffer {
    const buffer = Buffer.alloc(bytes);
    if (this.little) buffer.writeUIntLE(value, 0, bytes);
    else buffer.writeUIntBE(value, 0, bytes);
    return buffer;
  }
}
