// SPDX-License-Identifier: MIT
/**
 * The causes of a failure: what happened to single frames in a run, as the log of faults has it, so that the same can be
 * made to happen again without chance. Losses become drops, and delays and bits have the values that were drawn.
 *
 *   udp: loss 20% delay 3ms jitter 2ms    and    {"rule":1,"connection":"udp 10.77.0.1 > 10.77.0.1:53 #2","n":4,
 *                                                 "effect":"delay 4.127 ms"}
 *   become
 *   udp and host 10.77.0.1 and port 53 connection 2 nth 4: delay 4.127ms
 */
import { isOfConnections } from '../faults/concerns';
import { parseRules } from '../faults/language';
import type { Fault } from '../faults/log';
import type { Effect, EffectKind, Faults, Match, Rule } from '../faults/rules';
import { RULES_MAX } from '../faults/words';
import { connectionOf, filterFor } from './connection';

/** The indexes of a rule, and of an effect in it: what comes first happens first. */
type Place = readonly [rule: number, effect: number];

/** An effect on one frame. */
export interface Pin {
  kind: 'pin';
  /** Where it comes from. */
  place: Place;
  /** The match of the frame, without its number. */
  match: Match;
  /** The frame's number among those that match; null if only one does. */
  n: number | null;
  effect: Effect;
  /** How it was logged in the run from which it comes. */
  fault: Fault;
}

/** A rule as a whole, with its chances: its effects cannot be told apart by frames. */
export interface WholeRule {
  kind: 'rule';
  place: Place;
  rule: Rule;
}

export type Cause = Pin | WholeRule;

/** The most rules that one rule may become: each frame is shown to all of them. */
const GROUPS_MAX = 200;
/** The most numbers in one rule. */
const NUMBERS_MAX = 1000;

/** Effects that are lines with queues. */
const LINES: readonly EffectKind[] = ['rate', 'trace'];
/** Whether the log says that the queue of a line dropped a frame. */
const isOfLine = (logged: string): boolean => LINES.some((kind) => logged.startsWith(`${kind}:`));

/** What happened in a run with these faults, by its log. */
export function causesOf({ rules }: Faults, log: readonly Fault[]): Cause[] {
  const groupsMax = Math.min(GROUPS_MAX, Math.floor(RULES_MAX / rules.length) - 1);
  return rules.flatMap((rule, index): Cause[] => {
    const faults = log.filter(({ rule: id, n, effect }) => id === rule.id && n > 0 && !isOfLine(effect));
    const pins = faults.map((fault) => pinOf(rule, index, fault));
    const groups = groupsOf(pins);
    if (groups.length > groupsMax || groups.some(({ numbers }) => numbers.length > NUMBERS_MAX))
      return [wholeRule(rule, index)];
    // The waits in the queue of a line are not logged, and depend on each other.
    const line = rule.effects.findIndex(({ kind }) => LINES.includes(kind));
    const effects = rule.effects.filter(({ kind }) => LINES.includes(kind));
    return line < 0 ? pins : [...pins, { kind: 'rule', place: [index, line], rule: { ...rule, effects } }];
  });
}

const wholeRule = (rule: Rule, index: number): WholeRule => ({ kind: 'rule', place: [index, 0], rule });

/** The rules of a run as causes. */
export const wholeRules = ({ rules }: Faults): Cause[] => rules.map(wholeRule);

function pinOf(rule: Rule, index: number, fault: Fault): Pin {
  const { filter, nth, every, first, probability: _, ...rest } = rule.match;
  const connection = connectionOf(fault.connection);
  const frames = filterFor(connection);
  // Without a number of its own, at-byte stands for one frame of each direction.
  const isOnly = rest.atByte !== undefined && nth === undefined && every === undefined && first === undefined;
  const effect = effectOf(rule, fault.effect);
  return {
    kind: 'pin',
    place: [index, placeOf(rule, effect)],
    match: {
      ...rest,
      ...(isOnly && { from: fault.from }),
      filter: isPlain(filter) ? frames : `(${filter}) and ${frames}`,
      connection: connection.number,
    },
    n: isOnly ? null : fault.n,
    effect,
    fault,
  };
}

