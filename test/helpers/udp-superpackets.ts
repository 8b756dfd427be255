// SPDX-License-Identifier: MIT
/** Both ends of a UDP flow of superpackets (UDP_SEGMENT) of any length, in the test's own process. */
import * as fs from 'node:fs';

import type { Test } from 'tap';

import { Messages } from './messages';
import * as native from './native-socket';
import { freePort } from './traffic';
import { fillPattern, pattern, PAYLOAD_HEADER_BYTES } from './udp-payload';

const UDP_SEGMENT = 103;
/** More than all datagrams of a test take at once, so that datagrams that the loop delivers are never lost here. */
const RECEIVE_BUFFER_BYTES = 1 << 29;
const BATCH = 64;
/**
 * IPV6_HOPOPTS and IPV6_DSTOPTS; the extension header holds one PadN of 4 bytes, and the kernel fills in the next
 * header.
 */
const EXTENSION_HEADERS = { 'hop-by-hop': 54, destination: 59 } as const;
const PADDING = Uint8Array.of(0, 0, 1, 4, 0, 0, 0, 0);
export const EXTENSION_HEADER_BYTES = PADDING.length;

export type ExtensionHeader = keyof typeof EXTENSION_HEADERS;

export interface SuperpacketShape {
  /** Bytes of UDP payload. */
  payload: number;
  /** Bytes of each datagram; the last one may be shorter. At least 8. */
  segment: number;
  /** IPv6 only. */
  extension?: ExtensionHeader;
}

export class UdpSuperpackets {
  readonly segments: number;
  /** Datagrams that the kernel took so far. */
  sent = 0;
  /** Datagrams that came back so far. */
  received = 0;
  outOfOrder = 0;
  damaged = 0;
  private readonly sender: number;
  private readonly receiver: number;
  private readonly outgoing: Messages;
  private readonly incoming: Messages;
  private readonly numbers: DataView[];
  private readonly payloads: Buffer[];
  private readonly expected: Buffer;
  private last = -1;

  /** Opens both sockets; they are closed when the test ends, or with close(). */
  constructor(
    t: Test,
    netns: string,
    address: string,
    private readonly shape: SuperpacketShape,
  ) {
    const { payload, segment, extension } = shape;
    const rest = payload % segment;
    if (segment < PAYLOAD_HEADER_BYTES || (rest > 0 && rest < PAYLOAD_HEADER_BYTES))
      throw new Error(`no place for a number: ${payload} bytes in segments of ${segment}`);
    this.segments = Math.ceil(payload / segment);
    const there = native.socketAddress(address, freePort());
    [this.receiver, this.sender] = [0, 0].map(() =>
      native.openSocket(netns, address.includes(':') ? native.AF_INET6 : native.AF_INET, native.SOCK_DGRAM, 0),
    ) as [number, number];
    native.setOption(this.receiver, native.SOL_SOCKET, native.SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES);
    native.setOption(this.sender, native.SOL_UDP, UDP_SEGMENT, segment);
    if (extension) native.setOption(this.sender, native.SOL_IPV6, EXTENSION_HEADERS[extension], PADDING);
    native.bind(this.receiver, there);
    native.connect(this.sender, there);
    this.outgoing = new Messages(1, payload);
    this.incoming = new Messages(BATCH, segment + 1); // one byte more shows a datagram that is too long
    this.numbers = Array.from({ length: this.segments }, (_, i) => {
      const datagram = this.outgoing.payload(0).subarray(i * segment, (i + 1) * segment);
      fillPattern(datagram);
      return new DataView(datagram.buffer, datagram.byteOffset, PAYLOAD_HEADER_BYTES);
    });
    this.payloads = Array.from({ length: BATCH }, (_, i) => {
      const { buffer, byteOffset, byteLength } = this.incoming.payload(i);
      return Buffer.from(buffer, byteOffset, byteLength);
    });
    this.expected = pattern(segment);
    t.teardown(() => this.close());
  }

  /** Sends one superpacket without waiting; returns null or the name of the error. */
  offer(): string | null {
    this.numbers.forEach((words, i) => words.setUint32(4, this.sent + i, true));
    const sent = this.outgoing.send(this.sender, 0, 1, native.MSG_DONTWAIT);
    if (sent < 0) return native.errnoName(-sent);
    this.sent += this.segments;
    return null;
  }

  /** Receives what has come back. */
  take(): void {
    for (;;) {
      const count = this.incoming.receive(this.receiver, native.MSG_DONTWAIT);
      if (count < 0) return;
      for (let i = 0; i < count; i++) this.check(i);
    }
  }

  private check(i: number): void {
    const { shape, segments, expected } = this;
    this.received++;
    const payload = this.payloads[i] as Buffer;
    const number = payload.readUInt32LE(4);
    const bytes = number % segments === segments - 1 ? shape.payload - (segments - 1) * shape.segment : shape.segment;
    if (
      this.incoming.length(i) !== bytes ||
      payload.compare(expected, PAYLOAD_HEADER_BYTES, bytes, PAYLOAD_HEADER_BYTES, bytes) !== 0
    )
      this.damaged++;
    if (number <= this.last) this.outOfOrder++;
    else this.last = number;
  }

  private isOpen = true;

  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    [this.receiver, this.sender].forEach((fd) => fs.closeSync(fd));
    this.outgoing[Symbol.dispose]();
    this.incoming[Symbol.dispose]();
  }
}
