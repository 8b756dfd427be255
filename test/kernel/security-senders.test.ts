// SPDX-License-Identifier: MIT
/** docs/SECURITY.md, about senders with CAP_NET_RAW, which cannot pretend to be the poller or a router. */
import * as fs from 'node:fs';

import t, { type Test } from 'tap';

import { ethernet, icmpv6, ipv6 } from '../../src/packet';
import { attachedIn, attachmentOf, cannotRun, SLOW, type Attached } from '../helpers/cli';
import { controllerPid, eventually } from '../helpers/controller';
import { withoutDummy } from '../helpers/dummy';
import { ethernet as frame, LOCAL_EXPERIMENT, macOf } from '../helpers/frames';
import { hookFile } from '../helpers/hook-file';
import { Messages } from '../helpers/messages';
import * as native from '../helpers/native-socket';
import { ok, okIn, quietNetns, testNetns } from '../helpers/netns';

t.setTimeout(120_000 * SLOW);

const SO_MARK = 36;
const FRAME = frame({ type: LOCAL_EXPERIMENT, payload: Buffer.alloc(1000) });

/**
 * Sends a frame up to `times` times, from a socket with that mark; returns how often the socket took it before its
 * buffer was full.
 */
function send(t: Test, { netns, iface }: Attached, bytes: Uint8Array, times: number, mark = 0): number {
  const [link] = JSON.parse(ok('ip', ['-n', netns, '-json', 'link', 'show', 'dev', iface])) as [{ ifindex: number }];
  const fd = native.openSocket(netns, native.AF_PACKET, native.SOCK_RAW, 0);
  t.teardown(() => fs.closeSync(fd));
  native.setOption(fd, native.SOL_SOCKET, SO_MARK, mark);
  const address = new DataView(new ArrayBuffer(20));
  address.setUint16(0, native.AF_PACKET, true);
  address.setInt32(4, link.ifindex, true);
  native.bind(fd, new Uint8Array(address.buffer));
  using messages = new Messages(1, bytes.length);
  messages.payload(0).set(bytes);
  messages.setLength(0, bytes.length);
  let sent = 0;
  while (sent < times && messages.send(fd, 0, 1, native.MSG_DONTWAIT) === 1) sent++;
  return sent;
}

t.test(
  'N3: frames that wait are charged to their sender, whatever mark its socket has',
  { skip: cannotRun },
  async (t) => {
    const nic = attachedIn(t, quietNetns(t), ['--type', 'veth', '--ring-size', '256K']);
    const pid = controllerPid(nic.netns, nic.iface);
    process.kill(pid, 'SIGSTOP');
    t.teardown(() => process.kill(pid, 'SIGCONT'));
    send(t, nic, FRAME, 3000); // fills the ring
    const TIMES = 3000;
    // The mark of packets that the poller has merged, and the next number, which older pollers gave to their sockets.
    for (const mark of [0, 22094, 22095])
      t.ok(send(t, nic, FRAME, TIMES, mark) < TIMES, `mark ${mark}: its buffer is full at some time`);
  },
);

t.test(
  "N3: a frame with the mark of a dummy's poller is counted and judged like any other",
  { skip: withoutDummy() },
  async (t) => {
    const hook = hookFile(t, 'drop.mjs', "export default () => 'drop';");
    for (const [args, back] of [
      [['--queues', '2'], 10],
      [['--hook', hook, '--on-hook-error', 'drop'], 0],
    ] as const) {
      const nic = attachedIn(t, quietNetns(t), ['--type', 'dummy', ...args]);
      t.equal(send(t, nic, FRAME, 10, attachmentOf(nic).reinjectMark), 10, 'all are taken');
      const { tx, rx } = await nic.atRest();
      t.same([tx.packets, rx.packets], [10, back], `${args[0]}: sent and received`);
    }
  },
);

const ROUTER = 'fe80::99';
const ROUTER_ADVERTISEMENT = 134;
const REDIRECT = 137;

