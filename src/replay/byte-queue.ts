// SPDX-License-Identifier: MIT
/** Bytes that come in pieces and are taken in other pieces. */
export class ByteQueue {
  private bytes: Buffer = Buffer.alloc(0);
  private at = 0;

  push(chunk: Buffer): void {
    this.bytes = this.at === this.bytes.length ? chunk : Buffer.concat([this.bytes.subarray(this.at), chunk]);
    this.at = 0;
  }

  get length(): number {
    return this.bytes.length - this.at;
  }

  /** The next bytes, which stay; null if there are not as many. */
  peek(count: number): Buffer | null {
    return this.length < count ? null : this.bytes.subarray(this.at, this.at + count);
  }

  skip(count: number): void {
    this.at += count;
  }
}
