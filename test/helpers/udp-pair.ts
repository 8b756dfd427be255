// SPDX-License-Identifier: MIT
/** Two UDP sockets in a test's namespace, for single datagrams of any shape. */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';

import type { Test } from 'tap';

import { SLOW } from './cli';
import { Messages } from './messages';
import * as native from './native-socket';
import { freePort } from './traffic';

const UDP_SEGMENT = 103;
const IP_MTU_DISCOVER = 10;
const IPV6_MTU_DISCOVER = 23;
const PMTUDISC_DONT = 0;
const PMTUDISC_DO = 2;

export interface SendShape {
  /** Let the kernel segment it into datagrams of this size (UDP_SEGMENT). */
  segment?: number;
  /** Refuse rather than fragment. */
  dontFragment?: boolean;
}

export class UdpPair {
  private readonly messages = new Messages(1, 65536);

  private constructor(
    private readonly sender: number,
    private readonly receiver: number,
    private readonly v6: boolean,
  ) {}

  /** A sender connected to a receiver on `address`; both are closed when the test ends. */
  static open(t: Test, netns: string, address: string): UdpPair {
    const v6 = address.includes(':');
    const open = (): number => native.openSocket(netns, v6 ? native.AF_INET6 : native.AF_INET, native.SOCK_DGRAM, 0);
    const pair = new UdpPair(open(), open(), v6);
    t.teardown(() => pair.close());
    const there = native.socketAddress(address, freePort());
    native.setOption(pair.receiver, native.SOL_SOCKET, native.SO_RCVBUFFORCE, 16 << 20);
    native.setOption(pair.sender, native.SOL_SOCKET, native.SO_SNDBUFFORCE, 1 << 20);
    native.bind(pair.receiver, there);
    native.connect(pair.sender, there);
    return pair;
  }

  /** Sends random bytes with one system call; returns what was sent, or the name of the error. */
  trySend(bytes: number, shape: SendShape = {}): { sent: Buffer; error: string | null } {
    const { segment = 0, dontFragment = false } = shape;
    const discover = dontFragment ? PMTUDISC_DO : PMTUDISC_DONT;
    native.setOption(this.sender, native.SOL_UDP, UDP_SEGMENT, segment);
    if (this.v6) native.setOption(this.sender, native.SOL_IPV6, IPV6_MTU_DISCOVER, discover);
    else native.setOption(this.sender, native.SOL_IP, IP_MTU_DISCOVER, discover);
    const sent = randomBytes(bytes);
    this.messages.payload(0).set(sent);
    this.messages.setLength(0, bytes);
    const result = this.messages.send(this.sender, 0, 1);
    this.messages.setLength(0, this.messages.bytes); // receive() uses the same memory
    return { sent, error: result < 0 ? native.errnoName(-result) : null };
  }

  send(bytes: number, shape: SendShape = {}): Buffer {
    const { sent, error } = this.trySend(bytes, shape);
    if (error !== null) throw new Error(`send of ${bytes} bytes: ${error}`);
    return sent;
  }

  /** Receives `count` datagrams, or as many as have arrived when the time is up. */
  async receive(count: number, ms = 3000): Promise<Buffer[]> {
    const datagrams: Buffer[] = [];
    for (const end = Date.now() + ms * SLOW; datagrams.length < count && Date.now() < end;) {
      if (this.messages.receive(this.receiver, native.MSG_DONTWAIT) === 1) {
        datagrams.push(Buffer.from(this.messages.payload(0).subarray(0, this.messages.length(0))));
      } else await new Promise((resolve) => setTimeout(resolve, 2));
    }
    return datagrams;
  }

  private close(): void {
    fs.closeSync(this.sender);
    fs.closeSync(this.receiver);
    this.messages[Symbol.dispose]();
  }
}