/** A router's: the default route for half an hour, and a prefix to make an address of. */
function advertisement(mac: string): Uint8Array {
  const body = Buffer.alloc(4 + 8 + 32);
  body.writeUInt16BE(1800, 2);
  body.set([3, 4, 64, 0xc0], 12);
  body.writeUInt32BE(3600, 16);
  body.writeUInt32BE(3600, 20);
  body.set([0x20, 0x01, 0x0d, 0xb8, 0, 0x66], 28);
  const [rest, message] = [body.readUInt32BE(0), body.subarray(4)];
  return ethernet(
    { source: '02:02:02:02:02:02', destination: mac },
    ipv6({ source: ROUTER, destination: 'ff02::1', hopLimit: 255 }, icmpv6(ROUTER_ADVERTISEMENT, 0, rest, message)),
  );
}

/** A router's: fe80::66 is the better way to 2001:db8:9::9. */
function redirect(mac: string): Uint8Array {
  const body = Buffer.alloc(32);
  body.set([0xfe, 0x80], 0);
  body.set([0x66], 15);
  body.set([0x20, 0x01, 0x0d, 0xb8, 0, 9], 16);
  body.set([9], 31);
  return ethernet(
    { source: '02:02:02:02:02:02', destination: mac },
    ipv6({ source: ROUTER, destination: 'fd77::1', hopLimit: 255 }, icmpv6(REDIRECT, 0, 0, body)),
  );
}

t.test('N4: nobody on an interface that attach has made passes for a router', { skip: cannotRun }, async (t) => {
  const nic = attachedIn(t, testNetns(t), ['--addr', 'fd77::1/64']);
  const known = (): string =>
    ok('ip', ['-n', nic.netns, '-6', 'route']) + ok('ip', ['-n', nic.netns, '-6', 'addr', 'show', 'dev', nic.iface]);
  const believed = (): boolean => /default via fe80::99/.test(known()) && /2001:db8:66:/.test(known());
  const frame = advertisement(macOf(nic.netns, nic.iface));
  const sendAndWait = async (): Promise<boolean> => (send(t, nic, frame, 1), eventually(believed, 500));
  t.notOk(await sendAndWait(), 'no route, no address');
  ok('ip', ['-n', nic.netns, 'link', 'set', 'dev', nic.iface, 'mtu', '1000']);
  ok('ip', ['-n', nic.netns, 'link', 'set', 'dev', nic.iface, 'mtu', '1500']);
  t.ok(
    await eventually(() => okIn(nic.netns, 'cat', [`/proc/sys/net/ipv6/conf/${nic.iface}/accept_ra`]).trim() === '0'),
    'nor after IPv6 has begun anew',
  );
  okIn(nic.netns, 'sysctl', ['-qw', `net.ipv6.conf.${nic.iface}.accept_ra=1`]);
  t.ok(await sendAndWait(), 'its user may allow it');
});

t.test('N4: nor sends IPv6 other ways by redirects', { skip: cannotRun }, async (t) => {
  const nic = attachedIn(t, testNetns(t), ['--addr', 'fd77::1/64']);
  ok('ip', ['-n', nic.netns, '-6', 'route', 'add', '2001:db8:9::/64', 'via', ROUTER, 'dev', nic.iface]);
  const frame = redirect(macOf(nic.netns, nic.iface));
  const believed = (): boolean =>
    /via fe80::66/.test(ok('ip', ['-n', nic.netns, '-6', 'route', 'get', '2001:db8:9::9']));
  const sendAndWait = async (): Promise<boolean> => (send(t, nic, frame, 1), eventually(believed, 500));
  t.notOk(await sendAndWait(), 'the route is as it was');
  okIn(nic.netns, 'sysctl', ['-qw', `net.ipv6.conf.${nic.iface}.accept_redirects=1`]);
  t.ok(await sendAndWait(), 'its user may allow it');
});
