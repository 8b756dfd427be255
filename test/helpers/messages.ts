// SPDX-License-Identifier: MIT
/**
 * Memory for sendmmsg and recvmmsg: an array of struct mmsghdr, each with one iovec and with space for the sender's
 * address and for ancillary data. It is set up once; sending and receiving allocate nothing.
 */
import { MappedMemory } from 'libbpf-ts';

import { receiveMessages, sendMessages } from './native-socket';

/** Offsets in struct mmsghdr on 64-bit Linux. */
const HDR = {
  name: 0,
  nameLength: 8,
  iov: 16,
  iovLength: 24,
  control: 32,
  controlLength: 40,
  flags: 48,
  length: 56,
  size: 64,
} as const;
const IOVEC_BYTES = 16;
const NAME_BYTES = 32;
const CMSG_HEADER_BYTES = 16;

export class Messages implements Disposable {
  private readonly memory: MappedMemory;
  private readonly words: DataView;
  private readonly namesAt: number;
  private readonly controlsAt: number;
  private readonly payloadsAt: number;
  private hasReceived = false;

  /** `count` messages of up to `bytes` bytes, with `controlBytes` of ancillary data each. */
  constructor(
    readonly count: number,
    readonly bytes: number,
    private readonly controlBytes = 0,
  ) {
    const iovecsAt = count * HDR.size;
    this.namesAt = iovecsAt + count * IOVEC_BYTES;
    this.controlsAt = this.namesAt + count * NAME_BYTES;
    this.payloadsAt = this.controlsAt + count * controlBytes;
    this.memory = MappedMemory.map({ length: this.payloadsAt + count * bytes });
    this.words = new DataView(this.memory.buffer);
    for (let i = 0; i < count; i++) {
      const iovec = iovecsAt + i * IOVEC_BYTES;
      this.pointer(i * HDR.size + HDR.iov, this.memory.address + iovec);
      this.pointer(i * HDR.size + HDR.iovLength, 1);
      this.pointer(iovec, this.memory.address + this.payloadsAt + i * bytes);
      this.setLength(i, bytes);
    }
  }

  private pointer(offset: number, value: number): void {
    this.words.setUint32(offset, value >>> 0, true);
    this.words.setUint32(offset + 4, Math.floor(value / 4294967296), true);
  }

  /** The whole payload buffer of message `i`. */
  payload(i: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, this.payloadsAt + i * this.bytes, this.bytes);
  }

  /** Sets the number of bytes to send of message `i`. */
  setLength(i: number, bytes: number): void {
    this.pointer(this.count * HDR.size + i * IOVEC_BYTES + 8, bytes);
  }

  /** Bytes received into message `i`. */
  length(i: number): number {
    return this.words.getUint32(i * HDR.size + HDR.length, true);
  }

  /** The sender of message `i`, as a sockaddr. */
  name(i: number): DataView {
    return new DataView(this.memory.buffer, this.namesAt + i * NAME_BYTES, NAME_BYTES);
  }

  /** The ancillary data of that level and type of message `i`, or null. */
  control(i: number, level: number, type: number): DataView | null {
    const start = this.controlsAt + i * this.controlBytes;
    const end = start + this.words.getUint32(i * HDR.size + HDR.controlLength, true);
    for (let at = start; at + CMSG_HEADER_BYTES <= end;) {
      const length = this.words.getUint32(at, true);
      if (this.words.getInt32(at + 8, true) === level && this.words.getInt32(at + 12, true) === type) {
        return new DataView(this.memory.buffer, at + CMSG_HEADER_BYTES, length - CMSG_HEADER_BYTES);
      }
      at += (length + 7) & ~7;
    }
    return null;
  }

  /** Sends `count` messages from message `from` on; returns the number sent, or the negative errno of the first. */
  send(fd: number, from: number, count: number, flags = 0): number {
    if (this.hasReceived) this.forgetSenders();
    return sendMessages(fd, this.memory.address + from * HDR.size, count, flags);
  }

  /** Receives up to `count` messages; returns the number received, or the negative errno. */
  receive(fd: number, flags = 0): number {
    this.hasReceived = true;
    for (let i = 0; i < this.count; i++) {
      const header = i * HDR.size;
      this.pointer(header + HDR.name, this.memory.address + this.namesAt + i * NAME_BYTES);
      this.words.setUint32(header + HDR.nameLength, NAME_BYTES, true);
      this.pointer(header + HDR.control, this.memory.address + this.controlsAt + i * this.controlBytes);
      this.pointer(header + HDR.controlLength, this.controlBytes);
    }
    return receiveMessages(fd, this.memory.address, this.count, flags);
  }

  /** Clears the addresses that receiving has left in the headers: messages sent now would go to them. */
  private forgetSenders(): void {
    this.hasReceived = false;
    for (let i = 0; i < this.count; i++) {
      const header = i * HDR.size;
      for (const field of [HDR.name, HDR.nameLength, HDR.control, HDR.controlLength]) this.pointer(header + field, 0);
    }
  }

  [Symbol.dispose](): void {
    this.memory.close();
  }
}