/** Whether a filter says no more about a frame than to which connections it may belong. */
const isPlain = (filter: string | undefined): boolean => filter === undefined || isOfConnections(filter);

/** The effect that was logged, exactly. */
function effectOf({ effects }: Rule, logged: string): Effect {
  // Apart from these, the log uses the words of rules, with a space before `ms`.
  const text = logged === 'loss' ? 'drop' : logged.replace(/ ms$/, 'ms');
  const effect = parseRules(`all: ${text}`)[0]?.effects[0] as Effect;
  const said = effects.find(({ kind }) => kind === effect.kind);
  if (effect.kind === 'reorder' && said?.kind === 'reorder') return { ...effect, withinMs: said.withinMs };
  if (effect.kind === 'delay' && said?.kind === 'delay') return { ...effect, unordered: said.unordered };
  if (effect.kind === 'corrupt' && said?.kind === 'corrupt') return { ...effect, valid: said.valid };
  return effect;
}

/** Effects that drop a frame. */
const DROPS: readonly EffectKind[] = ['drop', 'loss', 'gemodel'];

/** The index of the effect that was logged. A drop was the last that happened to its frame, whichever it was. */
const placeOf = ({ effects }: Rule, { kind }: Effect): number =>
  kind === 'drop'
    ? effects.map((each) => DROPS.includes(each.kind)).lastIndexOf(true)
    : effects.findIndex((each) => each.kind === kind);

/** Frames to which the same happens. */
export interface Group {
  place: Place;
  match: Match;
  effect: Effect;
  pins: Pin[];
  numbers: number[];
}

/** Pins that become one rule: they differ in the frame's number only. */
export function groupsOf(pins: readonly Pin[]): Group[] {
  const groups = new Map<string, Group>();
  for (const pin of pins) {
    const { place, match, n, effect } = pin;
    const key = JSON.stringify([place, match, n === null, effect]);
    const group = groups.get(key) ?? { place, match, effect, pins: [], numbers: [] };
    groups.set(key, group);
    group.pins.push(pin);
    if (n !== null) group.numbers.push(n);
  }
  return [...groups.values()];
}

/** Rules that make the causes happen, and only these. */
export interface Made {
  faults: Faults;
  /** The id of the rule of each frame. */
  ids: ReadonlyMap<Pin, number>;
  /** The causes that happened in a run with these faults. */
  happened(log: readonly Fault[]): Cause[];
}

/** Makes rules of causes, in the order of the rules from which they come. `seed` is that of the run. */
export function rulesFor(causes: readonly Cause[], seed: number): Made {
  const whole = causes.filter((cause) => cause.kind === 'rule');
  // A whole rule keeps its id, on which its chances depend.
  let next = Math.max(0, ...whole.map(({ rule }) => rule.id)) + 1;
  const pinned = groupsOf(causes.filter((cause) => cause.kind === 'pin'))
    .sort((a, b) => inOrder(a.place, b.place))
    .map(({ place, match, effect, pins, numbers }) => ({
      place,
      pins,
      rule: { id: next++, match: numbers.length === 0 ? match : { ...match, nth: sorted(numbers) }, effects: [effect] },
    }));
  const rules = [...pinned, ...whole].sort((a, b) => inOrder(a.place, b.place)).map(({ rule }) => rule);
  const ids = new Map(pinned.flatMap(({ rule, pins }) => pins.map((pin) => [pin, rule.id])));
  return {
    faults: { seed, rules },
    ids,
    happened(log) {
      const seen = new Set(log.map(({ rule, connection, from, n }) => [rule, connection, from, n].join('|')));
      const isSeen = (pin: Pin): boolean =>
        seen.has([ids.get(pin), pin.fault.connection, pin.fault.from, pin.n ?? 1].join('|'));
      return causes.filter((cause) => cause.kind === 'rule' || isSeen(cause));
    },
  };
}

const inOrder = ([rule, effect]: Place, [otherRule, otherEffect]: Place): number =>
  rule - otherRule || effect - otherEffect;
const sorted = (numbers: readonly number[]): number[] => [...new Set(numbers)].sort((a, b) => a - b);
