// SPDX-License-Identifier: MIT
/** `vnet-bpf/faults`: rules of faults in TypeScript: their types, and the words in which they are written. */
import type { RulesInput } from './document';

export type { Frame } from '../packet/frame';
export { readFaults, type EffectInput, type RuleInput, type RulesInput } from './document';
export { effectText, matchText, parseRules, ruleText } from './language';
export type { Fault } from './log';
export type {
  Distribution,
  Effect,
  EffectKind,
  Faults,
  FramePart,
  Match,
  QueueLimit,
  Rule,
  Side,
  Unreachable,
} from './rules';

/** Returns what it is given, with its type checked: for the default export of a file of rules. */
export const defineFaults = <const T extends RulesInput>(rules: T): T => rules;
