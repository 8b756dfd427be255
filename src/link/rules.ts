// SPDX-License-Identifier: MIT
/**
 * The policy routing rules of the calling thread's network namespace: reading and changing them, and the rules that
 * make packets for vnet0's own addresses leave through vnet0. Failures are SystemErrors.
 */
import {
  askAll,
  attribute,
  attributesOf,
  bytesOf,
  change,
  familyOf,
  ipBytes,
  ipTextOf,
  message,
  NLM_F_CREATE,
  NLM_F_EXCL,
  numberAttribute,
  textAttribute,
  textOf,
} from './rtnetlink';

const RTM_NEWRULE = 32;
const RTM_DELRULE = 33;
const RTM_GETRULE = 34;
const FR_ACT_TO_TBL = 1;
/** struct fib_rule_hdr: family, destination's and source's prefix length, tos, table, two reserved, action, flags. */
const RULE_BYTES = 12;
const ACTION_AT = 7;
const FLAGS_AT = 8;
const FIB_RULE_INVERT = 0x2;
const FRA = {
  DST: 1,
  IIFNAME: 3,
  PRIORITY: 6,
  SUPPRESS_IFGROUP: 13,
  SUPPRESS_PREFIXLEN: 14,
  TABLE: 15,
  PAD: 18,
  PROTOCOL: 21,
};
const NOTHING_SUPPRESSED = 0xffffffff;

/** The table of the machine's own addresses (RT_TABLE_LOCAL). */
export const LOCAL_TABLE = 255;

export interface Rule {
  priority: number;
  table: number;
  /** Its origin: 2 is the kernel, 0 is unknown. */
  protocol: number;
  /** Matches packets to this address or prefix; undefined: to anywhere. */
  to?: string;
  /** Matches packets that came in by this interface; `lo` stands for those that this machine sends. */
  iif?: string;
  /** Ignores routes of the table that lead to an interface of this group. */
  exceptGroup?: number;
  /** Whether it has other conditions, or does anything but ask a table. */
  special?: boolean;
  /** The kernel's own message, if the rule was read. */
  raw?: Uint8Array;
}

const KNOWN = new Set(Object.values(FRA));

function toRule(message: DataView): Rule {
  const found = attributesOf(message, RULE_BYTES);
  const number = (type: number, otherwise: number): number => found.get(type)?.getUint32(0, true) ?? otherwise;
  const to = found.get(FRA.DST);
  const iif = textOf(found.get(FRA.IIFNAME));
  const exceptGroup = number(FRA.SUPPRESS_IFGROUP, NOTHING_SUPPRESSED);
  const [, , sourceBits, tos] = [0, 1, 2, 3].map((at) => message.getUint8(at)) as [number, number, number, number];
  const special =
    sourceBits !== 0 ||
    tos !== 0 ||
    message.getUint8(ACTION_AT) !== FR_ACT_TO_TBL ||
    (message.getUint32(FLAGS_AT, true) & FIB_RULE_INVERT) !== 0 ||
    number(FRA.SUPPRESS_PREFIXLEN, NOTHING_SUPPRESSED) !== NOTHING_SUPPRESSED ||
    [...found.keys()].some((type) => !KNOWN.has(type));
  return {
    priority: number(FRA.PRIORITY, 0),
    table: number(FRA.TABLE, message.getUint8(4)),
    protocol: found.get(FRA.PROTOCOL)?.getUint8(0) ?? 0,
    ...(to && { to: ipTextOf(to) }),
    ...(iif !== undefined && { iif }),
    ...(exceptGroup !== NOTHING_SUPPRESSED && { exceptGroup }),
    ...(special && { special }),
    raw: bytesOf(message),
  };
}

