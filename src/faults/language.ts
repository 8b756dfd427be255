// SPDX-License-Identifier: MIT
/**
 * Rules in words, for the shell and for files:
 *
 *   udp port 53 nth 2: drop; tcp port 443 from server: delay 40ms jitter 5ms loss 2%
 *   '--- filter' '-- words of the match'   '-- effects'
 *
 * Rules are separated by `;` or by the end of a line, and `#` begins a comment. Addresses have colons, too, so the
 * colon between match and effects is the last one before a space, the end or an effect. What comes before the first
 * word of a match is the filter.
 */
import { didYouMean, usageError, type VnetError } from '../errors';
import type { Effect, EffectKind, Match, Rule } from './rules';
import { type Unit, WrongValue } from './units';
import {
  AFTER,
  AFTER_DEPTH_MAX,
  ALL,
  type AnyEffectRow,
  effectRow,
  EFFECT_WORDS,
  EXAMPLE,
  formOf,
  MATCH_WORDS,
  RULES_MAX,
  type SimpleField,
} from './words';

/** A part of the text, and its position there. */
interface Piece {
  text: string;
  at: number;
}

const SIMPLE_FIELDS = Object.keys(MATCH_WORDS) as SimpleField[];
const KINDS = Object.keys(EFFECT_WORDS) as EffectKind[];
const MATCH_NAMES: readonly string[] = [...SIMPLE_FIELDS.map((field) => MATCH_WORDS[field].word), AFTER.word];
const EFFECT_NAMES: readonly string[] = KINDS.map((kind) => effectRow(kind).word);
/** No effect consists of hexadecimal digits only, as a part of an address does. */
const COLON = new RegExp(`:(?=\\s|$|(?:${EFFECT_NAMES.join('|')})(?:\\s|$))`, 'g');
const OPENS = '([';
const CLOSES = ')]';

/** The text that is being read, for messages about a part of it. */
class Source {
  constructor(readonly text: string) {}

  wrong(shown: string, at: number, why: string, hint: string): VnetError {
    const before = this.text.slice(0, at).split('\n');
    const column = (before.at(-1) as string).length + 1;
    const place = this.text.includes('\n') ? `line ${before.length}, character ${column}` : `character ${column}`;
    return usageError(`"${shown.length > 60 ? `${shown.slice(0, 57)}...` : shown}" (${place})`, why, hint);
  }

  /** The pieces between separators that are not within parentheses. */
  split({ text, at }: Piece, isSeparator: (text: string, i: number) => boolean): Piece[] {
    const pieces: Piece[] = [];
    const open: number[] = [];
    let from = 0;
    for (let i = 0; i <= text.length; i++) {
      const character = text[i] ?? '';
      if (character !== '' && OPENS.includes(character)) open.push(i);
      if (character !== '' && CLOSES.includes(character) && open.pop() === undefined)
        throw this.wrong(character, at + i, 'closes what was not opened', `such as ${EXAMPLE}`);
      if (i < text.length && (open.length > 0 || !isSeparator(text, i))) continue;
      const piece = text.slice(from, i);
      if (piece.trim() !== '')
        pieces.push({ text: piece.trim(), at: at + from + piece.length - piece.trimStart().length });
      from = i + 1;
    }
    const [unclosed] = open;
    if (unclosed !== undefined)
      throw this.wrong(
        text.slice(unclosed, unclosed + 20).trim(),
        at + unclosed,
        'is not closed',
        'each open parenthesis needs a closing one',
      );
    return pieces;
  }
}

const isSpace = (text: string, i: number): boolean => /\s/.test(text[i] as string);
const isEnd = (text: string, i: number): boolean => text[i] === ';' || text[i] === '\n';

