// SPDX-License-Identifier: MIT
/**
 * Makes packets for vnet0's own addresses leave through vnet0. Linux routes them over `lo`,
 * because the rule that asks the `local` table comes first. So we put two rules before it:
 *
 *   10: iif vnet0             -> local    what comes back from the loop is delivered
 *   20: iif lo, to ADDRESS    -> TABLE    what this machine sends to ADDRESS goes out on vnet0
 *   30: everything            -> local    the old rule 0, moved down
 *
 * The moved rule is added before rule 0 is removed, and goes only when rule 0 is back: there is no
 * moment without the local table. `protocol` marks the rules as ours.
 * Everything here runs in vnet0's namespace, under the global lock.
 */
import * as fs from 'node:fs';

import type { HairpinRecord } from '../state/store';
import { VnetError } from '../errors';
import { SystemError } from '../native/libc';
import { addresses } from './addresses';
import { ifPossible } from './if-possible';
import { linkByName, type Link } from './links';
import { removeRoute, setRoute } from './routes';
import { addRule, LOCAL_TABLE, removeRule, rules, type Rule } from './rules';
import { setInterfaceSysctl } from './veth';

const FROM_LOOP = 10;
const TO_LOOP = 20;
const MOVED_LOCAL = 30;
/** rtnetlink protocol of our rules and routes; 4 to 255 are free for routing daemons to choose. */
const PROTOCOL = 86;
const RTPROT_KERNEL = 2;
const FAMILIES = [4, 6] as const;

export interface HairpinAddress {
  family: 4 | 6;
  address: string;
}

const isOurs = (rule: Rule): boolean => rule.protocol === PROTOCOL;
const rule = (priority: number, table: number, more: Partial<Rule> = {}): Rule => ({ priority, table, protocol: PROTOCOL, fromAll: true, ...more });
const movedLocal = rule(MOVED_LOCAL, LOCAL_TABLE);
/** As the kernel makes it itself. */
const local = rule(0, LOCAL_TABLE, { protocol: RTPROT_KERNEL });

/** The routing table of an interface: one per ifindex, out of the way of the usual ones. */
export const hairpinTable = (ifindex: number): number => 0x564e0000 + ifindex;

/** A rule that an earlier run has made already is as good. */
function addOnce(family: 4 | 6, rule: Rule): void {
  try {
    addRule(family, rule);
  } catch (error) {
    if (!(error instanceof SystemError) || error.code !== 'EEXIST') throw error;
  }
}

/** Moves the rule for the local table below ours, where that is not done already. */
function moveLocalRuleDown(family: 4 | 6): void {
  const present = rules(family);
  const first = present[0];
  if (present.some((rule) => isOurs(rule) && rule.priority === MOVED_LOCAL)) return;
  if (first?.table !== LOCAL_TABLE || first.priority !== 0) {
    // Not our own rule for `iif`, which asks the local table too.
    const other = present.find((rule) => !isOurs(rule) && rule.table === LOCAL_TABLE && rule.fromAll && rule.iif === undefined);
    if (other && other.priority > TO_LOOP) return; // somebody moved it already: nothing to move
    throw new VnetError('UNSUPPORTED', `hairpin for IPv${family}`, 'the rule for the local table is not where it should be', {
      hint: `ip -${family} rule show: expected "0: from all lookup local"`,
    });
  }
  addRule(family, movedLocal);
  removeRule(family, first);
}

/** Puts it back, unless another interface needs it where it is. `left` are the rules without those of this one. */
function moveLocalRuleBack(family: 4 | 6, left: readonly Rule[]): void {
  if (!left.some((rule) => isOurs(rule) && rule.priority === MOVED_LOCAL)) return;
  if (left.some((rule) => isOurs(rule) && rule.priority !== MOVED_LOCAL)) return;
  if (!left.some((rule) => rule.priority === 0 && rule.table === LOCAL_TABLE)) ifPossible(() => addRule(family, local));
  ifPossible(() => removeRule(family, movedLocal));
}

