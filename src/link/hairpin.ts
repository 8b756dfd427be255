// SPDX-License-Identifier: MIT
/**
 * Makes packets for vnet0's own addresses leave through vnet0, with rules (rules.ts), a route for each address, and a
 * neighbour for each, so that the first frame needs no resolution. Over IPv6 the kernel does not resolve an address of
 * its own at all: it ignores an advertisement for it (ndisc_recv_na in net/ipv6/ndisc.c). Everything here runs in
 * vnet0's namespace.
 */
import * as fs from 'node:fs';

import { VnetError } from '../errors';
import { SystemError } from '../native/libc';
import type { HairpinRecord } from '../state/store';
import {
  addressesBeside,
  addressesOf,
  outputInterface,
  permanentNeighbour,
  permanentNeighbours,
  removeNeighbour,
  removeRoute,
  routesOf,
  setNeighbour,
  setRoute,
} from './addresses';
import { linkByIndex, linkByName, setGroup, type Link } from './links';
import { ifPossible } from './rtnetlink';
import {
  addRule,
  type Change,
  changesFor,
  changesWithout,
  ifindexOf,
  isOldLoop,
  LOCAL_TABLE,
  LOOP_GROUP,
  loopTable,
  moveBehind,
  NET,
  removeRule,
  type Rule,
  rules,
} from './rules';
import { setInterfaceSysctl } from './veth';

/** rtnetlink protocol of our routes; 4 to 255 are free for routing daemons to choose. */
const PROTOCOL = 86;
const FAMILIES = [4, 6] as const;
/**
 * Attempts to bring the rules in line. Removing one rule may remove another that is like it, so the rules are read
 * again after each change.
 */
const ROUNDS = 4;

export interface HairpinAddress {
  family: 4 | 6;
  address: string;
}

/** Makes a change. Ignores the error `code`, with which the kernel says that it is made already. */
function unless(code: string, change: () => void): void {
  try {
    change();
  } catch (error) {
    if (!(error instanceof SystemError) || error.code !== code) throw error;
  }
}

function apply(family: 4 | 6, { add, remove }: Change): void {
  for (const rule of add) unless('EEXIST', () => addRule(family, rule));
  for (const rule of remove) unless('ENOENT', () => removeRule(family, rule));
}

/** Puts the rules for a table where they belong. Returns what had to be changed. */
function keepFamily(family: 4 | 6, table: number): Change {
  const kept: Change = { add: [], remove: [] };
  for (let round = 0; round < ROUNDS; round++) {
    const present = rules(family);
    bringOldOnes(present);
    const change = changesFor([table], present);
    if (change.blocked) kept.blocked = change.blocked;
    if (change.add.length + change.remove.length === 0) return kept;
    apply(family, change);
    kept.add.push(...change.add);
    kept.remove.push(...change.remove);
    if (change.behind) kept.behind ??= change.behind;
  }
  return kept;
}

/**
 * Puts interfaces that an older version loops into the group: with our first rule before theirs, they would not be
 * looped any more.
 */
function bringOldOnes(present: readonly Rule[]): void {
  for (const { table } of present.filter(isOldLoop)) {
    const link = linkByIndex(ifindexOf(table));
    if (link && link.group !== LOOP_GROUP) ifPossible(() => setGroup(link.ifindex, LOOP_GROUP));
  }
}

const familiesOf = (looped: readonly HairpinAddress[]): (4 | 6)[] =>
  FAMILIES.filter((family) => looped.some((entry) => entry.family === family));

/** Puts the rules of looped addresses where they belong. Returns what had to be changed, by family. */
export function keepRules({ addresses: looped, table }: HairpinRecord): (Change & { family: 4 | 6 })[] {
  return familiesOf(looped).map((family) => ({ family, ...keepFamily(family, table) }));
}

/** Adds at least the first rule, in each family in which no rule asks the local table for all packets. */
export function keepLocalTable({ addresses: looped }: HairpinRecord): void {
  for (const family of familiesOf(looped)) {
    if (
      !rules(family).some(
        (rule) => rule.table === LOCAL_TABLE && rule.iif === undefined && rule.to === undefined && !rule.special,
      )
    )
      unless('EEXIST', () => addRule(family, NET));
  }
}

