// SPDX-License-Identifier: MIT
/**
 * Both ends of a flow through the loop in the test's own process: on an emulated machine another process takes seconds
 * to start.
 */
import * as fs from 'node:fs';
import * as net from 'node:net';

import type { Test } from 'tap';

import { Messages } from './messages';
import * as native from './native-socket';
import { receiveFrom, sendOver, type TcpResult } from './tcp-transfer';
import { freePort } from './traffic';
import { fillPattern, pattern, PAYLOAD_HEADER_BYTES } from './udp-payload';

const BATCH = 16;
const RECEIVE_BUFFER_BYTES = 1 << 28;
const UDP_SEGMENT = 103;
const TCP_MAXSEG = 2;
const FLOW_CHUNK = Buffer.alloc(64 << 10);

const familyOf = (address: string): number => (address.includes(':') ? native.AF_INET6 : native.AF_INET);

/** Numbered datagrams to an address of the interface, through which both ends communicate. */
export class OwnUdp {
  readonly sender: number;
  readonly receiver: number;
  private readonly messages: Messages;
  private readonly expected: Buffer;
  /** Datagrams that the kernel has taken so far. */
  sent = 0;
  /** Datagrams that have come back so far. */
  received = 0;
  /**
   * Datagrams that came back with a number that is not the next one or, with `missing` allowed, not above the last one.
   */
  outOfOrder = 0;
  damaged = 0;
  private last = -1;

  /** Opens both sockets until the test ends. `bytes` is the size of a datagram. */
  constructor(
    t: Test,
    netns: string,
    address: string,
    private readonly bytes: number,
  ) {
    const port = freePort();
    [this.receiver, this.sender] = [0, 0].map(() =>
      native.openSocket(netns, familyOf(address), native.SOCK_DGRAM, 0),
    ) as [number, number];
    native.setOption(this.receiver, native.SOL_SOCKET, native.SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES);
    native.bind(this.receiver, native.socketAddress(address, port));
    native.connect(this.sender, native.socketAddress(address, port));
    this.messages = new Messages(BATCH, bytes + 1);
    this.expected = pattern(bytes);
    t.teardown(() => {
      [this.receiver, this.sender].forEach((fd) => fs.closeSync(fd));
      this.messages[Symbol.dispose]();
    });
  }

  /** Sends up to `count` datagrams without waiting; returns how many the kernel took. */
  offer(count: number): number {
    const { messages, bytes } = this;
    let taken = 0;
    while (taken < count) {
      const batch = Math.min(BATCH, count - taken);
      for (let i = 0; i < batch; i++) {
        const payload = messages.payload(i);
        fillPattern(payload.subarray(0, bytes));
        new DataView(payload.buffer, payload.byteOffset, 8).setUint32(4, this.sent + i, true);
        messages.setLength(i, bytes);
      }
      const sent = messages.send(this.sender, 0, batch, native.MSG_DONTWAIT);
      for (let i = 0; i < batch; i++) messages.setLength(i, messages.bytes);
      if (sent === -native.EAGAIN) return taken;
      if (sent < 0) throw new Error(`sendmmsg: ${native.errnoName(-sent)}`);
      taken += sent;
      this.sent += sent;
    }
    return taken;
  }

  /** Receives and checks the datagrams that have arrived. */
  take(): void {
    for (;;) {
      const count = this.messages.receive(this.receiver, native.MSG_DONTWAIT);
      if (count < 0) return;
      for (let i = 0; i < count; i++) this.check(i);
    }
  }

  /** Receives until `count` datagrams have come back altogether; returns false if they have not in time. */
  async takeUntil(count: number, ms: number): Promise<boolean> {
    for (const end = Date.now() + ms; ; await new Promise((resolve) => setTimeout(resolve, 5))) {
      this.take();
      if (this.received >= count) return true;
      if (Date.now() > end) return false;
    }
  }

  private check(i: number): void {
    const { messages, bytes, expected } = this;
    this.received++;
    const payload = Buffer.from(messages.payload(i));
    if (
      messages.length(i) !== bytes ||
      payload.compare(expected, PAYLOAD_HEADER_BYTES, bytes, PAYLOAD_HEADER_BYTES, bytes) !== 0
    )
      this.damaged++;
    const number = payload.readUInt32LE(4);
    if (number <= this.last) this.outOfOrder++;
    this.last = Math.max(this.last, number);
  }