function described(family: 4 | 6, { priority, table, protocol, to, iif, exceptGroup }: Rule): Uint8Array {
  const header = new Uint8Array(RULE_BYTES);
  header.set([familyOf(family), to === undefined ? 0 : family === 4 ? 32 : 128]);
  header[ACTION_AT] = FR_ACT_TO_TBL;
  return message(
    header,
    numberAttribute(FRA.PRIORITY, priority),
    numberAttribute(FRA.TABLE, table),
    attribute(FRA.PROTOCOL, Uint8Array.of(protocol)),
    ...(to === undefined ? [] : [attribute(FRA.DST, ipBytes(family, to))]),
    ...(iif === undefined ? [] : [textAttribute(FRA.IIFNAME, iif)]),
    ...(exceptGroup === undefined ? [] : [numberAttribute(FRA.SUPPRESS_IFGROUP, exceptGroup)]),
  );
}

/**
 * Adds a rule after those of its priority. Throws SystemError; EEXIST if there is one like it. `to` is a single
 * address.
 */
export const addRule = (family: 4 | 6, rule: Rule): void =>
  change(RTM_NEWRULE, described(family, rule), NLM_F_CREATE | NLM_F_EXCL);

/**
 * Removes the first rule that has everything that this one has. Throws SystemError; ENOENT if there is none. The kernel
 * does not compare what is left out: without `exceptGroup`, a rule that has one may be removed instead (rule_find in
 * net/core/fib_rules.c).
 */
export const removeRule = (family: 4 | 6, rule: Rule): void => change(RTM_DELRULE, described(family, rule));

/** Moves a rule after all others of its priority. It is never missing meanwhile. */
export function moveBehind({ raw }: Rule): void {
  if (!raw) return;
  change(RTM_NEWRULE, raw, NLM_F_CREATE);
  change(RTM_DELRULE, raw);
}

/** The rules of a family, in the order in which the kernel asks them. */
export function rules(family: 4 | 6): Rule[] {
  const body = new Uint8Array(RULE_BYTES);
  body[0] = familyOf(family);
  return askAll(RTM_GETRULE, body).map(toRule);
}

// The rules that make packets for looped addresses leave through their interface, and their place among those of
// others. Linux routes a machine's own addresses over `lo`, because its first rule asks the `local` table. These rules
// replace it:
//
//     0: lookup local suppress_ifgroup GROUP    all own addresses but those of looped interfaces, which are in GROUP
//   500: iif lo lookup TABLE                    what this machine sends to a looped address; one rule per interface
//   501: lookup local                           what comes back from the loop, or from elsewhere for a looped interface
//
// A rule that is added without a priority lands right before the second of the list (fib_default_rule_pref in
// net/core/fib_rules.c): after the first, before the others. `ip rule flush` removes all but those of priority 0, and
// systemd-networkd all but those of protocol kernel. So the first rule stays, and with it every address that is not
// looped. The other two are moved back to the front when another rule has landed there. That rule loses nothing: in a
// namespace without us the kernel's first rule comes before all others, so none of them ever decides about packets for
// own addresses.
//
// Others may have moved the rule for the local table down, because they want rules before it: users for a VRF, Cilium for
// its proxy. There, only the second rule is added, right before the moved one. Like ours, such a rule may have the
// protocol kernel, so ours is known by the rule of an interface right before it, and none of these comes right before a
// moved rule of that protocol.

/** The link group of looped interfaces. */
export const LOOP_GROUP = 0x564e;
const FIRST_TABLE = 0x564e0000;
const LAST_TABLE = 0x56ffffff;
const RTPROT_KERNEL = 2;
/**
 * Rules of versions with a STATE_VERSION below 12: `10: iif vnet0 lookup local`, `20: iif lo to ADDRESS lookup TABLE`,
 * `30: lookup local`.
 */
const OLD_PROTOCOL = 86;
const OLD_TO_LOOP = 20;
const OLD_MOVED_LOCAL = 30;

/**
 * The priority of our rules as long as no other rule is before it: before those of a VRF (1000) and of network
 * managers.
 */
const USUAL = 500;
/** How far our rules go before the first rule of others: the next rules without a priority land right before ours. */
const STEP = 10;

