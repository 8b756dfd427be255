// SPDX-License-Identifier: MIT
/**
 * A process that sends until the kernel blocks it: over AF_PACKET, which holds the interface meanwhile, over UDP or
 * over TCP. startBlockingSender() starts it as a program of its own.
 */
import * as fs from 'node:fs';
import { createServer } from 'node:net';

import type { Test } from 'tap';

import { eventually } from './controller';
import { Messages } from './messages';
import * as native from './native-socket';
import { startTool, type ToolProcess } from './tool-process';

export type SenderKind = 'packet' | 'udp' | 'tcp';

interface SenderOptions {
  /** AF_PACKET sends on it ... */
  ifindex: number;
  /** ... until its buffer is used up, and then on this one. */
  then?: number;
  address: string;
  /** Failed sends are retried: the interface may be down or absent for a while. */
  persistent?: boolean;
}

export interface SenderEnd {
  sent: number;
  /** The name of the errno that ended the sender. */
  error: string;
}

const FRAME_BYTES = 1400;
const PORT = 9;
/** IEEE 802 local experimental EtherType 2. */
const ETHERTYPE = 0x88b6;
/** Kernel functions in which a sender sleeps when its buffer is used up (net/core/sock.c, net/core/stream.c). */
const BLOCKED = /sock_alloc_send_pskb|sk_stream_wait_memory/;

/** Starts a sender and waits until it is blocked. */
export async function startBlockingSender(
  t: Test,
  netns: string,
  kind: SenderKind,
  options: SenderOptions,
): Promise<ToolProcess<SenderEnd>> {
  const sender = startTool<SenderEnd>(t, netns, 'blocking-sender', kind, options);
  await sender.ready;
  if (!(await eventually(() => isBlocked(sender.pid), 10_000)))
    throw new Error(`${kind}: the sender is not blocked: ${stackOf(sender.pid)}`);
  return sender;
}

/** Starts a sender that runs for as long as the test. */
export const startPersistentSender = (t: Test, netns: string, options: SenderOptions): ToolProcess<SenderEnd> =>
  startTool<SenderEnd>(t, netns, 'blocking-sender', 'udp', { ...options, persistent: true });

const stackOf = (pid: number): string => fs.readFileSync(`/proc/${pid}/stack`, 'utf8');
export const isBlocked = (pid: number, where = BLOCKED): boolean => where.test(stackOf(pid));

function bindToLink(fd: number, ifindex: number): void {
  const address = new DataView(new ArrayBuffer(20));
  address.setUint16(0, native.AF_PACKET, true);
  address.setInt32(4, ifindex, true);
  native.bind(fd, new Uint8Array(address.buffer));
}

function openPacket({ ifindex, then }: SenderOptions, messages: Messages): number {
  const fd = native.openSocket(null, native.AF_PACKET, native.SOCK_RAW, 0);
  bindToLink(fd, ifindex);
  if (then === undefined) return fd;
  while (messages.send(fd, 0, 1, native.MSG_DONTWAIT) > 0);
  bindToLink(fd, then);
  return fd;
}

function openConnected(type: number, { address }: SenderOptions): number {
  const fd = native.openSocket(null, native.AF_INET, type, 0);
  native.connect(fd, native.socketAddress(address, PORT));
  return fd;
}

async function main([kind, json]: string[]): Promise<void> {
  const options = JSON.parse(json ?? '{}') as SenderOptions;
  // The kernel accepts the connection; no process reads from it.
  if (kind === 'tcp')
    await new Promise<void>((resolve) =>
      createServer({ pauseOnConnect: true }).listen(PORT, options.address, resolve).unref(),
    );
  const messages = new Messages(1, FRAME_BYTES);
  messages.payload(0).fill(0xff, 0, 6);
  new DataView(messages.payload(0).buffer, messages.payload(0).byteOffset).setUint16(12, ETHERTYPE);
  const fd =
    kind === 'packet'
      ? openPacket(options, messages)
      : openConnected(kind === 'udp' ? native.SOCK_DGRAM : native.SOCK_STREAM, options);
  process.stdout.write('ready\n');
  let sent = 0;
  for (;;) {
    const result = messages.send(fd, 0, 1);
    if (result > 0) sent++;
    else if (options.persistent) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    // No process listens on that port, so sending over UDP sometimes fails with that error.
    else if (result !== -native.EINTR && native.errnoName(-result) !== 'ECONNREFUSED') {
      process.stdout.write(`${JSON.stringify({ sent, error: native.errnoName(-result) } satisfies SenderEnd)}\n`);
      return;
    }
  }
}

// Other modules import types from here, so the code below runs only in the process that was started for it.
if (require.main === module) void main(process.argv.slice(2)).then(() => process.exit());