/**
 * Brings rules, routes and neighbours in line with `wanted`; returns the record that removeHairpin() needs. Can be run
 * again after it has thrown. An interface that is down has no routes: with `whenUp`, those that the kernel refuses are
 * left to restoreLoop().
 */
export function syncHairpin(
  iface: string,
  ifindex: number,
  wanted: readonly HairpinAddress[],
  before: HairpinRecord | null,
  routes: 'now' | 'whenUp' = 'now',
): HairpinRecord {
  const attempt = routes === 'now' ? (make: () => void) => make() : ifPossible;
  const table = loopTable(ifindex);
  const had = before?.addresses ?? [];
  const link = linkByIndex(ifindex);
  if (had.length === 0 && wanted.length > 0) {
    setInterfaceSysctl(iface, 'accept_local', '1');
    setInterfaceSysctl(iface, 'rp_filter', '0');
  }
  const isIn = (list: readonly HairpinAddress[], { address }: HairpinAddress): boolean =>
    list.some((entry) => entry.address === address);
  for (const entry of wanted.filter((entry) => !isIn(had, entry))) {
    attempt(() => setRoute('replace', { ...entry, table }, ifindex, PROTOCOL));
    if (link) ifPossible(() => keepNeighbour(link, entry, permanentNeighbour(link.ifindex, entry)));
  }
  // The group comes last: until the interface is in it, the first rule answers for its addresses.
  for (const { family, blocked } of keepRules({ addresses: [...wanted], table })) {
    if (blocked) throw noPlace(family, blocked);
  }
  if (wanted.length > 0 && link && link.group !== LOOP_GROUP) setGroup(ifindex, LOOP_GROUP);
  for (const entry of had.filter((entry) => !isIn(wanted, entry))) {
    ifPossible(() => removeRoute({ ...entry, table }));
    if (link) forgetNeighbour(link, entry);
  }
  for (const family of familiesOf(had).filter((family) => !familiesOf(wanted).includes(family)))
    removeRules(family, iface, table);
  return { addresses: [...wanted], table };
}

/** Throws UNSUPPORTED if the rules of others leave no place for those of looped addresses. Changes nothing. */
export function requirePlace(wanted: readonly HairpinAddress[]): void {
  for (const family of familiesOf(wanted)) {
    const { blocked } = changesFor([loopTable(0)], rules(family));
    if (blocked) throw noPlace(family, blocked);
  }
}

export const noPlace = (family: 4 | 6, rule: Rule): VnetError =>
  new VnetError(
    'UNSUPPORTED',
    `routing rules of IPv${family}`,
    `there is no place before the one of priority ${rule.priority}`,
    {
      hint: `ip -${family} rule show; give it a priority of 3 or more`,
    },
  );

/** The addresses of the record that the interface does not have at the moment. */
export function lostAddresses(ifindex: number, { addresses: looped }: HairpinRecord): Set<string> {
  const present = new Set(addressesOf(ifindex).map(({ address }) => address));
  return new Set(looped.map(({ address }) => address).filter((address) => !present.has(address)));
}

/**
 * Restores the routes that the kernel removed when the interface was set down, and the neighbours, which also go when
 * its Ethernet address changes. An address that is `lost` has neither, as it may be another machine's by now; once it is
 * added again it is looped again. Returns the addresses whose route was missing.
 */
export function restoreLoop(
  link: Link,
  { addresses: looped, table }: HairpinRecord,
  lost: ReadonlySet<string>,
  oldMacs: ReadonlySet<string>,
): string[] {
  const missing: string[] = [];
  for (const family of familiesOf(looped)) {
    const routed = new Set(routesOf(family, table, PROTOCOL).map(({ address }) => address));
    const known = permanentNeighbours(link.ifindex, family);
    for (const entry of looped.filter((entry) => entry.family === family)) {
      if (lost.has(entry.address)) {
        if (routed.has(entry.address)) ifPossible(() => removeRoute({ ...entry, table }));
        if (known.has(entry.address)) forgetNeighbour(link, entry);
        continue;
      }
      // `add` fails if there is another route, and leaves that alone: replacing the route of a blocked sender costs
      // IPv6 its datagram. If the interface is set down again meanwhile, this runs again when it is next up.
      if (!routed.has(entry.address)) {
        ifPossible(() => {
          setRoute('add', { ...entry, table }, link.ifindex, PROTOCOL);
          missing.push(entry.address);
        });
      }
      ifPossible(() => keepNeighbour(link, entry, known.get(entry.address) ?? null, oldMacs));
    }
  }
  return missing;
}

