// SPDX-License-Identifier: MIT
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
