// SPDX-License-Identifier: MIT
/** What attach changes on an interface that was there before, so that detach can put it back. */
import * as fs from 'node:fs';

import type { TakenRecord } from '../state/record';
import { addresses } from './addresses';
import { ipIfPossible } from './ip';
import { setGroup, type Link } from './links';

/** Those that hairpin sets. */
const SYSCTLS = ['accept_local', 'rp_filter'] as const;

const file = (iface: string, name: string): string => `/proc/sys/net/ipv4/conf/${iface}/${name}`;

/** Reads it; runs in the interface's namespace. */
export function recordTaken(link: Link): TakenRecord {
  return {
    wasUp: link.up,
    addresses: addresses(link.name).map(({ address }) => address),
    sysctls: Object.fromEntries(SYSCTLS.map((name) => [name, fs.readFileSync(file(link.name, name), 'utf8').trim()])),
    group: link.group,
  };
}

/** Puts it back, except for addresses that attach did not add; runs in the interface's namespace. */
export function restoreTaken({ name, ifindex, group }: Link, taken: TakenRecord, added: readonly string[]): void {
  for (const entry of addresses(name)) {
    if (!added.includes(entry.address) || taken.addresses.includes(entry.address)) continue;
    ipIfPossible(['addr', 'del', `${entry.address}/${entry.prefix}`, 'dev', name]);
  }
  for (const [sysctl, value] of Object.entries(taken.sysctls)) {
    if (fs.existsSync(file(name, sysctl))) fs.writeFileSync(file(name, sysctl), value);
  }
  if (taken.group !== null && group !== taken.group) setGroup(ifindex, taken.group);
  if (!taken.wasUp) ipIfPossible(['link', 'set', 'dev', name, 'down']);
}
