// SPDX-License-Identifier: MIT
/**
 * Causes as a sentence: `fails when the 2nd datagram from the server of the 1st connection to UDP 4433 is dropped`.
 */
import { matchText, ruleText } from '../faults/language';
import type { Effect, EffectKind, EffectOf } from '../faults/rules';
import { type Cause, type Group, groupsOf } from './causes';
import { connectionOf, filterFor, nameOf, ordinal } from './connection';
import { flagFilter, flagOf } from './plain';

/** The most causes that a sentence names. */
const NAMED_MAX = 5;

/** What makes the command fail. */
export function sentenceFor(causes: readonly Cause[]): string {
  const clauses = [
    ...groupsOf(causes.filter((cause) => cause.kind === 'pin')).map(clauseFor),
    ...causes.filter((cause) => cause.kind === 'rule').map(({ rule }) => `the rule "${ruleText(rule)}" is in place`),
  ];
  const named = clauses.slice(0, NAMED_MAX);
  if (clauses.length > NAMED_MAX) named.push(`${clauses.length - NAMED_MAX} more faults happen`);
  return `fails when ${listed(named, ', and ')}`;
}

/** Joins words: with commas, and `last` before the last one. */
const listed = (words: readonly string[], last: string): string =>
  words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')}${last}${words.at(-1)}`;

const clauseFor = (group: Group): string => {
  const { text, areMany } = framesOf(group);
  const effect = EFFECTS[group.effect.kind] as (effect: Effect, frames: string, areMany: boolean) => string;
  return effect(group.effect, text, areMany);
};

interface Frames {
  text: string;
  areMany: boolean;
}

/** Frames by what tells them apart from others. */
function framesOf({ match, pins, numbers }: Group): Frames {
  const [{ fault }] = pins as [(typeof pins)[0]];
  const connection = connectionOf(fault.connection);
  const name = nameOf(connection);
  const side = `from the ${fault.from} `;
  const areMany = numbers.length > 1;
  const which = listed([...numbers].sort((a, b) => a - b).map(ordinal), ' and ');
  const counted = (kind: string): string => `the ${which} ${kind}${areMany ? 's' : ''} `;
  /** Of a kind of which there is usually one. */
  const perhapsOnly = (kind: string): string => (which === '1st' ? `the ${kind} ` : counted(kind));
  const flag = flagOf(fault.frame);
  const isPlain = match.filter === filterFor(connection) && match.after === undefined && match.between === undefined;
  if (isPlain && match.atByte !== undefined && match.from !== undefined) {
    const segment = numbers.length === 0 ? 'the segment ' : counted('segment');
    return { text: `${segment}${side}with byte ${match.atByte} of ${name}`, areMany };
  }
  if (isPlain && match.atByte === undefined && match.from !== undefined) {
    const handshake = /^tcp (SYN(?: ACK)?)/.exec(fault.frame)?.[1]?.replace(' ', '-');
    if (handshake !== undefined) return { text: `${perhapsOnly(handshake)}of ${name}`, areMany };
    return { text: `${counted(frameWord(fault.frame, connection.protocol))}${side}of ${name}`, areMany };
  }
  if (flag !== null && match.filter === flagFilter(fault.connection, flag))
    return { text: `${perhapsOnly(flag)}${side}of ${name}`, areMany };
  const { connection: _, ...rest } = match;
  const text = numbers.length === 0 ? 'the frame ' : counted('frame');
  return { text: `${text}of ${name} that match${areMany ? '' : 'es'} "${matchText(rest)}" (${fault.frame})`, areMany };
}

const frameWord = (frame: string, protocol: string): string =>
  frame.startsWith('udp')
    ? 'datagram'
    : protocol.startsWith('icmp')
      ? 'message'
      : frame.startsWith('tcp')
        ? 'segment'
        : 'frame';

const timeText = (ms: number): string => (ms >= 1000 ? `${ms / 1000} s` : `${ms} ms`);
const be = (areMany: boolean): string => (areMany ? 'are' : 'is');
const framesText = (count: number): string => (count === 1 ? 'the next frame' : `the next ${count} frames`);

/** A clause for each effect; those that chance brings about have become others. */
const EFFECTS: { readonly [K in EffectKind]: (effect: EffectOf<K>, frames: string, areMany: boolean) => string } = {
  drop: (_, frames, areMany) => `${frames} ${be(areMany)} dropped`,
  loss: (_, frames, areMany) => `${frames} ${be(areMany)} lost by chance`,
  gemodel: (_, frames, areMany) => `${frames} ${be(areMany)} lost by chance`,
  delay: ({ ms }, frames, areMany) => `${frames} ${be(areMany)} delayed by ${timeText(ms)}`,
  duplicate: ({ copies }, frames, areMany) =>
    copies === 1 ? `${frames} ${be(areMany)} duplicated` : `${frames} arrive${areMany ? '' : 's'} ${copies + 1} times`,
  reorder: ({ by }, frames, areMany) => `${frames} ${be(areMany)} overtaken by ${framesText(by)}`,
  corrupt: ({ part, bit }, frames, areMany) =>
    `${frames} ${areMany ? 'have' : 'has'} bit ${bit} of the ${part === 'payload' ? part : `${part} header`} flipped`,
  truncate: ({ bytes }, frames, areMany) => `${frames} ${be(areMany)} truncated to ${bytes} bytes`,
  reset: ({ to }, frames, areMany) =>
    `${frames} ${be(areMany)} replaced by a TCP reset to ${to === 'both' ? 'both sides' : `the ${to}`}`,
  unreachable: ({ what }, frames, areMany) =>
    `${frames} ${be(areMany)} answered by the ICMP error "${what} unreachable"`,
  'too-big': ({ mtu }, frames, areMany) =>
    `${frames} ${be(areMany)} answered by the ICMP error for packets longer than ${mtu} bytes`,
  ecn: (_, frames, areMany) => `${frames} ${be(areMany)} marked as having met congestion`,
  rate: (_, frames, areMany) => `${frames} pass${areMany ? '' : 'es'} a slow line`,
  trace: (_, frames, areMany) => `${frames} pass${areMany ? '' : 'es'} a line with the times of a trace`,
  carrier: ({ ms }, frames) => `the interface has no carrier for ${timeText(ms)}, from ${frames} on`,
  cut: ({ ms }, frames) => `nothing arrives for ${timeText(ms)}, from ${frames} on`,
  blackhole: (_, frames) => `nothing more of the connection arrives, from ${frames} on`,
};