  /** Sends `segments` datagrams as one superpacket (UDP_SEGMENT). */
  sendSuperpacket(segments: number): void {
    const { bytes } = this;
    using messages = new Messages(1, bytes * segments);
    const payload = messages.payload(0);
    for (let segment = 0; segment < segments; segment++) {
      const datagram = payload.subarray(segment * bytes, (segment + 1) * bytes);
      fillPattern(datagram);
      new DataView(datagram.buffer, datagram.byteOffset, 8).setUint32(4, this.sent + segment, true);
    }
    native.setOption(this.sender, native.SOL_UDP, UDP_SEGMENT, bytes);
    const sent = messages.send(this.sender, 0, 1);
    native.setOption(this.sender, native.SOL_UDP, UDP_SEGMENT, 0);
    if (sent < 0) throw new Error(`sendmmsg: ${native.errnoName(-sent)}`);
    this.sent += segments;
  }
}

/** A connection that is kept full until it is stopped. */
export class OwnTcpFlow {
  private bytes = 0;
  private readonly begun = performance.now();

  private constructor(private readonly ends: (net.Socket | net.Server)[]) {}

  /** Starts the connection, which is stopped at the end of the test at the latest. */
  static start(t: Test, netns: string, address: string): OwnTcpFlow {
    const port = freePort();
    const [listening, connecting] = [0, 0].map(() =>
      native.openSocket(netns, familyOf(address), native.SOCK_STREAM, 0),
    ) as [number, number];
    native.bind(listening, native.socketAddress(address, port));
    const server = net.createServer();
    const flow = new OwnTcpFlow([server]);
    server.on('connection', (socket) => {
      flow.ends.push(socket);
      socket.on('data', ({ length }) => (flow.bytes += length)).on('error', () => undefined);
    });
    server.listen({ fd: listening });
    native.connect(connecting, native.socketAddress(address, port));
    const socket = new net.Socket({ fd: connecting, readable: true, writable: true });
    flow.ends.push(socket);
    const write = (): void => {
      while (socket.write(FLOW_CHUNK));
    };
    socket.on('drain', write).on('error', () => undefined);
    write();
    t.teardown(() => flow.stop());
    return flow;
  }

  /**
   * Ends the connection with a reset, because retransmissions would take long on a lossy line; returns what came
   * through.
   */
  stop(): { bytes: number; seconds: number } {
    for (const end of this.ends) {
      if (end instanceof net.Server) end.close();
      else if (!end.destroyed) end.resetAndDestroy();
    }
    return { bytes: this.bytes, seconds: (performance.now() - this.begun) / 1000 };
  }
}

export interface OwnTcpOptions {
  /** The most payload that a segment may have, whatever the MTU allows; bytes. */
  segment?: number;
  /** The transfer fails if it takes longer. */
  ms?: number;
}

/** Moves bytes over one connection to an address of the namespace, through the loop. */
export async function ownTcp(
  netns: string,
  address: string,
  bytes: number,
  options: OwnTcpOptions = {},
): Promise<{ sent: TcpResult; received: TcpResult }> {
  const port = freePort();
  const [listening, connecting] = [0, 0].map(() =>
    native.openSocket(netns, familyOf(address), native.SOCK_STREAM, 0),
  ) as [number, number];
  if (options.segment !== undefined)
    [listening, connecting].forEach((fd) =>
      native.setOption(fd, native.SOL_TCP, TCP_MAXSEG, options.segment as number),
    );
  native.bind(listening, native.socketAddress(address, port));
  const server = net.createServer();
  const sockets: net.Socket[] = [];
  server.on('connection', (socket) => sockets.push(socket));
  const received = receiveFrom(server);
  received.catch(() => {}); // a caller that awaits it sees the error; none does if sending has failed before
  server.listen({ fd: listening }); // listens before it returns: the descriptor is bound already
  native.connect(connecting, native.socketAddress(address, port));
  const socket = new net.Socket({ fd: connecting, readable: true, writable: true });
  sockets.push(socket);
  const late = (): void => {
    const error = new Error(`TCP to ${address} has not moved ${bytes} bytes in ${options.ms} ms`);
    sockets.forEach((each) => each.destroy(error));
    server.close();
  };
  const timer = options.ms === undefined ? undefined : setTimeout(late, options.ms);
  try {
    const sent = await sendOver(socket, bytes);
    return { sent, received: await received };
  } finally {
    clearTimeout(timer);
  }
}
