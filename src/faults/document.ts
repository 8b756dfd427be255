// SPDX-License-Identifier: MIT
/**
 * Faults as a JSON document, and as the export of a TypeScript file:
 *
 *   { "seed": 7,
 *     "rules": [{ "id": 1, "match": { "filter": "udp port 53", "nth": [2] }, "effects": [{ "kind": "drop" }] }] }
 *
 * A rule may also be a text in words, and the whole may be a list of rules, or a text. A match may have a function only
 * in TypeScript and JavaScript.
 */
import { didYouMean, usageError, type VnetError } from '../errors';
import type { Frame } from '../packet/frame';
import { effectText, matchText, parseEffects, parseMatchText, parseRules, ruleText } from './language';
import { DEFAULT_SEED, type Effect, type EffectKind, type Faults, type Match, type Rule } from './rules';
import { COUNT, fieldsOf, SEED, type Unit, WrongValue } from './units';
import { AFTER_DEPTH_MAX, effectRow, EFFECT_WORDS, EXAMPLE, MATCH_WORDS, RULES_MAX, type SimpleField } from './words';

/** The forms in which a program or a file may give rules. */
export type RulesInput =
  string | readonly (string | RuleInput)[] | { seed?: number; rules: string | readonly (string | RuleInput)[] };

/** A rule without the parts that may be left out. */
export interface RuleInput {
  id?: number;
  match?: Match | string;
  /** In words, as after the colon, or one by one. */
  effects: string | readonly (EffectInput | string)[];
}

type Fields<E> = E extends { kind: EffectKind } ? { kind: E['kind'] } & Partial<Omit<E, 'kind'>> : never;
/** An effect without the values that have a default. */
export type EffectInput = Fields<Effect>;

const FILTER_LENGTH_MAX = 16384;
const FIELDS = Object.keys(MATCH_WORDS) as SimpleField[];

const wrong = (at: string, why: string, hint: string): VnetError => usageError(`faults, ${at}`, why, hint);

/** An object that was read. */
type Read = Readonly<Record<string, unknown>>;

/** An object that has no other fields than these. */
function objectOf(value: unknown, at: string, known: readonly string[], example: string): Read {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(at, 'is not an object', example);
  const unknown = Object.keys(value).find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw wrong(`${at}.${unknown}`, 'is not a field of it', didYouMean(unknown, known, `it has ${known.join(', ')}`));
  return value as Read;
}

function check<T>(unit: Unit<T>, value: unknown, at: string): T {
  try {
    return unit.check(value);
  } catch (error) {
    if (!(error instanceof WrongValue)) throw error;
    throw wrong(at, error.message, unit.hint);
  }
}

/**
 * Reads faults from a value of JSON, or of a module. `functions`: whether a match may have one. Throws USAGE. Filters
 * are not compiled here.
 */
export function readFaults(value: unknown, functions = false): Faults {
  if (typeof value === 'string' || Array.isArray(value))
    return { seed: DEFAULT_SEED, rules: readRules(value, 'the rules', functions) };
  const { seed, rules } = objectOf(value, 'the document', ['seed', 'rules'], `{ "seed": 7, "rules": ["${EXAMPLE}"] }`);
  return {
    seed: seed === undefined ? DEFAULT_SEED : check(SEED, seed, 'seed'),
    rules: readRules(rules, 'rules', functions),
  };
}

function readRules(value: unknown, at: string, functions: boolean): Rule[] {
  if (typeof value === 'string') return parseRules(value);
  if (!Array.isArray(value) || value.length === 0) throw wrong(at, 'is not a list of rules', `such as ["${EXAMPLE}"]`);
  if (value.length > RULES_MAX)
    throw wrong(at, `has more than ${RULES_MAX} rules`, 'a rule with nth or every stands for many frames');
  // The rules of a text get no numbers here, because parseRules() counts from 1 in each text.
  const read = value.flatMap((each: unknown, i): Unnumbered[] =>
    typeof each === 'string'
      ? parseRules(each).map(({ match, effects }) => ({ match, effects }))
      : [readRule(each, `${at}[${i}]`, functions)],
  );
  return numbered(read, at);
}

type Unnumbered = Omit<Rule, 'id'> & { id?: number };

/** Numbers the rules that have no number: by their place, or with the next free number. */
function numbered(rules: readonly Unnumbered[], at: string): Rule[] {
  const taken = new Set<number>();
  for (const { id } of rules) {
    if (id === undefined) continue;
    if (taken.has(id)) throw wrong(at, `has two rules with the id ${id}`, 'give each a number of its own, or none');
    taken.add(id);
  }
  return rules.map(({ id: given, match, effects }, i): Rule => {
    let id = given ?? i + 1;
    if (given === undefined) while (taken.has(id)) id++;
    taken.add(id);
    return { id, match, effects };
  });
}

