// SPDX-License-Identifier: MIT
/**
 * pcapng (draft-ietf-opsawg-pcapng): its numbers, and its reader, which takes either byte order, and one section or
 * several: frames with their comments. It skips everything else. The writer is in pcapng-writer.ts.
 */
import type { ByteQueue } from './buffers';
import {
  ANOTHER_FILE,
  type CapturedFrame,
  type CaptureParser,
  type CaptureReader,
  damaged,
  FRAME_BYTES_MAX,
  NO_BYTES,
  NO_COMMENTS,
  type ParserInput,
  withoutFcs,
} from './contract';

// Numbers of the format.

export const BLOCK = {
  sectionHeader: 0x0a0d0d0a,
  interfaceDescription: 1,
  packet: 2,
  simplePacket: 3,
  interfaceStatistics: 5,
  enhancedPacket: 6,
} as const;
export const BYTE_ORDER_MAGIC = 0x1a2b3c4d;

/** Option codes; those of one kind of block mean something else in another. */
export const OPTION = {
  end: 0,
  comment: 1,
  section: { os: 3, application: 4 },
  interface: { name: 2, description: 3, resolution: 9, filter: 11, os: 12, fcsLength: 13, timeOffset: 14 },
  packet: { flags: 2 },
  statistics: { start: 2, end: 3, received: 4, dropped: 5, accepted: 6, delivered: 8 },
} as const;

/**
 * Fields of epb_flags, and of the old packet block: the frame was outbound, and bytes of its frame check sequence if
 * known.
 */
export const FLAGS = { outbound: 2, fcsLength: { mask: 0x1e0, shift: 5 } } as const;

// Reading.

interface Interface {
  linkType: number;
  snapLen: number;
  /** Bytes of the frame check sequence after each frame. */
  fcsBytes: number;
  /** Units of a timestamp in a second. */
  perSecond: bigint;
  /** Seconds to add to each timestamp. */
  offset: bigint;
}

/** Bytes of an empty block: type, length, and the length once more at the end. Lengths are multiples of 4. */
export const BLOCK_BYTES_MIN = 12;
/** Longer blocks are skipped, in bytes: neither a frame nor what is said of one is that long. */
const BLOCK_BYTES_MAX = 16 << 20;
/** Bytes of a block with a frame: up to the frame's bytes, and of the block without any. */
const PACKET_HEADER_BYTES = 28;
const PACKET_BLOCK_BYTES_MIN = 32;
/** More interfaces than any recorder describes; each takes memory until its section ends. */
const INTERFACES_MAX = 65_536;
/** Comments of one frame; our recordings have one. */
const COMMENTS_MAX = 64;
const NANOSECONDS = 1_000_000_000n;
const PACKETS: ReadonlySet<number> = new Set([BLOCK.enhancedPacket, BLOCK.packet, BLOCK.simplePacket]);
/** Types of blocks that are read. */
const READ: ReadonlySet<number> = new Set([BLOCK.sectionHeader, BLOCK.interfaceDescription, ...PACKETS]);

/** Whether a section header begins here; its type reads the same in either byte order. */
const isSectionHeader = (head: Buffer): boolean => head.readUInt32LE() === BLOCK.sectionHeader;

export const pcapngReader: CaptureReader = {
  recognizes: isSectionHeader,
  isBeginning: (head) =>
    isSectionHeader(head) && [head.readUInt32LE(8), head.readUInt32BE(8)].includes(BYTE_ORDER_MAGIC),
  parser: (input) => new PcapngParser(input),
};

class PcapngParser implements CaptureParser {
  private little = true;
  private interfaces: Interface[] = [];
  /** The length of the block that is being skipped, which is repeated at its end. */
  private passedOver = 0;
  private readonly queue: ByteQueue;

  constructor(private readonly input: ParserInput) {
    this.queue = input.queue;
  }

  next(): CapturedFrame | typeof ANOTHER_FILE | null {
    for (;;) {
      const block = this.nextBlock();
      if (block === null || block === ANOTHER_FILE) return block;
      const frame = this.frameOf(block);
      if (frame) return frame;
    }
  }

  /** The next block that has to be read; of a frame that is too long, the beginning of the block. */
  private nextBlock(): Buffer | typeof ANOTHER_FILE | null {
    const { queue } = this;
    for (;;) {
      if (this.passedOver > 0 && !this.endPassingOver()) return null;
      const head = queue.peek(BLOCK_BYTES_MIN);
      if (!head) return null;
      if (isSectionHeader(head)) this.beginSection(head);
      const type = this.u32(head, 0);
      const length = this.u32(head, 4);
      if (!READ.has(type)) {
        const another = this.input.beginsAnother();
        if (another) return ANOTHER_FILE;
        if (another === null && !this.input.ended) return null;
      }
      const isPacket = PACKETS.has(type);
      if (length < BLOCK_BYTES_MIN || length % 4 !== 0 || (length > BLOCK_BYTES_MAX && READ.has(type) && !isPacket))
        throw damaged(`has a block of ${length} bytes at byte ${queue.taken}`);
      if (READ.has(type) && length <= BLOCK_BYTES_MAX) return this.wholeBlock(length);
      const beginning = queue.peek(isPacket ? PACKET_BLOCK_BYTES_MIN : BLOCK_BYTES_MIN);
      if (!beginning) return null;
      this.passOver(length);
      if (isPacket) return beginning;
    }
  }