/** Reads rules; their ids count from 1. Throws USAGE for the first mistake. Filters are not compiled here. */
export function parseRules(text: string): Rule[] {
  const source = new Source(text.replace(/#[^\n]*/g, (comment) => ' '.repeat(comment.length)));
  const pieces = source.split({ text: source.text, at: 0 }, isEnd);
  if (pieces.length === 0) throw usageError('faults', 'there is no rule', `such as ${EXAMPLE}`);
  if (pieces.length > RULES_MAX)
    throw usageError(
      'faults',
      `there are more than ${RULES_MAX} rules`,
      'a rule with nth or every stands for many frames',
    );
  return pieces.map((piece, i) => ({ id: i + 1, ...parseRule(source, piece) }));
}

function parseRule(source: Source, { text, at }: Piece): Omit<Rule, 'id'> {
  const colon = [...text.matchAll(COLON)].at(-1)?.index;
  if (colon === undefined)
    throw source.wrong(
      text,
      at,
      'has no colon between the match and the effects',
      `such as ${hasEffect(text) ? `${ALL.word}: ${text}` : EXAMPLE}`,
    );
  const match = parseMatch(source, { text: text.slice(0, colon), at });
  const effects = effectsIn(source, { text: text.slice(colon + 1), at: at + colon + 1 });
  if (effects.length === 0)
    throw source.wrong(
      text.slice(colon),
      at + colon,
      'nothing happens to these frames',
      `such as ${text.slice(0, colon).trim()}: drop; the effects are ${EFFECT_NAMES.join(', ')}`,
    );
  return { match, effects };
}

/** Reads what comes before the colon of a rule. Throws USAGE. */
export const parseMatchText = (text: string): Match => parseMatch(new Source(text), { text, at: 0 });

/** Reads what comes after the colon of a rule. Throws USAGE. */
export function parseEffects(text: string): Effect[] {
  const effects = effectsIn(new Source(text), { text, at: 0 });
  if (effects.length === 0)
    throw usageError('effects', 'there is no effect', `the effects are ${EFFECT_NAMES.join(', ')}`);
  return effects;
}

const hasEffect = (text: string): boolean => EFFECT_NAMES.includes(text.split(/\s/)[0] as string);

/** Reads words one after the other. */
class Words {
  private next = 0;

  constructor(private readonly words: readonly Piece[]) {}

  peek(ahead = 0): string | undefined {
    return this.words[this.next + ahead]?.text;
  }

  take(): Piece {
    return this.words[this.next++] as Piece;
  }

  get done(): boolean {
    return this.next >= this.words.length;
  }
}

/** `depth`: the number of matches around it. */
function parseMatch(source: Source, piece: Piece, depth = 0): Match {
  const words = source.split(piece, isSpace);
  const begin = words.findIndex(({ text }) => MATCH_NAMES.includes(text));
  const ofFilter = begin < 0 ? words : words.slice(0, begin);
  const [first] = ofFilter;
  const last = ofFilter.at(-1);
  if (first === undefined && begin < 0)
    throw source.wrong(
      ':',
      piece.at + piece.text.length,
      'no frames are named before it',
      `${ALL.word}: drop, or such as ${EXAMPLE}`,
    );
  const match: { -readonly [K in keyof Match]: Match[K] } = {};
  if (first && last && !(ofFilter.length === 1 && first.text === ALL.word))
    match.filter = piece.text.slice(first.at - piece.at, last.at + last.text.length - piece.at);
  if (first?.text === ALL.word && ofFilter.length > 1)
    throw source.wrong(
      match.filter as string,
      first.at,
      `"${ALL.word}" stands for every frame`,
      `leave it out: ${(match.filter as string).slice(ALL.word.length).trim()}`,
    );
  const narrow = new Words(begin < 0 ? [] : words.slice(begin));
  const said = new Set<string>();
  while (!narrow.done) {
    const word = narrow.take();
    if (said.has(word.text)) throw source.wrong(word.text, word.at, 'is said twice', 'say it once');
    said.add(word.text);
    const field = SIMPLE_FIELDS.find((each) => MATCH_WORDS[each].word === word.text);
    if (field === undefined && word.text !== AFTER.word) throw unknownInMatch(source, word);
    const hint = field === undefined ? `${AFTER.word} ${AFTER.form}` : MATCH_WORDS[field].unit.hint;
    if (narrow.done || MATCH_NAMES.includes(narrow.peek() as string))
      throw source.wrong(word.text, word.at, 'has no value', hint);
    const value = narrow.take();
    if (field === undefined) match.after = parseAfter(source, value, depth + 1);
    else
      (match as Record<string, unknown>)[field] = read(source, MATCH_WORDS[field].unit as Unit<unknown>, word, value);
  }
  return match;
}

function unknownInMatch(source: Source, { text, at }: Piece): VnetError {
  if (EFFECT_NAMES.includes(text))
    return source.wrong(text, at, 'is an effect, and a colon comes before effects', `... : ${text}`);
  return source.wrong(
    text,
    at,
    'is not a word of a match',
    didYouMean(text, MATCH_NAMES, `the filter comes first; then ${MATCH_NAMES.join(', ')}`),
  );
}

function parseAfter(source: Source, { text, at }: Piece, depth: number): Match {
  if (depth > AFTER_DEPTH_MAX)
    throw source.wrong(
      `${AFTER.word} ${text}`,
      at,
      `is within ${AFTER_DEPTH_MAX} others`,
      'several rules, each with fewer of them',
    );
  if (!text.startsWith('(') || !text.endsWith(')'))
    throw source.wrong(
      `${AFTER.word} ${text}`,
      at,
      'takes a match in parentheses',
      `${AFTER.word} (udp port 53 nth 2)`,
    );
  return parseMatch(source, { text: text.slice(1, -1), at: at + 1 }, depth);
}

function effectsIn(source: Source, piece: Piece): Effect[] {
  const words = new Words(source.split(piece, isSpace));
  const effects: Effect[] = [];
  while (!words.done) {
    const first = words.take();
    const kind = kindOf(first.text, words.peek());
    if (kind === undefined) throw unknownEffect(source, first, effects.at(-1));
    const row = effectRow(kind);
    if (row.word.includes(' ')) words.take();
    effects.push(parseEffect(source, kind, row, { text: row.word, at: first.at }, words));
  }
  return effects;
}

/** The effect that one word, or it and the next one, stands for. */
const kindOf = (word: string, next: string | undefined): EffectKind | undefined =>
  KINDS.find((kind) => effectRow(kind).word === `${word} ${next}`) ??
  KINDS.find((kind) => effectRow(kind).word === word);

function unknownEffect(source: Source, { text, at }: Piece, before: Effect | undefined): VnetError {
  const options = before === undefined ? [] : (effectRow(before.kind).options ?? []).map(({ word }) => word);
  return source.wrong(
    text,
    at,
    'is not an effect',
    didYouMean(text, [...EFFECT_NAMES, ...options], `the effects are ${EFFECT_NAMES.join(', ')}`),
  );
}

function parseEffect(source: Source, kind: EffectKind, row: AnyEffectRow, name: Piece, words: Words): Effect {
  const { values = [], options = [] } = row;
  const effect: Record<string, unknown> = { kind };
  // A word is a value if it is neither the next effect nor an option of this one.
  const isValue = (): boolean =>
    !words.done &&
    !options.some(({ word }) => word === words.peek()) &&
    kindOf(words.peek() as string, words.peek(1)) === undefined;
  for (const { field, unit, otherwise } of values) {
    if (!isValue() && otherwise === undefined)
      throw source.wrong(name.text, name.at, 'has no value', `${formOf(row)}: ${unit.hint}`);
    effect[field] = isValue() ? read(source, unit, name, words.take()) : otherwise;
  }
  for (const { field, otherwise } of options) effect[field] = otherwise;
  const said = new Set<string>();
  for (
    let option = options.find(({ word }) => word === words.peek());
    option;
    option = options.find(({ word }) => word === words.peek())
  ) {
    const word = words.take();
    if (said.has(word.text)) throw source.wrong(word.text, word.at, 'is said twice', 'say it once');
    said.add(word.text);
    if (option.unit.form === '') effect[option.field] = true;
    else if (isValue()) effect[option.field] = read(source, option.unit, word, words.take());
    else throw source.wrong(word.text, word.at, 'has no value', option.unit.hint);
  }
  return effect as unknown as Effect;
}

function read<T>(source: Source, unit: Unit<T>, word: Piece, { text, at }: Piece): T {
  try {
    return unit.read(text);
  } catch (error) {
    if (!(error instanceof WrongValue)) throw error;
    throw source.wrong(`${word.text} ${text}`, at, error.message, unit.hint);
  }
}

// Rules as text again.

/** A match in words; a function has none. */
export function matchText({ filter, after, test, ...match }: Match): string {
  const words = SIMPLE_FIELDS.filter((field) => match[field] !== undefined).map(
    (field) => `${MATCH_WORDS[field].word} ${(MATCH_WORDS[field].unit as Unit<unknown>).write(match[field])}`,
  );
  return [
    filter ?? ALL.word,
    ...(test ? ['(and a function)'] : []),
    ...(after ? [`${AFTER.word} (${matchText(after)})`] : []),
    ...words,
  ].join(' ');
}

export function effectText(effect: Effect): string {
  const { word, values = [], options = [] } = effectRow(effect.kind);
  const fields = effect as unknown as Readonly<Record<string, unknown>>;
  const isDefault = ({ field, otherwise }: { field: string; otherwise?: unknown }): boolean =>
    JSON.stringify(fields[field]) === JSON.stringify(otherwise);
  // Only the last values can be left out.
  const shown = values.slice(
    0,
    values.map((row) => row.otherwise === undefined || !isDefault(row)).lastIndexOf(true) + 1,
  );
  const said = options
    .filter((row) => !isDefault(row))
    .flatMap(({ word: name, field, unit }) => [name, unit.write(fields[field])]);
  return [word, ...shown.map(({ field, unit }) => unit.write(fields[field])), ...said].filter(Boolean).join(' ');
}

/** The text from which parseRules() makes this rule. */
export const ruleText = ({ match, effects }: Rule): string =>
  `${matchText(match)}: ${effects.map(effectText).join(' ')}`;

/** Characters of a rule in a recording, where it is in the comment of each frame that it concerns. */
const RECORDED_MAX = 200;

/** A rule as recordings name it: `rule 1: udp port 53 nth 2: drop`. */
export function recordedRule(rule: Rule): string {
  const text = `rule ${rule.id}: ${ruleText(rule)}`;
  return text.length > RECORDED_MAX ? `${text.slice(0, RECORDED_MAX - 3)}...` : text;
}