/**
 * Addresses that their interface does not loop, because another had them before and its entry in the local table comes
 * first: the kernel answers them at once, or the other interface loops them. Each has the name of the other.
 */
export function shortCuts(ifindex: number, { addresses: looped }: HairpinRecord): Map<string, string> {
  const found = new Map<string, string>();
  for (const other of addressesBeside(ifindex)) {
    if (
      !looped.some(({ address }) => address === other.address) ||
      outputInterface(other.family, other.address) === ifindex
    )
      continue;
    found.set(other.address, linkByIndex(other.ifindex)?.name ?? 'another interface');
  }
  return found;
}

/** Somebody who changes the Ethernet address all the time is followed by the next message about it. */
const MAC_TRIES = 8;

/**
 * Makes the neighbour of an address permanent. `known` is the Ethernet address of the permanent one there is; one that
 * we did not make, with another Ethernet address, is left alone.
 */
function keepNeighbour(
  link: Link,
  address: HairpinAddress,
  known: string | null,
  oldMacs: ReadonlySet<string> = new Set(),
): void {
  if (!link.resolves || link.mac === '') return;
  if (known !== null && (known === link.mac || !oldMacs.has(known))) return;
  // The Ethernet address may have changed since `link` was read. The kernel then removed the neighbours of before, but
  // not this one, and frames to it would be taken for another machine's.
  let mac = link.mac;
  for (let tries = 0; tries < MAC_TRIES; tries++) {
    setNeighbour(link.ifindex, address, mac);
    const now = linkByIndex(link.ifindex)?.mac ?? '';
    if (now === '' || now === mac) return;
    mac = now;
  }
}

function forgetNeighbour(link: Link, address: HairpinAddress): void {
  ifPossible(() => {
    if (permanentNeighbour(link.ifindex, address) === link.mac) removeNeighbour(link.ifindex, address);
  });
}

/**
 * Removes the rules for a table. A rule of an older version with a name that no interface has is stale: the interface
 * was renamed.
 */
function removeRules(family: 4 | 6, iface: string, table: number): void {
  const isStale = (name: string): boolean => name === iface || linkByName(name) === null;
  for (let round = 0; round < ROUNDS; round++) {
    const change = changesWithout(table, rules(family), isStale);
    if (change.add.length + change.remove.length === 0) return;
    for (const rule of change.add) ifPossible(() => addRule(family, rule));
    for (const rule of change.behindAdded ?? []) ifPossible(() => moveBehind(rule));
    for (const rule of change.remove) ifPossible(() => removeRule(family, rule));
  }
}

/**
 * Removes every rule, route and neighbour of an interface, and restores the rules to what they were. It goes by what
 * the kernel has rather than by what was recorded, and so also repairs what a killed controller left. `iface` is the
 * name in rules of older versions; `link` is the interface, if it still exists.
 */
export function removeHairpin(
  iface: string,
  { addresses: looped, table }: HairpinRecord,
  link: Link | null = null,
): void {
  for (const family of FAMILIES) {
    if (family === 6 && !fs.existsSync('/proc/sys/net/ipv6')) continue;
    removeRules(family, iface, table);
    const routes = routesOf(family, table, PROTOCOL);
    for (const route of routes) ifPossible(() => removeRoute(route));
    const known = new Set(
      [...routes, ...looped.filter((entry) => entry.family === family)].map(({ address }) => address),
    );
    if (link) for (const address of known) forgetNeighbour(link, { family, address });
  }
}
