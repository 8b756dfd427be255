// SPDX-License-Identifier: MIT
/** Bytes that grow at the end, in the byte order of this machine: blocks of pcapng before they are written out. */
import { copyWords, newBlock, type Block } from './copy';

export class BlockBuffer {
  private block: Block;
  private text: Buffer;
  /** Bytes so far; whole words, when a block of the file is complete. */
  length = 0;

  constructor(private readonly size = 1 << 18) {
    this.block = newBlock(size);
    this.text = Buffer.from(this.block.bytes.buffer);
  }

  /** Code and length of an option. */
  pair16(low: number, high: number): void {
    this.u32(low | (high << 16));
  }

  u32(value: number): void {
    const at = this.need(4);
    this.block.words[at >>> 2] = value;
    this.length = at + 4;
  }

  /** Of raw bytes, and zeroes up to a multiple of 4. */
  padded(data: Uint8Array): void {
    const at = this.need(data.length + 3);
    this.block.bytes.set(data, at);
    this.pad(at + data.length);
  }

  /** The same of bytes that begin at a multiple of 4. */
  copied(source: Block, from: number, length: number): void {
    const at = this.need(length + 3);
    copyWords(source, from, this.block, at, length);
    this.pad(at + length);
  }

  /** The same of a text that has only ASCII in it. */
  ascii(text: string): void {
    const at = this.need(text.length + 3);
    this.text.write(text, at, text.length, 'latin1');
    this.pad(at + text.length);
  }

  /** Writes a u32 where something was written already. */
  patch32(at: number, value: number): void {
    this.block.words[at >>> 2] = value;
  }

  /** What was written; it is empty then, and the bytes are the caller's. */
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

  /** Makes sure that so many bytes fit; returns where they go. */
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
