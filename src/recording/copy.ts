// SPDX-License-Identifier: MIT
/** Copying of frames, most of which are short: a view of each, as set() needs one, would take longer than its bytes. */

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