/** The routing table of an interface: one for each ifindex, far from the usual numbers. */
export const loopTable = (ifindex: number): number => FIRST_TABLE + ifindex;
export const ifindexOf = (table: number): number => table - FIRST_TABLE;

const asksLocal = ({ table, to, iif, special }: Rule): boolean =>
  table === LOCAL_TABLE && to === undefined && iif === undefined && !special;

/** The rule for the local table as the kernel makes it. */
export const LOCAL: Rule = { priority: 0, table: LOCAL_TABLE, protocol: RTPROT_KERNEL };
/** Our first rule. */
export const NET: Rule = { ...LOCAL, exceptGroup: LOOP_GROUP };

const asksLocalForOthers = (rule: Rule): boolean => rule.exceptGroup === LOOP_GROUP && asksLocal(rule);
export const isNet = (rule: Rule): boolean => asksLocalForOthers(rule) && rule.priority === 0;
/**
 * A copy of our first rule that `ip rule restore` has made: the kernel reports no priority of 0, and gives the restored
 * rule another one.
 */
const isRestored = (rule: Rule): boolean => asksLocalForOthers(rule) && rule.priority > 0;
export const isLoop = ({ table, iif, special }: Rule): boolean =>
  table >= FIRST_TABLE && table <= LAST_TABLE && iif === 'lo' && !special;
const isPlainLocal = (rule: Rule): boolean => asksLocal(rule) && rule.exceptGroup === undefined;
export const isFirst = (rule: Rule): boolean => isPlainLocal(rule) && rule.priority === 0;

export const isOld = ({ protocol }: Rule): boolean => protocol === OLD_PROTOCOL;
export const isOldLoop = (rule: Rule): boolean => isOld(rule) && rule.priority === OLD_TO_LOOP;
export const isOldMoved = (rule: Rule): boolean => isOld(rule) && rule.priority === OLD_MOVED_LOCAL;

const isOurLoop = (rule: Rule): boolean => isLoop(rule) && !isOld(rule);

/**
 * Our rule for the local table, in a list: it comes right after those of interfaces. Where others have removed these,
 * it is known by the usual place behind our first rule.
 */
const isBehind = (rule: Rule, present: readonly Rule[]): boolean =>
  isPlainLocal(rule) &&
  rule.priority > 0 &&
  rule.protocol === RTPROT_KERNEL &&
  present.some((other) =>
    isNet(other) ? rule.priority === USUAL + 1 : isOurLoop(other) && other.priority === rule.priority - 1,
  );
const isOurs = (rule: Rule, present: readonly Rule[]): boolean =>
  asksLocalForOthers(rule) || isOurLoop(rule) || isBehind(rule, present);
const isOthers = (rule: Rule, present: readonly Rule[]): boolean =>
  !isOurs(rule, present) && !isOld(rule) && !isFirst(rule);

/** The rule for the local table that somebody has moved down; undefined if nobody has. */
function movedBySomebody(present: readonly Rule[]): Rule | undefined {
  if (present.some((rule) => isNet(rule) || isFirst(rule) || isOldMoved(rule))) return undefined;
  return present.find((rule) => isOthers(rule, present) && isPlainLocal(rule));
}

/**
 * The changes to make, in this order. No addition makes anything worse, and what replaces a removed rule is in place
 * before.
 */
export interface Change {
  add: Rule[];
  /** Rules of others that belong after the added ones, and have to be moved there. */
  behindAdded?: Rule[];
  remove: Rule[];
  /** A rule of others that was before ours. */
  behind?: Rule;
  /** A rule of others before which there is no place. */
  blocked?: Rule;
}

/**
 * The changes after which the interfaces with these tables are looped, along with all that are already. `present` is
 * the list of a family in the kernel's order.
 */
