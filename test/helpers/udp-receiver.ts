// SPDX-License-Identifier: MIT
/** Receives numbered datagrams: counts them, and checks their order per flow and their payload. */
import * as fs from 'node:fs';

import { Messages } from './messages';
import * as native from './native-socket';
import { pattern, PAYLOAD_HEADER_BYTES } from './udp-payload';

export interface UdpReceiveOptions {
  /** An address of the interface. */
  at: string;
  port: number;
  /** Bytes that each datagram should have. */
  bytes: number;
  /** The number of datagrams after which to stop. */
  packets: number;
  /** How long to wait for another datagram once the sender has ended, in milliseconds. */
  idleMs: number;
}

export interface UdpReceiveResult {
  received: number;
  /** Datagrams with a number that is not above the one before, in the same flow. */
  outOfOrder: number;
  /** The longest gap in the numbers. */
  largestGap: number;
  /** Datagrams of the wrong size or with wrong bytes. */
  damaged: number;
  /** Datagrams that this socket had no space for: lost here, not in the loop. */
  overflow: number;
  flows: number;
}

/** Bytes of kernel memory, counted double: enough for all datagrams of a test at once. */
const RECEIVE_BUFFER_BYTES = 1 << 30;
const BATCH = 64;
const POLL_MS = 50;

/**
 * Binds, reports that it is ready, and receives until all datagrams have arrived, or until no more arrive after
 * `senderEnded` has resolved.
 */
export function receiveUdp(
  options: UdpReceiveOptions,
  ready: () => void,
  senderEnded: () => boolean,
): UdpReceiveResult {
  const { at, port, bytes, packets, idleMs } = options;
  const v6 = at.includes(':');
  const fd = native.openSocket(null, v6 ? native.AF_INET6 : native.AF_INET, native.SOCK_DGRAM, 0);
  using messages = new Messages(BATCH, bytes + 1, 32); // one byte more shows a datagram that is too long
  try {
    native.setOption(fd, native.SOL_SOCKET, native.SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES - 1);
    native.setOption(fd, native.SOL_SOCKET, native.SO_RXQ_OVFL, 1);
    native.setOption(fd, native.SOL_SOCKET, native.SO_RCVTIMEO, native.timeval(POLL_MS));
    native.bind(fd, native.socketAddress(at, port));
    ready();
    const tally = new Tally(messages, bytes);
    for (let quiet = 0; tally.result.received < packets && quiet < idleMs;) {
      const count = messages.receive(fd, native.MSG_WAITFORONE);
      if (count === -native.EAGAIN || count === -native.EINTR) {
        if (senderEnded()) quiet += POLL_MS;
        continue;
      }
      if (count < 0) throw new Error(`recvmmsg: ${native.errnoName(-count)}`);
      quiet = 0;
      tally.add(count);
    }
    return tally.finish();
  } finally {
    fs.closeSync(fd);
  }
}

class Tally {
  readonly result: UdpReceiveResult = { received: 0, outOfOrder: 0, largestGap: 0, damaged: 0, overflow: 0, flows: 0 };
  private readonly payloads: Buffer[];
  private readonly expected: Buffer;
  private readonly last = new Map<number, number>();

  constructor(
    private readonly messages: Messages,
    private readonly bytes: number,
  ) {
    this.expected = pattern(bytes);
    this.payloads = Array.from({ length: messages.count }, (_, i) => {
      const { buffer, byteOffset, byteLength } = messages.payload(i);
      return Buffer.from(buffer, byteOffset, byteLength);
    });
  }

  add(count: number): void {
    for (let i = 0; i < count; i++) this.check(i);
    this.result.received += count;
    this.result.overflow =
      this.messages.control(count - 1, native.SOL_SOCKET, native.SO_RXQ_OVFL)?.getUint32(0, true) ??
      this.result.overflow;
  }

  private check(i: number): void {
    const { result, bytes, expected } = this;
    const payload = this.payloads[i] as Buffer;
    if (
      this.messages.length(i) !== bytes ||
      payload.compare(expected, PAYLOAD_HEADER_BYTES, bytes, PAYLOAD_HEADER_BYTES, bytes) !== 0
    ) {
      result.damaged++;
      return;
    }
    const flow = payload.readUInt32LE(0);
    const sequence = payload.readUInt32LE(4);
    const last = this.last.get(flow) ?? -1;
    if (sequence <= last) result.outOfOrder++;
    else {
      result.largestGap = Math.max(result.largestGap, sequence - last - 1);
      this.last.set(flow, sequence);
    }
  }

  finish(): UdpReceiveResult {
    this.result.flows = this.last.size;
    return this.result;
  }
}
