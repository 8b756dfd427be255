// SPDX-License-Identifier: MIT
/** pcapng, in either byte order, of one section or several: frames with their comments. What else is in it is skipped. */
import { BLOCK, BYTE_ORDER_MAGIC, OPTION } from '../recording/pcapng';
import type { ByteQueue } from './byte-queue';
import { damaged, requireEthernet, type CapturedFrame, type CaptureParser } from './captured-frame';

interface Interface {
  linkType: number;
  snapLen: number;
  /** Units of a time stamp in a second. */
  perSecond: bigint;
  /** Seconds to add to each. */
  offset: bigint;
}

/** Type, length, and the length once more behind it. */
const BLOCK_BYTES_MIN = 12;
const BLOCK_BYTES_MAX = 64 << 20;
const TIME_OFFSET = 14;
/** More than any recorder describes; each takes memory until its section ends. */
const INTERFACES_MAX = 65_536;
/** Of a frame; ours has one. */
const COMMENTS_MAX = 64;
const NONE: readonly string[] = [];
const NANOSECONDS = 1_000_000_000n;

export class PcapngParser implements CaptureParser {
  private little = true;
  private interfaces: Interface[] = [];

  constructor(private readonly queue: ByteQueue) {}

  next(): CapturedFrame | null {
    for (;;) {
      const block = this.nextBlock();
      if (!block) return null;
      const frame = this.frameOf(block);
      if (frame) return frame;
    }
  }

  private nextBlock(): Buffer | null {
    const { queue } = this;
    const head = queue.peek(BLOCK_BYTES_MIN);
    if (!head) return null;
    // The type of a section's header reads the same either way.
    if (head.readUInt32LE() === BLOCK.sectionHeader) this.beginSection(head);
    const length = this.u32(head, 4);
    if (length < BLOCK_BYTES_MIN || length % 4 !== 0 || length > BLOCK_BYTES_MAX) throw damaged(`has a block of ${length} bytes`);
    const block = queue.peek(length);
    if (!block) return null;
    if (this.u32(block, length - 4) !== length) throw damaged('has a block that ends otherwise than it begins');
    queue.skip(length);
    return block;
  }

  private beginSection(head: Buffer): void {
    if (head.readUInt32LE(8) === BYTE_ORDER_MAGIC) this.little = true;
    else if (head.readUInt32BE(8) === BYTE_ORDER_MAGIC) this.little = false;
    else throw damaged('has a section without a byte order');
    this.interfaces = [];
  }

  /** Null for blocks that are no frames. */
  private frameOf(block: Buffer): CapturedFrame | null {
    switch (this.u32(block, 0)) {
      case BLOCK.interfaceDescription:
        if (this.interfaces.length === INTERFACES_MAX) throw damaged(`describes more than ${INTERFACES_MAX} interfaces`);
        this.interfaces.push(this.interfaceOf(block));
        return null;
      case BLOCK.enhancedPacket:
        return this.packet(block, this.u32(this.atLeast(block, 32), 8));
      case BLOCK.packet:
        return this.packet(block, this.u16(this.atLeast(block, 32), 8));
      case BLOCK.simplePacket:
        return this.simplePacket(this.atLeast(block, 16));
      default:
        return null;
    }
  }

  private interfaceOf(block: Buffer): Interface {
    const found: Interface = { linkType: this.u16(this.atLeast(block, 20), 8), snapLen: this.u32(block, 12), perSecond: 1_000_000n, offset: 0n };
    for (const [code, value] of this.options(block, 16)) {
      if (code === OPTION.interface.resolution && value.length === 1) found.perSecond = unitsOf(value[0] as number);
      if (code === TIME_OFFSET && value.length === 8) found.offset = this.little ? value.readBigInt64LE() : value.readBigInt64BE();
    }
    return found;
  }

  private packet(block: Buffer, id: number): CapturedFrame {
    const { perSecond, offset } = this.interface(id);
    const captured = this.u32(block, 20);
    const end = 28 + Math.ceil(captured / 4) * 4;
    this.atLeast(block, end + 4);
    const units = BigInt(this.u32(block, 12)) * 0x100000000n + BigInt(this.u32(block, 16));
    const comments: string[] = [];
    for (const [code, value] of this.options(block, end)) {
      if (code === OPTION.comment) comments.push(value.toString('utf8'));
      if (comments.length > COMMENTS_MAX) throw damaged(`has more than ${COMMENTS_MAX} comments on a frame`);
    }
    return { time: (units * NANOSECONDS) / perSecond + offset * NANOSECONDS, length: this.u32(block, 24), bytes: block.subarray(28, 28 + captured), comments };
  }

  private simplePacket(block: Buffer): CapturedFrame {
    const { snapLen } = this.interface(0);
    const length = this.u32(block, 8);
    const captured = Math.min(length, snapLen === 0 ? length : snapLen);
    this.atLeast(block, 12 + captured + 4);
    return { time: null, length, bytes: block.subarray(12, 12 + captured), comments: NONE };
  }

  private interface(id: number): Interface {
    const found = this.interfaces[id];
    if (!found) throw damaged(`has a frame of an interface ${id} that it does not describe`);
    requireEthernet(found.linkType);
    return found;
  }

  /** Options of a block, from `at` on: each a code, a length and a value padded to 4 bytes. */
  private *options(block: Buffer, at: number): Generator<[number, Buffer]> {
    const end = block.length - 4;
    while (at + 4 <= end) {
      const code = this.u16(block, at);
      const length = this.u16(block, at + 2);
      if (code === OPTION.end) return;
      if (at + 4 + length > end) throw damaged('has an option that is longer than its block');
      yield [code, block.subarray(at + 4, at + 4 + length)];
      at += 4 + Math.ceil(length / 4) * 4;
    }
  }

  private atLeast(block: Buffer, bytes: number): Buffer {
    if (block.length < bytes) throw damaged(`has a block of ${block.length} bytes that needs ${bytes}`);
    return block;
  }

  private u16(bytes: Buffer, at: number): number {
    return this.little ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at);
  }

  private u32(bytes: Buffer, at: number): number {
    return this.little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at);
  }
}

/** if_tsresol: a negative power of 10, or of 2 if the top bit is set. */
function unitsOf(resolution: number): bigint {
  return (resolution & 0x80 ? 2n : 10n) ** BigInt(resolution & 0x7f);
}
