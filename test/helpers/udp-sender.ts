// SPDX-License-Identifier: MIT
/** Sends numbered datagrams, at a pace or as fast as it can; counts what the socket refuses. */
import * as fs from 'node:fs';

import { Messages } from './messages';
import * as native from './native-socket';
import { fillPattern } from './udp-payload';

const IP_RECVERR = 11;
const IPV6_RECVERR = 25;
const UDP_SEGMENT = 103;

export interface UdpSendOptions {
  to: string;
  port: number;
  /** Datagrams in all flows together. */
  packets: number;
  /** Bytes of each datagram. */
  bytes: number;
  /** Sockets, taking turns; each is a flow with numbers of its own. */
  flows?: number;
  /** Datagrams per second; as fast as possible without. */
  rate?: number;
  /** Datagrams per message; the kernel segments a message of several (UDP_SEGMENT). */
  segments?: number;
  /** Ask for errors (IP_RECVERR): only then does UDP report a refused packet. Sends one by one. */
  recvErr?: boolean;
}

export interface UdpSendResult {
  /** Datagrams that the kernel took. */
  sent: number;
  enobufs: number;
  eagain: number;
  seconds: number;
}

/** Messages per system call. */
const BATCH = 32;
/** How long, about, a paced sender sleeps between its batches. */
const NAP_MS = 1;

export function sendUdp(options: UdpSendOptions): UdpSendResult {
  const { packets, flows = 1, rate = Infinity, segments = 1, recvErr = false } = options;
  if (packets % segments !== 0) throw new Error(`${packets} datagrams are not whole messages of ${segments}`);
  const batch = recvErr ? 1 : BATCH;
  const sockets = Array.from({ length: flows }, (_, flow) => new Flow(options, flow, batch));
  const result: UdpSendResult = { sent: 0, enobufs: 0, eagain: 0, seconds: 0 };
  const start = performance.now();
  const nap = new Int32Array(new SharedArrayBuffer(4));
  try {
    for (let offered = 0, turn = 0; offered < packets; turn++) {
      const due =
        rate === Infinity ? packets : Math.min(packets, Math.floor(((performance.now() - start) * rate) / 1000));
      if (offered >= due) {
        Atomics.wait(nap, 0, 0, NAP_MS);
        continue;
      }
      const messages = Math.min(batch, Math.ceil((due - offered) / segments));
      const flow = sockets[turn % flows] as Flow;
      offered += flow.send(messages, result) * segments;
    }
    result.seconds = (performance.now() - start) / 1000;
    return result;
  } finally {
    for (const socket of sockets) socket.close();
  }
}

class Flow {
  private readonly fd: number;
  private readonly messages: Messages;
  private readonly words: DataView[];
  private sequence = 0;

  constructor(
    private readonly options: UdpSendOptions,
    private readonly flow: number,
    batch: number,
  ) {
    const { to, port, bytes, segments = 1, recvErr = false } = options;
    const v6 = to.includes(':');
    this.fd = native.openSocket(null, v6 ? native.AF_INET6 : native.AF_INET, native.SOCK_DGRAM, 0);
    if (recvErr) native.setOption(this.fd, v6 ? native.SOL_IPV6 : native.SOL_IP, v6 ? IPV6_RECVERR : IP_RECVERR, 1);
    if (segments > 1) native.setOption(this.fd, native.SOL_UDP, UDP_SEGMENT, bytes);
    native.connect(this.fd, native.socketAddress(to, port));
    this.messages = new Messages(batch, bytes * segments);
    this.words = [];
    for (let i = 0; i < batch; i++) {
      const payload = this.messages.payload(i);
      for (let segment = 0; segment < segments; segment++) {
        const datagram = payload.subarray(segment * bytes, (segment + 1) * bytes);
        fillPattern(datagram);
        this.words.push(new DataView(datagram.buffer, datagram.byteOffset, 8));
      }
    }
  }

  /** Sends the next messages; returns how many were offered to the kernel. */
  send(count: number, result: UdpSendResult): number {
    const { segments = 1 } = this.options;
    for (let i = 0; i < count * segments; i++) {
      const words = this.words[i] as DataView;
      words.setUint32(0, this.flow, true);
      words.setUint32(4, this.sequence + i, true);
    }
    const sent = this.messages.send(this.fd, 0, count);
    if (sent >= 0) {
      this.sequence += sent * segments;
      result.sent += sent * segments;
      return sent;
    }
    if (sent === -native.EINTR) return 0;
    if (sent === -native.EAGAIN) {
      result.eagain++;
      return 0;
    }
    if (sent !== -native.ENOBUFS) throw new Error(`sendmmsg: ${native.errnoName(-sent)}`);
    // The datagram is refused for good. Its number is used up, so that the receiver sees a gap and no repetition.
    result.enobufs += segments;
    this.sequence += segments;
    return 1;
  }

  close(): void {
    fs.closeSync(this.fd);
    this.messages[Symbol.dispose]();
  }
}
