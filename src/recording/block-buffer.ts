// SPDX-License-Identifier: MIT
/** Bytes that grow at the end, in the byte order of this machine: blocks of pcapng before they are written out. */
export class BlockBuffer {
  private bytes: Buffer;
  /** Bytes so far. */
  length = 0;

  constructor(private readonly size = 1 << 18) {
    this.bytes = Buffer.allocUnsafe(size);
  }

  u16(value: number): void {
    this.length = this.bytes.writeUInt16LE(value, this.need(2));
  }

  u32(value: number): void {
    this.length = this.bytes.writeUInt32LE(value, this.need(4));
  }

  /** Of raw bytes, and zeroes up to a multiple of 4. */
  padded(data: Uint8Array): void {
    const at = this.need(data.length + 3);
    this.bytes.set(data, at);
    this.pad(at + data.length);
  }

  /** The same of a text in UTF-8, whose length in bytes is known. */
  paddedText(text: string, length: number): void {
    const at = this.need(length + 3);
    this.bytes.write(text, at, length, 'utf8');
    this.pad(at + length);
  }

  /** Writes a u32 where something was written already. */
  patch32(at: number, value: number): void {
    this.bytes.writeUInt32LE(value, at);
  }

  /** What was written; the buffer is empty then, and the bytes are the caller's. */
  take(): Buffer {
    const taken = this.bytes.subarray(0, this.length);
    this.bytes = Buffer.allocUnsafe(this.size);
    this.length = 0;
    return taken;
  }

  private pad(end: number): void {
    const padded = (end + 3) & ~3;
    this.bytes.fill(0, end, padded);
    this.length = padded;
  }

  /** Makes sure that so many bytes fit; returns where they go. */
  private need(more: number): number {
    const needed = this.length + more;
    if (needed > this.bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, this.bytes.length * 2));
      larger.set(this.bytes.subarray(0, this.length));
      this.bytes = larger;
    }
    return this.length;
  }
}
