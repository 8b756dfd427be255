// SPDX-License-Identifier: MIT
/** Writes one section of pcapng with one interface: frames with comments, and statistics at the end. */
import { type Block, copyWords, newBlock } from './buffers';
import { BLOCK, BYTE_ORDER_MAGIC, FLAGS, LINKTYPE_ETHERNET, OPTION } from './format';

// Blocks of pcapng before they are written out: bytes that are appended, in this machine's byte order.

export class BlockBuffer {
  private block: Block;
  private text: Buffer;
  /** Bytes so far; a multiple of 4 whenever a block of the file is complete. */
  length = 0;

  constructor(private readonly size = 1 << 18) {
    this.block = newBlock(size);
    this.text = Buffer.from(this.block.bytes.buffer);
  }

  /** Appends two u16, such as code and length of an option. */
  pair16(low: number, high: number): void {
    this.u32(low | (high << 16));
  }

  u32(value: number): void {
    const at = this.need(4);
    this.block.words[at >>> 2] = value;
    this.length = at + 4;
  }

  /** Appends bytes, and zeroes up to a multiple of 4. */
  padded(data: Uint8Array): void {
    const at = this.need(data.length + 3);
    this.block.bytes.set(data, at);
    this.pad(at + data.length);
  }

  /** padded() for bytes that begin at a multiple of 4. */
  copied(source: Block, from: number, length: number): void {
    const at = this.need(length + 3);
    copyWords(source, from, this.block, at, length);
    this.pad(at + length);
  }

  /** padded() for a text that contains only ASCII. */
  ascii(text: string): void {
    const at = this.need(text.length + 3);
    this.text.write(text, at, text.length, 'latin1');
    this.pad(at + text.length);
  }

  /** Overwrites a u32. */
  patch32(at: number, value: number): void {
    this.block.words[at >>> 2] = value;
  }

  /** Empties the buffer; returns its bytes, which are the caller's. */
  take(): Uint8Array {
    const taken = this.block.bytes.subarray(0, this.length);
    this.grow(this.size);
    this.length = 0;
    return taken;
  }

  private pad(end: number): void {
    this.length = (end + 3) & ~3;
    for (let at = end; at < this.length; at++) this.block.bytes[at] = 0;
  }

  /** Makes sure that `more` bytes fit; returns where they go. */
  private need(more: number): number {
    const needed = this.length + more;
    if (needed > this.block.bytes.length) {
      const before = this.block.bytes;
      this.grow(Math.max(needed + 8, before.length * 2) & ~7);
      this.block.bytes.set(before);
    }
    return this.length;
  }

  private grow(bytes: number): void {
    this.block = newBlock(bytes);
    this.text = Buffer.from(this.block.bytes.buffer);
  }
}

export interface Section {
  application: string;
  os: string;
  interface: string;
  description: string;
  /** Bytes kept of a frame; 0 for all. */
  snapLen: number;
  /** A filter in tcpdump's syntax; undefined for all frames. */
  filter?: string | undefined;
}

export interface RecordedPacket {
  /** Nanoseconds since 1970, as two halves of 64 bits. */
  high: number;
  low: number;
  /** Bytes on the wire. */
  length: number;
  /** The bytes that are kept; `at` is a multiple of 4. */
  block: Block;
  at: number;
  captured: number;
  /** ASCII only. */
  comment: string;
}

export interface Statistics {
  start: Stamp;
  end: Stamp;
  /** All frames, those that are missing from the file, and those in the file. */
  received: number;
  dropped: number;
  delivered: number;
  /** Frames that match the filter, if there is one. */
  accepted?: number | undefined;
  comment: string;
}

export interface Stamp {
  high: number;
  low: number;
}

const NANOSECONDS = 9;

export class PcapngWriter {
  constructor(readonly out: BlockBuffer = new BlockBuffer()) {}

  begin(section: Section): void {
    this.block(BLOCK.sectionHeader, () => {
      this.out.u32(BYTE_ORDER_MAGIC);
      this.out.pair16(1, 0); // version
      this.out.u32(0xffffffff); // length of the section: not known
      this.out.u32(0xffffffff);
      this.text(OPTION.section.os, section.os);
      this.text(OPTION.section.application, section.application);
      this.endOfOptions();
    });
    this.block(BLOCK.interfaceDescription, () => {
      this.out.pair16(LINKTYPE_ETHERNET, 0);
      this.out.u32(section.snapLen);
      this.text(OPTION.interface.name, section.interface);
      this.text(OPTION.interface.description, section.description);
      this.option(OPTION.interface.resolution, new Uint8Array([NANOSECONDS]));
      // The first byte marks tcpdump's syntax.
      if (section.filter !== undefined) this.text(OPTION.interface.filter, `\0${section.filter}`);
      this.text(OPTION.interface.os, section.os);
      this.endOfOptions();
    });
  }

  packet({ high, low, length, block, at: from, captured, comment }: RecordedPacket): void {
    const { out } = this;
    const at = this.open(BLOCK.enhancedPacket);
    out.u32(0); // interface
    out.u32(high);
    out.u32(low);
    out.u32(captured);
    out.u32(length);
    out.copied(block, from, captured);
    out.pair16(OPTION.comment, comment.length);
    out.ascii(comment);
    out.pair16(OPTION.packet.flags, 4);
    out.u32(FLAGS.outbound);
    this.endOfOptions();
    this.close(at);
  }

  /** Writes the latest counts. */
  statistics({ start, end, received, dropped, delivered, accepted, comment }: Statistics): void {
    this.block(BLOCK.interfaceStatistics, () => {
      this.out.u32(0);
      this.out.u32(end.high);
      this.out.u32(end.low);
      this.text(OPTION.comment, comment);
      this.pair(OPTION.statistics.start, start.high, start.low);
      this.pair(OPTION.statistics.end, end.high, end.low);
      this.count(OPTION.statistics.received, received);
      this.count(OPTION.statistics.dropped, dropped);
      if (accepted !== undefined) this.count(OPTION.statistics.accepted, accepted);
      this.count(OPTION.statistics.delivered, delivered);
      this.endOfOptions();
    });
  }

  private block(type: number, body: () => void): void {
    const at = this.open(type);
    body();
    this.close(at);
  }

  private open(type: number): number {
    const at = this.out.length;
    this.out.u32(type);
    this.out.u32(0);
    return at;
  }

  /** Ends a block: its length is written both in front and behind. */
  private close(at: number): void {
    const length = this.out.length + 4 - at;
    this.out.patch32(at + 4, length);
    this.out.u32(length);
  }

  private option(code: number, value: Uint8Array): void {
    this.out.pair16(code, value.length);
    this.out.padded(value);
  }

  private text(code: number, value: string): void {
    this.option(code, Buffer.from(value));
  }

  /** Writes a time stamp: the high half first, in either byte order. */
  private pair(code: number, high: number, low: number): void {
    this.out.pair16(code, 8);
    this.out.u32(high);
    this.out.u32(low);
  }

  /** Writes a 64-bit integer, in this machine's byte order. */
  private count(code: number, value: number): void {
    this.pair(code, value >>> 0, Math.floor(value / 4294967296));
  }

  private endOfOptions(): void {
    this.out.u32(OPTION.end);
  }
}
