// SPDX-License-Identifier: MIT
/** A hook that filters traffic and can be made to die, and frames for it: forbidden ones must never be received. */
import type { Test } from 'tap';

import { ethernet, Frame, ipv4, udp } from '../../src/packet';
import type { Attached } from './cli';
import { RawSocket } from './raw-socket';

const LINK = { source: '02:00:00:00:0e:07', destination: '02:00:00:00:0e:08' };
const IP = { source: '10.77.0.7', destination: '10.77.0.8' };
const PORT = { allowed: 53, forbidden: 666 } as const;
const SEND_BUFFER_BYTES = 64 << 20;

/** Ways to die, each triggered by a datagram to its port. */
export const DEATHS = {
  'ends its thread': [900, 'process.exit(3)'],
  'uses up its memory': [901, 'for (const all = []; ; ) all.push(new Array(1e6).fill(all.length + 0.5))'],
  'fails later, and nobody listens': [
    902,
    "process.removeAllListeners('uncaughtException'); setImmediate(() => { throw Object.create(null); })",
  ],
  'rejects a promise, and nobody listens': [
    903,
    "process.removeAllListeners('unhandledRejection'); process.removeAllListeners('uncaughtException'); void Promise.reject(new Error('nobody'))",
  ],
  'ends its thread in a timer': [904, 'nic.after(1, () => process.exit(0))'],
  'does not return': [905, 'for (;;)'],
  // It waits, and so leaves the processor to others.
  'does not return from a timer': [
    906,
    'nic.after(1, () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0))',
  ],
  'overflows its stack': [907, '(function endless() { endless(); })()'],
} as const;

export type Death = keyof typeof DEATHS;

export const FIREWALL = `export default (frame, nic) => {
  const port = (frame.udp ?? frame.tcp)?.destinationPort;
  if (port === ${PORT.forbidden}) return 'drop';
${Object.values(DEATHS)
  .map(([port, source]) => `  if (port === ${port}) { ${source}; }`)
  .join('\n')}
  return port === ${PORT.allowed} ? 'pass' : 'drop';
};`;

export class FirewallTraffic {
  sent = 0;
  forbiddenSent = 0;
  /** How often each allowed datagram was received. */
  private readonly times = new Map<number, number>();
  forbidden = 0;
  private readonly sender: RawSocket;
  private readonly receiver: RawSocket;

  constructor(t: Test, { netns, iface }: Attached) {
    this.sender = RawSocket.open(t, netns, iface, { sendBufferBytes: SEND_BUFFER_BYTES });
    this.receiver = RawSocket.open(t, netns, iface);
  }

  /** Sends `count` allowed datagrams, and as many forbidden ones between them. */
  offer(count: number): void {
    for (let i = 0; i < count; i++) {
      this.send(PORT.allowed, this.sent++);
      this.send(PORT.forbidden, this.forbiddenSent++);
    }
  }

  kill(death: Death): void {
    this.send(DEATHS[death][0], 0);
  }

  private send(destinationPort: number, number: number): void {
    const payload = Buffer.alloc(64);
    payload.writeUInt32BE(number);
    this.sender.send(ethernet(LINK, ipv4(IP, udp({ sourcePort: 7, destinationPort }, payload))));
  }

  /** Takes the received frames; returns how many of the allowed ones have been received by now. */
  take(): number {
    for (const { direction, frame } of this.receiver.captured()) {
      if (direction === 'outgoing') continue;
      const datagram = Frame.of(frame).udp;
      if (datagram?.destinationPort === PORT.allowed) {
        const number = Buffer.from(datagram.payload).readUInt32BE();
        this.times.set(number, (this.times.get(number) ?? 0) + 1);
      } else {
        this.forbidden++;
      }
    }
    return this.times.size;
  }

  get twice(): number {
    return [...this.times.values()].filter((times) => times > 1).length;
  }
}
