// SPDX-License-Identifier: MIT
/**
 * Memory for frames. Most frames are short: set() needs a view of each, which takes longer than copying the bytes, so
 * blocks are copied by words.
 */

const SHORT_BYTES = 512;

/** Bytes, and the same as words of 32 bits. */
export interface Block {
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
}

export const blockOf = (bytes: Uint8Array): Block => ({ bytes, words: new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 2) });

/** A new one that starts at a multiple of 8. */
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

/** Memory for frames that wait: chunks, each kept as long as a frame in it is. */
export class FrameMemory {
  private chunk = newBlock(CHUNK_BYTES);
  private used = 0;

  /** Room for that many bytes, and a few more, in `chunk` from the offset that is returned on. */
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

/** Bytes that come in pieces and are taken in other pieces. Each is copied at most twice, however small the pieces are. */
export class ByteQueue {
  /** What can be looked at; behind it lies what has come since. */
  private bytes: Buffer = Buffer.alloc(0);
  private at = 0;
  private later: Buffer[] = [];
  private laterBytes = 0;
  /** Bytes to drop that have not come yet. */
  private owed = 0;
  /** Bytes that were taken or dropped so far. */
  taken = 0;

  push(chunk: Buffer): void {
    const dropped = Math.min(this.owed, chunk.length);
    this.owed -= dropped;
    this.taken += dropped;
    if (dropped === chunk.length) return;
    this.later.push(dropped === 0 ? chunk : chunk.subarray(dropped));
    this.laterBytes += chunk.length - dropped;
  }

  /** Whether bytes wait to be taken, or are still to come that were dropped already. */
  get isEmpty(): boolean {
    return this.length === 0 && this.owed === 0;
  }

  get length(): number {
    return this.bytes.length - this.at + this.laterBytes;
  }

  /** The next bytes, which stay; null if there are not as many. */
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

  /** Takes bytes that peek() has shown. */
  skip(count: number): void {
    this.at += count;
    this.taken += count;
  }

  /** Drops bytes, also those that have not come yet: a block of any size takes no memory. */
  discard(count: number): void {
    const here = Math.min(count, this.length);
    if (this.bytes.length - this.at < here) this.gather();
    this.skip(here);
    this.owed += count - here;
  }
}
