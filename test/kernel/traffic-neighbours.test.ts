// SPDX-License-Identifier: MIT
/**
 * Looped addresses are permanent neighbours; ARP and IPv6 neighbour discovery resolve through the loop, too: vnet0
 * answers itself.
 */
import t from 'tap';

import { attached, attachedIn, BACK_END, checkAccounting, SLOW } from '../helpers/cli';
import { eventually } from '../helpers/controller';
import { macBytes, macOf } from '../helpers/frames';
import { ok, okIn, testNetns } from '../helpers/netns';
import { OwnUdp } from '../helpers/own-sockets';
import { RawSocket } from '../helpers/raw-socket';
import { cannotCarry } from '../helpers/supported';

t.setTimeout(300_000 * SLOW);

interface Neighbour {
  dst: string;
  lladdr?: string;
  state: string[];
}

const ARP = Buffer.from('0806', 'hex');
const ICMPV6 = 58;
const NEIGHBOUR_SOLICITATION = 135;
const NEIGHBOUR_ADVERTISEMENT = 136;

/** Type of the ICMPv6 message in a frame without extension headers, or 0. */
const icmpv6Type = (frame: Buffer): number =>
  frame.readUInt16BE(12) === 0x86dd && frame[20] === ICMPV6 ? (frame[54] ?? 0) : 0;

const neighbours = (netns: string, iface: string): Neighbour[] =>
  JSON.parse(ok('ip', ['-n', netns, '-json', 'neigh', 'show', 'dev', iface]) || '[]') as Neighbour[];
const isPermanent = (netns: string, iface: string, address: string, mac: string): boolean =>
  neighbours(netns, iface).some(
    (entry) => entry.dst === address && entry.lladdr === mac && entry.state.includes('PERMANENT'),
  );
/** A dummy is made with IFF_NOARP, and resolves nothing. */
const resolving = (netns: string, iface: string): unknown =>
  BACK_END === 'dummy' && ok('ip', ['-n', netns, 'link', 'set', 'dev', iface, 'arp', 'on']);

t.test('looped addresses are known before the first frame, and stay so', { skip: cannotCarry() }, async (t) => {
  const nic = attached(t, ['--addr', '10.77.0.1/24', '--addr', 'fd77::1/64', '--addr', 'fd77::2/64']);
  const { netns, iface } = nic;
  const ip = (...args: string[]): string => ok('ip', ['-n', netns, ...args]);
  resolving(netns, iface);
  const known = (): boolean =>
    ['10.77.0.1', 'fd77::1', 'fd77::2'].every((address) => isPermanent(netns, iface, address, macOf(netns, iface)));
  t.ok(BACK_END === 'dummy' ? await eventually(known) : known(), 'right after attach');
  t.match(
    okIn(netns, 'ping', ['-c', '3', '-i', '0.1', '-W', String(3 * SLOW), '-I', 'fd77::1', 'fd77::2']),
    / 3 received/,
    'from one address of IPv6 to another',
  );
  ip('link', 'set', 'dev', iface, 'address', '02:00:00:00:77:01');
  t.ok(await eventually(known), 'with another Ethernet address');
  ip('neigh', 'del', '10.77.0.1', 'dev', iface);
  ip('neigh', 'del', 'fd77::1', 'dev', iface);
  t.ok(await eventually(known), 'after somebody deleted them');
  ip('link', 'set', 'dev', iface, 'down');
  ip('link', 'set', 'dev', iface, 'up');
  ip('addr', 'replace', 'fd77::1/64', 'dev', iface, 'nodad');
  ip('addr', 'replace', 'fd77::2/64', 'dev', iface, 'nodad');
  t.ok(await eventually(known), 'set down and up');
  ip('neigh', 'replace', '10.77.0.1', 'lladdr', '02:00:00:00:77:02', 'nud', 'permanent', 'dev', iface);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  t.ok(isPermanent(netns, iface, '10.77.0.1', '02:00:00:00:77:02'), 'one that the user has set is left');
});

t.test(
  'the first datagrams of all arrive, however long a resolution would take',
  { skip: cannotCarry() },
  async (t) => {
    const COUNT = 400; // the kernel keeps about 90 of this size for a neighbour that it does not know yet
    for (const address of ['10.77.0.1', 'fd77::1']) {
      const nic = attachedIn(t, testNetns(t), ['--addr', '10.77.0.1/24', '--addr', 'fd77::1/64'], 'vnet0', {
        VNET_BPF_TEST_POLL_DELAY_US: '20000',
      });
      const udp = new OwnUdp(t, nic.netns, address, 1400);
      while (udp.sent < COUNT) udp.offer(COUNT - udp.sent);
      t.ok(
        await eventually(() => (udp.take(), udp.received === COUNT), 5000),
        `${address}: ${udp.received} of ${COUNT}`,
      );
    }
  },
);

t.test('both resolve, where somebody has deleted the neighbour', { skip: cannotCarry() }, async (t) => {
  const nic = attached(t, ['--addr', '10.77.0.1/24', '--addr', 'fd77::1/64']);
  const { netns, iface } = nic;
  resolving(netns, iface);
  const socket = RawSocket.open(t, netns, iface);
  const mac = macOf(netns, iface);
  const known = (address: string): Neighbour | undefined => neighbours(netns, iface).find(({ dst }) => dst === address);

  for (const address of ['10.77.0.1', 'fd77::1']) {
    await eventually(() => known(address) !== undefined);
    // Once a second the controller restores it, and may do so before the ping.
    const asked = await eventually(() => {
      ok('ip', ['-n', netns, 'neigh', 'del', address, 'dev', iface]);
      okIn(netns, 'ping', ['-c', '1', '-W', String(3 * SLOW), address]);
      return /^(REACHABLE|STALE|DELAY|PROBE)$/.test(known(address)?.state.join() ?? '');
    });
    t.ok(asked, `${address}: learned`);
    t.equal(known(address)?.lladdr, mac, `${address}: it is vnet0 itself`);
  }

  const frames = socket
    .captured()
    .filter(({ direction }) => direction !== 'outgoing')
    .map(({ frame }) => frame);
  const arp = frames.filter(
    (frame) => frame.subarray(12, 14).equals(ARP) && frame.subarray(22, 28).equals(macBytes(mac)),
  );
  t.ok(
    arp.some((frame) => frame.readUInt16BE(20) === 1),
    'an ARP request was received on vnet0',
  );
  t.ok(
    arp.some((frame) => frame.readUInt16BE(20) === 2),
    'an ARP reply was received on vnet0',
  );
  t.ok(
    frames.some((frame) => icmpv6Type(frame) === NEIGHBOUR_SOLICITATION),
    'a neighbour solicitation was received on vnet0',
  );
  t.ok(
    frames.some((frame) => icmpv6Type(frame) === NEIGHBOUR_ADVERTISEMENT),
    'a neighbour advertisement was received on vnet0',
  );
  checkAccounting(t, nic, await nic.atRest());
});
