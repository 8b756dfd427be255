// SPDX-License-Identifier: MIT
/**
 * Frames by numbers that a person can count: the 2nd datagram from the server, rather than the 5th frame that some rule
 * matches. How often such a match has matched before is found out in a run: rules in front of the others log each frame
 * of the side, and do nothing to it.
 */
import type { Fault } from '../faults/log';
import type { Effect, Faults, Match, Rule } from '../faults/rules';
import { type Cause, type Pin, rulesFor } from './causes';
import { connectionOf, filterFor } from './connection';

/** What the log calls a TCP segment (src/faults/log.ts), such as `tcp PSH ACK 100 bytes at 2896`. */
const SEGMENT = /^tcp(?<flags>(?: [A-Z]+)*)(?: \d+ bytes? at (?<at>-?\d+))?/;

/** Bits of the TCP flags by which a segment without payload can be told from others. */
const FLAGS: Readonly<Record<string, number>> = { FIN: 1, RST: 4 };
/** Where the TCP flags are in a packet without extension headers, which is all that filters can say for IPv6. */
const FLAGS_AT = { v4: 'tcp[13]', v6: 'ip6[53]' } as const;

/** The filter for segments of a connection with a flag. */
export function flagFilter(label: string, flag: string): string {
  const connection = connectionOf(label);
  return `${filterFor(connection)} and ${connection.ends?.isV6 ? FLAGS_AT.v6 : FLAGS_AT.v4} & ${FLAGS[flag]} != 0`;
}

/** The flag by which a frame is told from others, if there is one. */
export function flagOf(frame: string): string | null {
  const { flags = '' } = SEGMENT.exec(frame)?.groups ?? {};
  return Object.keys(FLAGS).find((flag) => flags.includes(flag)) ?? null;
}

/** The plain match of a frame, without its number; null if there is none that is the same in each run. */
function plainMatch({ match, fault }: Pin): Match | null {
  const connection = connectionOf(fault.connection);
  const side: Match = { filter: filterFor(connection), from: fault.from, connection: connection.number };
  const segment = SEGMENT.exec(fault.frame)?.groups;
  if (segment === undefined || segment['flags']?.includes('SYN')) return side;
  const at = match.atByte ?? Number(segment['at'] ?? -1);
  if (at >= 0) return { ...side, atByte: at };
  const flag = flagOf(fault.frame);
  // How many acknowledgments come before another depends on timing.
  return flag === null ? null : { ...side, filter: flagFilter(fault.connection, flag) };
}

/** Does nothing, but is logged. */
const NOTHING: Effect = { kind: 'delay', ms: 0, jitterMs: 0, distribution: 'uniform', unordered: true };
/** The most frames of a match that are logged. */
const OBSERVED_MAX = 10_000;

export interface Observation {
  /** The faults for the run. */
  faults: Faults;
  /** The causes with plain numbers, by the log of that run, as far as they happened there. */
  plain(log: readonly Fault[]): Cause[];
}

/** Prepares the run that finds out the plain numbers; null if there are none to find. */
export function observationOf(causes: readonly Cause[], seed: number): Observation | null {
  const { faults, ids } = rulesFor(causes, seed);
  let next = Math.max(0, ...faults.rules.map(({ id }) => id)) + 1;
  const observers = new Map<string, Rule>();
  const observerOf = new Map<Pin, Rule>();
  for (const pin of ids.keys()) {
    const match = plainMatch(pin);
    if (match === null || keyOf(match) === keyOf(pin.match)) continue;
    const key = keyOf(match);
    const rule = observers.get(key) ?? { id: next++, match: { ...match, first: OBSERVED_MAX }, effects: [NOTHING] };
    observers.set(key, rule);
    observerOf.set(pin, rule);
  }
  if (observers.size === 0) return null;
  return {
    faults: { seed, rules: [...observers.values(), ...faults.rules] },
    plain: (log) => causes.map((cause) => (cause.kind === 'rule' ? cause : plainPin(cause, ids, observerOf, log))),
  };
}

/** The same for matches with the same fields. */
const keyOf = (match: Match): string => JSON.stringify(Object.entries(match).sort());

function plainPin(
  pin: Pin,
  ids: ReadonlyMap<Pin, number>,
  observerOf: ReadonlyMap<Pin, Rule>,
  log: readonly Fault[],
): Pin {
  const observer = observerOf.get(pin);
  const isOfPin = ({ rule, connection, from, n }: Fault): boolean =>
    rule === ids.get(pin) && connection === pin.fault.connection && from === pin.fault.from && n === (pin.n ?? 1);
  const at = log.findIndex(isOfPin);
  const seen = log[at];
  if (observer === undefined || seen === undefined) return pin;
  const isOfObserver = ({ rule, connection, from, time }: Fault): boolean =>
    rule === observer.id && connection === seen.connection && from === seen.from && time === seen.time;
  const n = log.slice(0, at).reverse().find(isOfObserver)?.n;
  if (n === undefined) return pin;
  const { first: _, ...match } = observer.match;
  // Without a number, at-byte stands for the first such segment.
  return { ...pin, match, n: match.atByte !== undefined && n === 1 ? null : n };
}