export function changesFor(tables: readonly number[], present: readonly Rule[]): Change {
  const loops = present.filter(isOurLoop);
  const all = [...new Set([...loops.map(({ table }) => table), ...tables])];
  const moved = movedBySomebody(present);
  if (moved) {
    const before = moved.priority - (moved.protocol === RTPROT_KERNEL ? 2 : 1);
    if (before < 0) return { add: [], remove: [], blocked: moved };
    return difference(
      present,
      all.map((table) => loopRule(table, before)),
    );
  }
  const first = present.find((rule) => (isOthers(rule, present) || isOldMoved(rule)) && rule.priority <= USUAL + 1);
  const place = placeBefore(first, present);
  if (place === null) return { add: [], remove: [], ...(first && { blocked: first }) };
  const wanted = [...all.map((table) => loopRule(table, place)), { ...LOCAL, priority: place + 1 }, NET];
  const change = difference(present, wanted);
  const behind = present.find(
    (rule, at) => isOthers(rule, present) && present.slice(at).some((later) => isOurs(later, present)),
  );
  // The kernel's rule is removed once ours are in place, including NET, which it comes before.
  return { ...change, remove: [...present.filter(isFirst), ...change.remove], ...(behind && { behind }) };
}

const loopRule = (table: number, priority: number): Rule => ({ priority, table, protocol: RTPROT_KERNEL, iif: 'lo' });

/** The priority of the second rule: its current one, if that is before `first`; null if there is no place. */
function placeBefore(first: Rule | undefined, present: readonly Rule[]): number | null {
  if (!first) return USUAL;
  const now = present.find((rule) => isBehind(rule, present))?.priority;
  if (now !== undefined && now >= 2 && now < first.priority) return now - 1;
  if (first.priority < 3) return null;
  return Math.max(1, first.priority - STEP);
}

const isSame = (one: Rule, other: Rule): boolean =>
  one.priority === other.priority &&
  one.table === other.table &&
  one.iif === other.iif &&
  one.exceptGroup === other.exceptGroup &&
  one.protocol === other.protocol;

function difference(present: readonly Rule[], wanted: readonly Rule[]): Change {
  const surplus = present.filter((rule) => isOurs(rule, present) && !wanted.some((each) => isSame(each, rule)));
  return {
    add: wanted.filter((rule) => !present.some((each) => isSame(each, rule))),
    // Rules for the local table first: one of ours before a loop rule would take its packets.
    remove: [...surplus.filter(isPlainLocal), ...surplus.filter(isLoop), ...surplus.filter(asksLocalForOthers)],
  };
}

/**
 * The changes that remove the interface with this table, whatever rules exist; shared rules go with the last interface.
 * `isStale` says whether an old rule names this interface, or one that is gone.
 */
export function changesWithout(table: number, present: readonly Rule[], isStale: (iif: string) => boolean): Change {
  const leaving = present.filter((rule) =>
    isLoop(rule) || isOldLoop(rule) ? rule.table === table : isOld(rule) && rule.iif !== undefined && isStale(rule.iif),
  );
  const left = present.filter((rule) => !leaving.includes(rule));
  const anyNew = left.some(isOurLoop);
  const anyOld = left.some((rule) => isOld(rule) && !isOldMoved(rule));
  const shared = anyNew ? [] : left.filter((rule) => asksLocalForOthers(rule) || isBehind(rule, present));
  const oldMoved = anyOld ? [] : left.filter(isOldMoved);
  const others = left.some(
    (rule) =>
      isPlainLocal(rule) &&
      !shared.includes(rule) &&
      !oldMoved.includes(rule) &&
      (isOthers(rule, present) ? !left.some(isNet) : true),
  );
  const restored = anyNew || anyOld || others ? [] : [LOCAL];
  // NET first: its removal is exact while it is there, and LOCAL answers by then.
  return {
    add: restored,
    behindAdded: left.filter((rule) => restored.length > 0 && isOthers(rule, present) && rule.priority === 0),
    remove: [
      ...shared.filter(isNet),
      ...shared.filter(isRestored),
      ...shared.filter(isPlainLocal),
      ...oldMoved,
      ...leaving,
    ],
  };
}
