// SPDX-License-Identifier: MIT
/** The policy routing rules of the calling thread's network namespace. What fails is a SystemError. */
import { attribute, message, numberAttribute, textAttribute } from './message';
import { askAll, attributesOf, bytesOf, change, familyOf, ipBytes, ipTextOf, NLM_F_CREATE, NLM_F_EXCL, textOf } from './rtnetlink';

const RTM_NEWRULE = 32;
const RTM_DELRULE = 33;
const RTM_GETRULE = 34;
const FR_ACT_TO_TBL = 1;
/** struct fib_rule_hdr: family, destination's and source's prefix length, tos, table, two reserved, action, flags. */
const RULE_BYTES = 12;
const ACTION_AT = 7;
const FLAGS_AT = 8;
const FIB_RULE_INVERT = 0x2;
const FRA = { DST: 1, IIFNAME: 3, PRIORITY: 6, SUPPRESS_IFGROUP: 13, SUPPRESS_PREFIXLEN: 14, TABLE: 15, PAD: 18, PROTOCOL: 21 };
const NOTHING_SUPPRESSED = 0xffffffff;

/** The table of the machine's own addresses (RT_TABLE_LOCAL). */
export const LOCAL_TABLE = 255;

export interface Rule {
  priority: number;
  table: number;
  /** Who made it: 2 is the kernel, 0 that nobody said. */
  protocol: number;
  /** For packets to this address, or of this prefix; undefined: to anywhere. */
  to?: string;
  /** For packets that came in by this interface; `lo` stands for those that the machine sends itself. */
  iif?: string;
  /** A route of the table that leads to an interface of this group does not count. */
  exceptGroup?: number;
  /** It has other conditions, or does something else than to ask a table. */
  special?: boolean;
  /** As the kernel has it, where it was asked. */
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

/** Adds a rule behind those of its priority; EEXIST if there is one like it. `to` is a single address. */
export const addRule = (family: 4 | 6, rule: Rule): void => change(RTM_NEWRULE, described(family, rule), NLM_F_CREATE | NLM_F_EXCL);

/**
 * Removes the first rule that has all this one has; ENOENT if there is none. The kernel does not compare what is left out:
 * one without `exceptGroup` may be removed in the place of one that has it (rule_find in net/core/fib_rules.c).
 */
export const removeRule = (family: 4 | 6, rule: Rule): void => change(RTM_DELRULE, described(family, rule));

/** Moves a rule behind all others of its priority; it is there all the time. */
export function moveBehind({ raw }: Rule): void {
  if (!raw) return;
  change(RTM_NEWRULE, raw, NLM_F_CREATE);
  change(RTM_DELRULE, raw);
}

/** Those of a family, in the order in which the kernel asks them. */
export function rules(family: 4 | 6): Rule[] {
  const body = new Uint8Array(RULE_BYTES);
  body[0] = familyOf(family);
  return askAll(RTM_GETRULE, body).map(toRule);
}
