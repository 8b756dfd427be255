// SPDX-License-Identifier: MIT
/** A fresh network namespace for one system in one round, with no packets but ours in it. */
import { randomBytes } from 'node:crypto';

import { syncHairpin } from '../../src/link/hairpin';
import { linkByName } from '../../src/link/links';
import { Netns } from '../../src/link/netns';
import { ok, okIn, run } from '../helpers/netns';
import { removable } from './open-things';

export const ADDRESS = '10.77.0.1';

/** Creates the namespace; `remove` removes it with everything in it. */
export function freshNetns(): { netns: string; remove: () => void } {
  const netns = `vb${randomBytes(4).toString('hex')}`;
  ok('ip', ['netns', 'add', netns]);
  const remove = removable(() => void run('ip', ['netns', 'del', netns]));
  okIn(netns, 'sysctl', ['-qw', 'net.ipv6.conf.default.disable_ipv6=1']);
  ok('ip', ['-n', netns, 'link', 'set', 'lo', 'up']);
  return { netns, remove };
}

/** Gives an interface that others made its address, and the routing that ours sets up for its own. */
export function hairpin(netns: string, iface: string): void {
  ok('ip', ['-n', netns, 'link', 'set', iface, 'up']);
  ok('ip', ['-n', netns, 'addr', 'add', `${ADDRESS}/24`, 'dev', iface]);
  using inside = Netns.named(netns);
  inside.run(() => {
    const ifindex = linkByName(iface)?.ifindex;
    if (ifindex === undefined) throw new Error(`${iface} is not there`);
    syncHairpin(iface, ifindex, [{ family: 4, address: ADDRESS }], null);
  });
}

/** Settles the neighbour for good, so that no ARP request is among the packets. */
export function settleNeighbour(netns: string, iface: string): void {
  using inside = Netns.named(netns);
  const mac = inside.run(() => linkByName(iface)?.mac) ?? '';
  ok('ip', ['-n', netns, 'neigh', 'replace', ADDRESS, 'lladdr', mac, 'dev', iface, 'nud', 'permanent']);
}
