// SPDX-License-Identifier: MIT
/**
 * The usual alternative to the product: a TAP device and a process that writes back every frame it reads. It rests
 * after each 64 frames, as the product's poller does under its test throttle. It creates the device in its own
 * namespace; SIGTERM ends it and removes the device. tool-process.ts starts it.
 */
import * as fs from 'node:fs';

// koffi declares its types as those of an ES module, while `require` gets its CommonJS build.
type Koffi = typeof import('koffi', { with: { 'resolution-mode': 'import' } });
// eslint-disable-next-line @typescript-eslint/no-require-imports
const koffi = require('koffi') as Koffi;

export interface TapOptions {
  iface: string;
  /** Microseconds of rest after each batch. */
  restUs: number;
}

export interface TapResult {
  echoed: number;
}

const TUNSETIFF = 0x400454ca;
const IFF_TAP = 0x2;
const IFF_NO_PI = 0x1000;
/** struct ifreq */
const IFREQ_BYTES = 40;
const IFREQ_FLAGS = 16;
const BATCH = 64;
const MAX_FRAME_BYTES = 65536;
/** How long to sleep when there is nothing to read. */
const IDLE_MS = 1;

function openTap(iface: string): number {
  const ioctl = koffi
    .load('libc.so.6')
    .func('int ioctl(int fd, unsigned long request, uint8_t *argument)') as unknown as (
    fd: number,
    request: number,
    argument: Uint8Array,
  ) => number;
  const fd = fs.openSync('/dev/net/tun', fs.constants.O_RDWR | fs.constants.O_NONBLOCK);
  const request = Buffer.alloc(IFREQ_BYTES);
  request.write(iface);
  request.writeUInt16LE(IFF_TAP | IFF_NO_PI, IFREQ_FLAGS);
  if (ioctl(fd, TUNSETIFF, request) < 0) throw new Error(`TUNSETIFF ${iface}: errno ${koffi.errno()}`);
  return fd;
}

/** Reads and writes back at most one batch; returns the number of frames. */
function echo(fd: number, frame: Uint8Array): number {
  for (let count = 0; count < BATCH; count++) {
    let length: number;
    try {
      length = fs.readSync(fd, frame);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return count;
      if ((error as NodeJS.ErrnoException).code === 'EIO') return count; // still down
      throw error;
    }
    try {
      fs.writeSync(fd, frame, 0, length);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EIO') throw error;
    }
  }
  return BATCH;
}

async function main([, json]: string[]): Promise<void> {
  const { iface, restUs } = JSON.parse(json ?? '{}') as TapOptions;
  let stopping = false;
  process.on('SIGTERM', () => (stopping = true));
  const fd = openTap(iface);
  process.stdout.write('ready\n');
  const frame = new Uint8Array(MAX_FRAME_BYTES);
  const nap = new Int32Array(new SharedArrayBuffer(4));
  const result: TapResult = { echoed: 0 };
  while (!stopping) {
    const count = echo(fd, frame);
    result.echoed += count;
    // The throttled poller rests after every batch, whole or not.
    Atomics.wait(nap, 0, 0, count > 0 ? restUs / 1000 : IDLE_MS);
    await new Promise((resolve) => setImmediate(resolve));
  }
  fs.closeSync(fd);
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

// Other modules import types from here, so the code below runs only in the process that was started for it.
if (require.main === module) void main(process.argv.slice(2));