function readRule(value: unknown, at: string, functions: boolean): Unnumbered {
  const { id, match, effects } = objectOf(
    value,
    at,
    ['id', 'match', 'effects'],
    '{ "match": { "filter": "udp port 53", "nth": [2] }, "effects": [{ "kind": "drop" }] }',
  );
  const list: unknown = typeof effects === 'string' ? [effects] : effects;
  if (!Array.isArray(list) || list.length === 0)
    throw wrong(`${at}.effects`, 'is not a list of effects', 'such as [{ "kind": "drop" }]');
  return {
    ...(id !== undefined && { id: check(COUNT, id, `${at}.id`) }),
    match: match === undefined ? {} : readMatch(match, `${at}.match`, functions),
    effects: list.flatMap((each: unknown, i) =>
      typeof each === 'string' ? parseEffects(each) : [readEffect(each, `${at}.effects[${i}]`)],
    ),
  };
}

/** `depth`: the number of matches around it. */
function readMatch(value: unknown, at: string, functions: boolean, depth = 0): Match {
  if (depth > AFTER_DEPTH_MAX)
    throw wrong(at, `is within ${AFTER_DEPTH_MAX} others`, 'several rules, each with fewer of them');
  if (typeof value === 'string') return parseMatchText(value);
  if (!functions && hasTest(value))
    throw wrong(
      `${at}.test`,
      'is a function, which only a file of TypeScript or JavaScript may have: rules run in a thread of their own',
      'the default export of such a file, and its name here: docs/faults.md',
    );
  const fields = objectOf(
    value,
    at,
    ['filter', ...(functions ? ['test'] : []), 'after', ...FIELDS],
    '{ "filter": "udp port 53" }',
  );
  const { filter, test, after } = fields;
  if (filter !== undefined && (typeof filter !== 'string' || filter.length > FILTER_LENGTH_MAX))
    throw wrong(`${at}.filter`, 'is not an expression of tcpdump', 'such as "udp port 53"');
  if (test !== undefined && typeof test !== 'function')
    throw wrong(`${at}.test`, 'is not a function', '(frame) => frame.udp !== null');
  const simple = FIELDS.filter((field) => fields[field] !== undefined).map((field) => [
    field,
    check(MATCH_WORDS[field].unit as Unit<unknown>, fields[field], `${at}.${field}`),
  ]);
  return {
    ...(filter !== undefined && { filter }),
    ...(test !== undefined && { test: test as (frame: Frame) => boolean }),
    ...(after !== undefined && { after: readMatch(after, `${at}.after`, functions, depth + 1) }),
    ...(Object.fromEntries(simple) as Partial<Match>),
  };
}

const hasTest = (match: unknown): boolean =>
  typeof match === 'object' && match !== null && 'test' in match && typeof match.test === 'function';

function readEffect(value: unknown, at: string): Effect {
  const kinds = Object.keys(EFFECT_WORDS);
  const { kind } = fieldsOf(value);
  if (typeof kind !== 'string' || !kinds.includes(kind))
    throw wrong(`${at}.kind`, 'is not one of the effects', didYouMean(String(kind), kinds, kinds.join(', ')));
  const { values = [], options = [] } = effectRow(kind as EffectKind);
  const rows = [...values, ...options];
  const fields = objectOf(value, at, ['kind', ...rows.map(({ field }) => field)], `{ "kind": "${kind}" }`);
  const checked = rows.map(({ field, unit, otherwise }) => {
    const is = fields[field];
    if (is === undefined && otherwise === undefined) throw wrong(`${at}.${field}`, 'is missing', unit.hint);
    const value: unknown =
      is === undefined || (is === null && otherwise === null) ? otherwise : check<unknown>(unit, is, `${at}.${field}`);
    return [field, value] as const;
  });
  return { kind, ...Object.fromEntries(checked) } as Effect;
}

/** The document from which readFaults() makes the same faults. Throws USAGE if a match has a function. */
export function documentOf({ seed, rules }: Faults): Faults {
  for (const { id, match, effects } of rules) {
    if (hasFunction(match))
      throw usageError(
        `rule ${id}: ${matchText(match)}: ${effects.map(effectText).join(' ')}`,
        'a function cannot be written down',
        'use a filter in its place, or the TypeScript file itself',
      );
  }
  return { seed, rules };
}

export const hasFunction = ({ test, after }: Match): boolean =>
  test !== undefined || (after !== undefined && hasFunction(after));

/** The rules of such a document, in words. */
export const rulesText = (document: string): string => readFaults(JSON.parse(document)).rules.map(ruleText).join('; ');
