// SPDX-License-Identifier: MIT
/** ARP and IPv6 neighbour discovery resolve through the loop: vnet0 answers itself. */
import t from 'tap';

import { attached, BACK_END, checkLaw, SLOW } from '../helpers/cli';
import { macBytes, macOf } from '../helpers/frames';
import { ok, okIn } from '../helpers/netns';
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
const icmpv6Type = (frame: Buffer): number => (frame.readUInt16BE(12) === 0x86dd && frame[20] === ICMPV6 ? (frame[54] ?? 0) : 0);

t.test('both resolve, with no static neighbour', { skip: cannotCarry() }, async (t) => {
  const nic = attached(t, ['--addr', '10.77.0.1/24', '--addr', 'fd77::1/64']);
  const { netns, iface } = nic;
  if (BACK_END === 'dummy') ok('ip', ['-n', netns, 'link', 'set', 'dev', iface, 'arp', 'on']); // made with IFF_NOARP
  const socket = RawSocket.open(t, netns, iface);
  const neighbours = (): Neighbour[] => JSON.parse(ok('ip', ['-n', netns, '-json', 'neigh', 'show', 'dev', iface]) || '[]') as Neighbour[];
  const mac = macOf(netns, iface);

  for (const address of ['10.77.0.1', 'fd77::1']) {
    t.notOk(neighbours().find(({ dst }) => dst === address), `${address}: not known before`);
    okIn(netns, 'ping', ['-c', '1', '-W', String(3 * SLOW), address]);
    const entry = neighbours().find(({ dst }) => dst === address);
    t.match(entry?.state.join(), /^(REACHABLE|STALE|DELAY|PROBE)$/, `${address}: learned`);
    t.equal(entry?.lladdr, mac, `${address}: it is vnet0 itself`);
  }

  const frames = socket.captured().filter(({ direction }) => direction !== 'outgoing').map(({ frame }) => frame);
  const arp = frames.filter((frame) => frame.subarray(12, 14).equals(ARP) && frame.subarray(22, 28).equals(macBytes(mac)));
  t.ok(arp.some((frame) => frame.readUInt16BE(20) === 1), 'an ARP request was received on vnet0');
  t.ok(arp.some((frame) => frame.readUInt16BE(20) === 2), 'an ARP reply was received on vnet0');
  t.ok(frames.some((frame) => icmpv6Type(frame) === NEIGHBOUR_SOLICITATION), 'a neighbour solicitation was received on vnet0');
  t.ok(frames.some((frame) => icmpv6Type(frame) === NEIGHBOUR_ADVERTISEMENT), 'a neighbour advertisement was received on vnet0');
  checkLaw(t, nic, await nic.atRest());
});
