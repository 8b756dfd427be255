// SPDX-License-Identifier: MIT
/**
 * A datagram in fragments of which the first hides the ports, through a hook that drops by port as docs/hooks.md says.
 */
import * as fs from 'node:fs';

import t, { type Test } from 'tap';

import { ethernet, ipv6, udp } from '../../src/packet';
import { attachedIn, cannotRun, cliOk, SLOW, type Attached } from '../helpers/cli';
import { eventually } from '../helpers/controller';
import { macOf } from '../helpers/frames';
import { hookFile } from '../helpers/hook-file';
import { Messages } from '../helpers/messages';
import * as native from '../helpers/native-socket';
import { testNetns } from '../helpers/netns';
import { RawSocket } from '../helpers/raw-socket';

t.setTimeout(120_000 * SLOW);

const PORT = { allowed: 53, forbidden: 666 } as const;
const IP = { source: 'fd77::7', destination: 'fd77::1' };
const [ROUTING, FRAGMENT, DESTINATION, UDP] = [43, 44, 60, 17];

const FIREWALL = `export default ({ ip, udp, tcp, icmp, icmpv6 }) => {
  if (udp?.destinationPort === ${PORT.forbidden}) return 'drop';
  return ip && ip.isFragment && ip.fragmentOffset === 0 && !(udp ?? tcp ?? icmp ?? icmpv6) ? 'drop' : 'pass';
};`;

/** The first has a routing header, the second destination options and the datagram. */
function hidden(link: { source: string; destination: string }, destinationPort: number): Uint8Array[] {
  const datagram = ethernet(link, ipv6(IP, udp({ sourcePort: 7, destinationPort }, Buffer.from('hello')))).subarray(54);
  const routing = Buffer.from([DESTINATION, 1, 253, 0, ...Array<number>(12).fill(0)]);
  const rest = Buffer.concat([Buffer.from([UDP, 0, 1, 4, 0, 0, 0, 0]), datagram]);
  const part = (offset: number, more: number, bytes: Buffer): Uint8Array =>
    ethernet(
      link,
      ipv6(IP, {
        protocol: FRAGMENT,
        bytes: Buffer.concat([
          Buffer.from([ROUTING, 0, 0, offset | more, 0, 0, destinationPort >> 8, destinationPort & 255]),
          bytes,
        ]),
      }),
    );
  return [part(0, 1, routing), part(routing.length, 0, rest)];
}

const whole = (link: { source: string; destination: string }, destinationPort: number): Uint8Array =>
  ethernet(link, ipv6(IP, udp({ sourcePort: 7, destinationPort }, Buffer.from('hello'))));

class Receiver {
  private readonly messages = new Messages(16, 100);
  private readonly fd: number;
  received = 0;

  constructor(t: Test, netns: string, port: number) {
    this.fd = native.openSocket(netns, native.AF_INET6, native.SOCK_DGRAM, 0);
    native.bind(this.fd, native.socketAddress('::', port));
    t.teardown(() => {
      fs.closeSync(this.fd);
      this.messages[Symbol.dispose]();
    });
  }

  take(): number {
    for (let count = 0; (count = this.messages.receive(this.fd, native.MSG_DONTWAIT)) > 0;) this.received += count;
    return this.received;
  }
}

t.test('what hides its ports is dropped, and the receiver would have taken it', { skip: cannotRun }, async (t) => {
  const nic: Attached = attachedIn(t, testNetns(t), ['--addr', 'fd77::1/64']);
  const link = { source: '02:00:00:00:0e:07', destination: macOf(nic.netns, nic.iface) };
  const sender = RawSocket.open(t, nic.netns, nic.iface);
  const [forbidden, allowed] = [PORT.forbidden, PORT.allowed].map((port) => new Receiver(t, nic.netns, port)) as [
    Receiver,
    Receiver,
  ];
  hidden(link, PORT.forbidden).forEach((frame) => sender.send(frame));
  t.ok(await eventually(() => forbidden.take() === 1), 'without a hook it is received');
  cliOk(['hook', nic.iface, '--netns', nic.netns, hookFile(t, 'firewall.mjs', FIREWALL), '--on-hook-error', 'drop']);
  for (let i = 0; i < 3; i++)
    for (const frame of [...hidden(link, PORT.forbidden), whole(link, PORT.forbidden), whole(link, PORT.allowed)])
      sender.send(frame);
  t.ok(await eventually(() => allowed.take() === 3), 'what may pass is received');
  t.equal(forbidden.take(), 1, 'nothing else is');
});
