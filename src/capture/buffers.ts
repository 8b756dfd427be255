// SPDX-License-Identifier: MIT
/**
 * Memory for frames, copied by words: most frames are short, and for a short one the view that set() needs takes longer
 * to make than its bytes take to copy.
 */

const SHORT_BYTES = 512;

/** Bytes, and a view of them as 32-bit words. */
export interface Block {
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
}

export const blockOf = (bytes: Uint8Array): Block => ({
  bytes,
  words: new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 2),
});

/** A new block that starts at a multiple of 8. */
export const newBlock = (length: number): Block => blockOf(new Uint8Array(new ArrayBuffer(length)));

/** Copies `length` bytes, and up to three more; `from` and `to` are multiples of 4. */
export function copyWords(source: Block, from: number, target: Block, to: number, length: number): void {
  if (length > SHORT_BYTES) {
    target.bytes.set(source.bytes.subarray(from, from + length), to);
    return;
  }
  const end = (from + length + 3) >>> 2;
  for (let i = from >>> 2, j = to >>> 2; i < end; i++, j++) target.words[j] = source.words[i] as number;
}

const CHUNK_BYTES = 1 << 20;

/** Memory for waiting frames, in chunks. A chunk is kept as long as any frame in it. */
export class FrameMemory {
  private chunk = newBlock(CHUNK_BYTES);
  private used = 0;

  /** Reserves `length` bytes, and a few more, in `block`; returns their offset. */
  reserve(length: number): number {
    const needed = (length + 7) & ~7;
    if (this.used + needed > CHUNK_BYTES) {
      this.chunk = newBlock(CHUNK_BYTES);
      this.used = 0;
    }
    const at = this.used;
    this.used += needed;
    return at;
  }

  get block(): Block {
    return this.chunk;
  }
}

/** The same memory as a Buffer, which writes text twice as fast as a loop; null in a browser, which has none. */
const textOf = ({ bytes }: Block): Buffer | null =>
  typeof Buffer === 'undefined' ? null : Buffer.from(bytes.buffer as ArrayBuffer);

/**
 * Blocks of a file before they are written out: bytes that are appended, in this machine's byte order. Browsers have it,
 * too: it needs nothing of Node.js.
 */
export class BlockBuffer {
  private block: Block;
  private text: Buffer | null;
  /** Bytes so far; a multiple of 4 whenever a block of the file is complete. */
  length = 0;

  constructor(private readonly size = 1 << 18) {
    this.block = newBlock(size);
    this.text = textOf(this.block);
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
    if (this.text) this.text.write(text, at, text.length, 'latin1');
    else for (let i = 0; i < text.length; i++) this.block.bytes[at + i] = text.charCodeAt(i);
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
    this.text = textOf(this.block);
  }
}

/**
 * Bytes that arrive in pieces and are taken in other pieces. Each is copied at most twice, however small the pieces.
 */
export class ByteQueue {
  /** The bytes that peek() can return; `later` has what arrived after them. */
  private bytes: Buffer = Buffer.alloc(0);
  private at = 0;
  private later: Buffer[] = [];
  private laterBytes = 0;
  /** Bytes to drop that have not arrived yet. */
  private owed = 0;
  /** Bytes taken or dropped so far. */
  taken = 0;

  push(chunk: Buffer): void {
    const dropped = Math.min(this.owed, chunk.length);
    this.owed -= dropped;
    this.taken += dropped;
    if (dropped === chunk.length) return;
    this.later.push(dropped === 0 ? chunk : chunk.subarray(dropped));
    this.laterBytes += chunk.length - dropped;
  }

  /** False while bytes wait to be taken, or bytes that are to be dropped have not arrived. */
  get isEmpty(): boolean {
    return this.length === 0 && this.owed === 0;
  }

  get length(): number {
    return this.bytes.length - this.at + this.laterBytes;
  }

  /** The next bytes, which stay in the queue; null if there are fewer than `count`. */
  peek(count: number): Buffer | null {
    if (this.length < count) return null;
    if (this.bytes.length - this.at < count) this.gather();
    return this.bytes.subarray(this.at, this.at + count);
  }

  private gather(): void {
    const rest = this.bytes.subarray(this.at);
    const [first] = this.later;
    this.bytes = rest.length === 0 && first && this.later.length === 1 ? first : Buffer.concat([rest, ...this.later]);
    this.at = 0;
    this.later = [];
    this.laterBytes = 0;
  }

  /** Takes bytes that peek() has returned. */
  skip(count: number): void {
    this.at += count;
    this.taken += count;
  }

  /** Drops bytes, including those that have not arrived yet: a block of any size takes no memory. */
  discard(count: number): void {
    const here = Math.min(count, this.length);
    if (this.bytes.length - this.at < here) this.gather();
    this.skip(here);
    this.owed += count - here;
  }
}