  private wholeBlock(length: number): Buffer | null {
    const block = this.queue.peek(length);
    if (!block) return null;
    this.checkEnd(block, length);
    this.queue.skip(length);
    return block;
  }

  private passOver(length: number): void {
    this.passedOver = length;
    this.queue.discard(length - 4);
  }

  /** Ends skipping a block; false if its end has not arrived yet. */
  private endPassingOver(): boolean {
    const end = this.queue.peek(4);
    if (!end) return false;
    this.checkEnd(end, this.passedOver);
    this.queue.skip(4);
    this.passedOver = 0;
    return true;
  }

  private checkEnd(block: Buffer, length: number): void {
    if (this.u32(block, block.length - 4) !== length)
      throw damaged(
        `has a block of ${length} bytes, before byte ${this.queue.taken + block.length}, that ends otherwise than it begins`,
      );
  }

  private beginSection(head: Buffer): void {
    if (head.readUInt32LE(8) === BYTE_ORDER_MAGIC) this.little = true;
    else if (head.readUInt32BE(8) === BYTE_ORDER_MAGIC) this.little = false;
    else throw damaged('has a section without a byte order');
    this.interfaces = [];
  }

  /** The frame of a block; null for blocks of other types. */
  private frameOf(block: Buffer): CapturedFrame | null {
    switch (this.u32(block, 0)) {
      case BLOCK.interfaceDescription:
        if (this.interfaces.length === INTERFACES_MAX)
          throw damaged(`describes more than ${INTERFACES_MAX} interfaces`);
        this.interfaces.push(this.interfaceOf(block));
        return null;
      case BLOCK.enhancedPacket:
        return this.packet(block, this.u32(this.atLeast(block, PACKET_BLOCK_BYTES_MIN), 8));
      case BLOCK.packet:
        return this.packet(block, this.u16(this.atLeast(block, PACKET_BLOCK_BYTES_MIN), 8));
      case BLOCK.simplePacket:
        return this.simplePacket(this.atLeast(block, 16));
      default:
        return null;
    }
  }

  private interfaceOf(block: Buffer): Interface {
    const found: Interface = {
      linkType: this.u16(this.atLeast(block, 20), 8),
      snapLen: this.u32(block, 12),
      fcsBytes: 0,
      perSecond: 1_000_000n,
      offset: 0n,
    };
    for (const [code, value] of this.options(block, 16)) {
      if (code === OPTION.interface.resolution && value.length === 1) found.perSecond = unitsOf(value[0] as number);
      if (code === OPTION.interface.fcsLength && value.length === 1) found.fcsBytes = fcsBytesOf(value[0] as number);
      if (code === OPTION.interface.timeOffset && value.length === 8)
        found.offset = this.little ? value.readBigInt64LE() : value.readBigInt64BE();
    }
    return found;
  }

  private packet(block: Buffer, id: number): CapturedFrame {
    const { linkType, perSecond, offset, fcsBytes: usual } = this.interface(id);
    const captured = this.u32(block, 20);
    const units = BigInt(this.u32(block, 12)) * 0x100000000n + BigInt(this.u32(block, 16));
    const time = (units * NANOSECONDS) / perSecond + offset * NANOSECONDS;
    const frame: CapturedFrame = {
      linkType,
      time,
      length: this.u32(block, 24),
      captured,
      bytes: NO_BYTES,
      comments: NO_COMMENTS,
    };
    const end = PACKET_HEADER_BYTES + Math.ceil(captured / 4) * 4;
    // The end of the block is known all the same, and what follows it can be read.
    if (captured > FRAME_BYTES_MAX || this.passedOver > 0 || block.length < end + 4) return frame;
    const comments: string[] = [];
    let fcsBytes = usual;
    for (const [code, value] of this.options(block, end)) {
      if (code === OPTION.comment) comments.push(value.toString('utf8'));
      if (comments.length > COMMENTS_MAX) throw damaged(`has more than ${COMMENTS_MAX} comments on a frame`);
      if (code === OPTION.packet.flags && value.length === 4)
        fcsBytes = (this.u32(value, 0) & FLAGS.fcsLength.mask) >>> FLAGS.fcsLength.shift || usual;
    }
    return withoutFcs(
      { ...frame, bytes: block.subarray(PACKET_HEADER_BYTES, PACKET_HEADER_BYTES + captured), comments },
      fcsBytes,
    );
  }

  private simplePacket(block: Buffer): CapturedFrame {
    const { linkType, snapLen, fcsBytes } = this.interface(0);
    const length = this.u32(block, 8);
    const there = this.passedOver > 0 ? length : block.length - 16;
    const captured = Math.min(length, snapLen === 0 ? length : snapLen, there);
    const frame: CapturedFrame = { linkType, time: null, length, captured, bytes: NO_BYTES, comments: NO_COMMENTS };
    if (captured > FRAME_BYTES_MAX || this.passedOver > 0) return frame;
    return withoutFcs({ ...frame, bytes: block.subarray(12, 12 + captured) }, fcsBytes);
  }

  private interface(id: number): Interface {
    const found = this.interfaces[id];
    if (!found) throw damaged(`has a frame of an interface ${id} that it does not describe`);
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

/** if_fcslen: bits, as the format says, or bytes, as Wireshark and others understand it. */
const fcsBytesOf = (length: number): number => (length >= 8 ? length >>> 3 : length);

/** if_tsresol: a negative power of 10, or of 2 if the top bit is set. */
function unitsOf(resolution: number): bigint {
  return (resolution & 0x80 ? 2n : 10n) ** BigInt(resolution & 0x7f);
}