/**
 * Brings rules and routes in line with `wanted`; returns the record to keep for the way back. Can be run again after it
 * has thrown. An interface that is down has no routes: `whenUp` leaves those that the kernel refuses to restoreRoutes().
 */
export function syncHairpin(
  iface: string,
  ifindex: number,
  wanted: readonly HairpinAddress[],
  before: HairpinRecord | null,
  routes: 'now' | 'whenUp' = 'now',
): HairpinRecord {
  const route = routes === 'now' ? (make: () => void) => make() : ifPossible;
  const table = hairpinTable(ifindex);
  if ((before?.addresses.length ?? 0) === 0 && wanted.length > 0) {
    setInterfaceSysctl(iface, 'accept_local', '1');
    setInterfaceSysctl(iface, 'rp_filter', '0');
  }
  for (const family of FAMILIES) {
    const had = (before?.addresses ?? []).filter((entry) => entry.family === family).map((entry) => entry.address);
    const want = wanted.filter((entry) => entry.family === family).map((entry) => entry.address);
    if (want.length > 0) {
      if (had.length === 0) addOnce(family, rule(FROM_LOOP, LOCAL_TABLE, { iif: iface }));
      for (const address of want.filter((entry) => !had.includes(entry))) {
        route(() => setRoute('replace', { family, address, table }, ifindex, PROTOCOL));
        addOnce(family, rule(TO_LOOP, table, { iif: 'lo', to: address }));
      }
      // Rules before the move: until the local rule is moved down they change nothing.
      moveLocalRuleDown(family);
    }
    const gone = had.filter((entry) => !want.includes(entry));
    if (gone.length > 0) remove(family, iface, table, (rule) => gone.includes(rule.to ?? '') || want.length === 0);
  }
  return { addresses: [...wanted], table };
}

/**
 * Puts back the routes that the kernel took when the interface was set down. Addresses of IPv6
 * went with them; one that somebody gives it again is looped again.
 */
export function restoreRoutes({ name, ifindex }: Link, { addresses: looped, table }: HairpinRecord): void {
  const present = addresses(name).map(({ address }) => address);
  const lost = looped.filter(({ address }) => present.includes(address));
  // `add` fails where the route is there, and leaves it alone: a route replaced under a blocked sender
  // costs IPv6 its datagram. Should it be set down again meanwhile, its next up brings us back here.
  for (const { family, address } of lost) ifPossible(() => setRoute('add', { family, address, table }, ifindex, PROTOCOL));
}

/**
 * Takes away those of an interface's rules, with their routes, that are to go, and the local rule's
 * move with the last of all. Looks at what the kernel has, rather than at what was recorded.
 */
function remove(family: 4 | 6, iface: string, table: number, goes: (rule: Rule) => boolean): void {
  const present = rules(family);
  // A name that nobody has is one that an interface of ours had when it was renamed: whoever follows it makes the rule anew.
  const isStale = ({ iif = '' }: Rule): boolean => linkByName(iif) === null;
  const leaving = present.filter((rule) => {
    if (!isOurs(rule)) return false;
    if (rule.priority === TO_LOOP) return rule.table === table && goes(rule);
    return rule.priority === FROM_LOOP && ((rule.iif === iface && goes(rule)) || isStale(rule));
  });
  for (const rule of leaving) {
    ifPossible(() => removeRule(family, rule));
    const { to } = rule;
    if (to !== undefined) ifPossible(() => removeRoute({ family, address: to, table }));
  }
  moveLocalRuleBack(family, present.filter((rule) => !leaving.includes(rule)));
}

/**
 * Takes away every rule and route of an interface: it mends what a killed controller left. `iface`
 * is the name that the rules know, which is the one the interface had when they were made.
 */
export function removeHairpin(iface: string, table: number): void {
  for (const family of FAMILIES) {
    if (family === 6 && !fs.existsSync('/proc/sys/net/ipv6')) continue;
    remove(family, iface, table, () => true);
  }
}
