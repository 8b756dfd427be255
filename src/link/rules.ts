// SPDX-License-Identifier: MIT
/** The policy routing rules of the calling thread's network namespace. What fails is a SystemError. */
import { attribute, message, numberAttribute, textAttribute } from './message';
import { askAll, attributesOf, change, familyOf, ipBytes, ipTextOf, NLM_F_CREATE, NLM_F_EXCL, textOf } from './rtnetlink';

const RTM_NEWRULE = 32;
const RTM_DELRULE = 33;
const RTM_GETRULE = 34;
const FR_ACT_TO_TBL = 1;
/** struct fib_rule_hdr: family, destination's and source's prefix length, tos, table, two reserved, action, flags. */
const RULE_BYTES = 12;
const FRA = { DST: 1, IIFNAME: 3, PRIORITY: 6, TABLE: 15, PROTOCOL: 21 };

/** The table of the machine's own addresses (RT_TABLE_LOCAL). */
export const LOCAL_TABLE = 255;

export interface Rule {
  priority: number;
  table: number;
  /** Who made it: 2 is the kernel, 0 that nobody said. */
  protocol: number;
  /** For packets from anywhere. */
  fromAll: boolean;
  /** For packets to this address, or of this prefix; undefined: to anywhere. */
  to?: string;
  /** For packets that came in by this interface. */
  iif?: string;
}

function toRule(message: DataView): Rule {
  const found = attributesOf(message, RULE_BYTES);
  const to = found.get(FRA.DST);
  return {
    priority: found.get(FRA.PRIORITY)?.getUint32(0, true) ?? 0,
    table: found.get(FRA.TABLE)?.getUint32(0, true) ?? message.getUint8(4),
    protocol: found.get(FRA.PROTOCOL)?.getUint8(0) ?? 0,
    fromAll: message.getUint8(2) === 0,
    ...(to && { to: ipTextOf(to) }),
    ...(found.has(FRA.IIFNAME) && { iif: textOf(found.get(FRA.IIFNAME)) ?? '' }),
  };
}

function described(family: 4 | 6, { priority, table, protocol, to, iif }: Rule): Uint8Array {
  const header = new Uint8Array(RULE_BYTES);
  header.set([familyOf(family), to === undefined ? 0 : family === 4 ? 32 : 128]);
  header[7] = FR_ACT_TO_TBL;
  return message(
    header,
    numberAttribute(FRA.PRIORITY, priority),
    numberAttribute(FRA.TABLE, table),
    attribute(FRA.PROTOCOL, Uint8Array.of(protocol)),
    ...(to === undefined ? [] : [attribute(FRA.DST, ipBytes(family, to))]),
    ...(iif === undefined ? [] : [textAttribute(FRA.IIFNAME, iif)]),
  );
}

/** Adds a rule; EEXIST if there is one like it. `to` is a single address. */
export const addRule = (family: 4 | 6, rule: Rule): void => change(RTM_NEWRULE, described(family, rule), NLM_F_CREATE | NLM_F_EXCL);

/** Removes a rule that is just like this one; ENOENT if there is none. */
export const removeRule = (family: 4 | 6, rule: Rule): void => change(RTM_DELRULE, described(family, rule));

/** Those of a family, in the order in which the kernel asks them. */
export function rules(family: 4 | 6): Rule[] {
  const body = new Uint8Array(RULE_BYTES);
  body[0] = familyOf(family);
  return askAll(RTM_GETRULE, body).map(toRule);
}
