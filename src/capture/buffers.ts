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

export const blockOf = (bytes: Uint8Array): Block => ({ bytes, words: new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 2) });

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
