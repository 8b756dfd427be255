// SPDX-License-Identifier: MIT
/**
 * A flood without a fixed length, for tests that act on the loop meanwhile: it sends or receives numbered datagrams
 * until SIGTERM, then prints its counts as a line of JSON. flood.ts starts it inside the test's namespace.
 */
import * as fs from 'node:fs';

import { Messages } from './messages';
import * as native from './native-socket';
import { SequenceCheck, type SequenceResult } from './sequence-check';
import { fillPattern } from './udp-payload';

export interface FloodOptions {
  address: string;
  port: number;
  bytes: number;
  /** Sender: sockets, taking turns; each numbers its own datagrams. */
  flows?: number;
  /** Sender: the most messages a second; without it, as fast as it can. */
  rate?: number;
  /** Sender: the number of datagrams after which it ends by itself. */
  packets?: number;
}

export interface FloodSent {
  sent: number;
  seconds: number;
  /** Processor time used for sending, including the time in system calls. */
  cpuMs: number;
}

export interface FloodReceived extends SequenceResult {
  /** The time from the first datagram to the last. */
  seconds: number;
}

const BATCH = 32;
/** System calls between two looks at the event loop, where signals arrive. */
const CALLS_PER_TURN = 16;
const RECEIVE_TIMEOUT_MS = 100;
/** How long the receiver still waits for a datagram after SIGTERM. */
const QUIET_MS = 300;

let stopping = false;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function send({
  address,
  port,
  bytes,
  flows = 1,
  rate = Infinity,
  packets = Infinity,
}: FloodOptions): Promise<FloodSent> {
  const v6 = address.includes(':');
  const sockets = Array.from({ length: flows }, () => {
    const fd = native.openSocket(null, v6 ? native.AF_INET6 : native.AF_INET, native.SOCK_DGRAM, 0);
    native.connect(fd, native.socketAddress(address, port));
    return { fd, next: 0 };
  });
  const messages = new Messages(BATCH, bytes);
  const words = Array.from({ length: BATCH }, (_, i) => {
    const payload = messages.payload(i);
    fillPattern(payload);
    return new DataView(payload.buffer, payload.byteOffset, 8);
  });
  const result: FloodSent = { sent: 0, seconds: 0, cpuMs: 0 };
  const cpu = process.cpuUsage();
  const start = performance.now();
  for (let calls = 1; !stopping && result.sent < packets; calls++) {
    const due = Math.min(packets, ((performance.now() - start) * rate) / 1000) - result.sent;
    if (due < 1) await new Promise((resolve) => setTimeout(resolve, 1));
    const count = Math.min(BATCH, Math.floor(due));
    const flow = calls % flows;
    const socket = sockets[flow] as { fd: number; next: number };
    for (let i = 0; i < count; i++) {
      words[i]?.setUint32(0, flow, true);
      words[i]?.setUint32(4, socket.next + i, true);
    }
    const sent = count < 1 ? 0 : messages.send(socket.fd, 0, count);
    if (sent < 0 && sent !== -native.EINTR) throw new Error(`sendmmsg: ${native.errnoName(-sent)}`);
    if (sent > 0) {
      result.sent += sent;
      socket.next += sent;
    }
    if (calls % CALLS_PER_TURN === 0) await turn();
  }
  result.seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  result.cpuMs = (user + system) / 1000;
  for (const { fd } of sockets) fs.closeSync(fd);
  return result;
}

async function receive({ address, port, bytes }: FloodOptions): Promise<FloodReceived> {
  const v6 = address.includes(':');
  const fd = native.openSocket(null, v6 ? native.AF_INET6 : native.AF_INET, native.SOCK_DGRAM, 0);
  native.setOption(fd, native.SOL_SOCKET, native.SO_RCVBUFFORCE, 1 << 29);
  native.setOption(fd, native.SOL_SOCKET, native.SO_RXQ_OVFL, 1);
  native.setOption(fd, native.SOL_SOCKET, native.SO_RCVTIMEO, native.timeval(RECEIVE_TIMEOUT_MS));
  native.bind(fd, native.socketAddress(address, port));
  const messages = new Messages(64, bytes + 1, 32); // one byte more shows a datagram that is too long
  const check = new SequenceCheck(messages, bytes);
  process.stdout.write('ready\n');
  let first = 0;
  let last = 0;
  for (let calls = 1, quiet = 0; !stopping || quiet < QUIET_MS; calls++) {
    const count = messages.receive(fd, native.MSG_WAITFORONE);
    if (count > 0) {
      quiet = 0;
      last = performance.now();
      first ||= last;
      check.add(count);
    } else if (count === -native.EAGAIN || count === -native.EINTR) quiet += RECEIVE_TIMEOUT_MS;
    else throw new Error(`recvmmsg: ${native.errnoName(-count)}`);
    if (count <= 0 || calls % CALLS_PER_TURN === 0) await turn();
  }
  fs.closeSync(fd);
  return { ...check.finish(), seconds: (last - first) / 1000 };
}

async function main([role, json]: string[]): Promise<void> {
  process.on('SIGTERM', () => (stopping = true));
  const options = JSON.parse(json ?? '{}') as FloodOptions;
  const result = role === 'send' ? await send(options) : await receive(options);
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

// Other modules import types from here, so the code below runs only in the process that was started for it.
if (require.main === module) void main(process.argv.slice(2));
