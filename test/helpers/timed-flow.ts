// SPDX-License-Identifier: MIT
/**
 * Datagrams through an interface with faults, each with the time at which it was sent, and the kernel's time at which
 * it came back. The sender has one processor and the poller the other; what came back is read afterwards.
 */
import * as fs from 'node:fs';

import type { Test } from 'tap';

import { frameAccounting } from '../../src/datapath/stats';
import { attachedIn, attachmentOf, type Attached } from './cli';
import { Messages } from './messages';
import * as native from './native-socket';
import { ok, quietNetns } from './netns';
import { withoutArp } from './traffic';

const ADDRESS = '10.77.0.1';
const PORT = 20000;
const SO_TIMESTAMPNS = 35;
const CLOCK_REALTIME = 0;
const RECEIVE_BUFFER_BYTES = 1 << 29;
const BATCH = 64;
/** Bytes of the Ethernet, IP and UDP headers. */
export const HEADER_BYTES = 42;

// koffi declares its types as those of an ES module, while `require` gets its CommonJS build.
type Koffi = typeof import('koffi', { with: { 'resolution-mode': 'import' } });
// eslint-disable-next-line @typescript-eslint/no-require-imports
const koffi = require('koffi') as Koffi;
const clockGettime = koffi.load('libc.so.6').func('int clock_gettime(int clock, _Out_ uint8_t *time)');
const timespec = new Uint8Array(16);

/** The wall clock in milliseconds, as the kernel stamps frames. */
function wallClock(): number {
  clockGettime(CLOCK_REALTIME, timespec);
  return millisecondsOf(new DataView(timespec.buffer));
}

const millisecondsOf = (time: DataView): number =>
  Number(time.getBigInt64(0, true)) * 1000 + Number(time.getBigInt64(8, true)) / 1e6;

export interface Timed {
  /** When each datagram was sent, in milliseconds. */
  sent: Float64Array;
  /** When it came back, by its number; NaN if it did not. */
  received: Float64Array;
  /** The numbers of the datagrams in the order in which they came back. */
  order: number[];
  /** Datagrams a second that were sent. */
  perSecond: number;
}

export class TimedFlow {
  private readonly sender: number;
  private readonly receiver: number;
  readonly nic: Attached;

  constructor(
    private readonly t: Test,
    faults: string,
    seed: number,
  ) {
    const options = ['--addr', `${ADDRESS}/24`, '--ring-size', '16M', '--faults', faults, '--seed', String(seed)];
    this.nic = attachedIn(t, quietNetns(t), options);
    withoutArp(this.nic, ADDRESS);
    ok('taskset', ['--all-tasks', '--pid', '--cpu-list', '1', String(attachmentOf(this.nic).pid)]);
    ok('taskset', ['--all-tasks', '--pid', '--cpu-list', '0', String(process.pid)]);
    const open = (): number => native.openSocket(this.nic.netns, native.AF_INET, native.SOCK_DGRAM, 0);
    [this.sender, this.receiver] = [open(), open()];
    native.setOption(this.receiver, native.SOL_SOCKET, native.SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES);
    native.setOption(this.receiver, native.SOL_SOCKET, SO_TIMESTAMPNS, 1);
    native.bind(this.receiver, native.socketAddress(ADDRESS, PORT));
    native.connect(this.sender, native.socketAddress(ADDRESS, PORT));
    t.teardown(() => [this.sender, this.receiver].forEach((fd) => fs.closeSync(fd)));
  }

  /** Sends `count` frames of `bytes` bytes, `perSecond` a second, and waits until nothing waits any more. */
  async run(count: number, perSecond: number, bytes: number): Promise<Timed> {
    using messages = new Messages(BATCH, bytes - HEADER_BYTES, 64);
    const sent = new Float64Array(count);
    const words = Array.from({ length: BATCH }, (_, i) => {
      const payload = messages.payload(i);
      return new DataView(payload.buffer, payload.byteOffset, 4);
    });
    const start = wallClock();
    for (let next = 0; next < count;) {
      const now = wallClock();
      const due = Math.min(BATCH, count - next, Math.floor(((now - start) * perSecond) / 1000) + 1 - next);
      if (due <= 0) continue;
      for (let i = 0; i < due; i++) {
        words[i]?.setUint32(0, next + i, true);
        sent[next + i] = now;
      }
      const taken = messages.send(this.sender, 0, due);
      if (taken < 0) throw new Error(`sendmmsg: ${native.errnoName(-taken)}`);
      next += taken;
    }
    const took = wallClock() - start;
    this.t.ok(frameAccounting(await this.nic.atRest()).balanced, 'the frame accounting balances');
    return { sent, perSecond: (count / took) * 1000, ...this.read(count, bytes - HEADER_BYTES) };
  }

  private read(count: number, bytes: number): Pick<Timed, 'received' | 'order'> {
    using messages = new Messages(BATCH, bytes, 64);
    const received = new Float64Array(count).fill(NaN);
    const order: number[] = [];
    for (;;) {
      const got = messages.receive(this.receiver, native.MSG_DONTWAIT);
      if (got < 0) return { received, order };
      for (let i = 0; i < got; i++) {
        const payload = messages.payload(i);
        const number = new DataView(payload.buffer, payload.byteOffset, 4).getUint32(0, true);
        const time = messages.control(i, native.SOL_SOCKET, SO_TIMESTAMPNS);
        received[number] = time === null ? NaN : millisecondsOf(time);
        order.push(number);
      }
    }
  }
}
