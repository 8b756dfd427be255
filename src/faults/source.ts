// SPDX-License-Identifier: MIT
/** Where rules come from: a text, a file of JSON or of text, or a module of TypeScript or JavaScript. */
import * as path from 'node:path';

import { shellWord, usageError, VnetError } from '../errors';
import { absolutePath } from '../native/inherited';
import { callerMayRead, NotAFile, NotTrusted, readCallersData } from '../native/trusted';
import { areRules } from '../options/values';
import { DEFAULT_SEED, type Effect, type Faults, type Rule } from './rules';

// Loaded only for faults: most commands import this file, and need no more of it than that there are none.
const documents = (): typeof import('./document') => require('./document') as typeof import('./document');
const possible = (): typeof import('./impossible') => require('./impossible') as typeof import('./impossible');
const traces = (): typeof import('./trace') => require('./trace') as typeof import('./trace');
const words = (): typeof import('./words') => require('./words') as typeof import('./words');

/** Rules as processes pass them on, and as the record of an attachment keeps them. */
export type RulesWish =
  /** A JSON document, checked. */
  | { document: string }
  /** The absolute path of a module, which the thread of the interface loads; a seed in place of the module's. */
  | { file: string; seed: number | null };

/** The same, or the words of an impairment, where the kernel has no netem. */
export type FaultsWish = RulesWish | ImpairmentWish;

export interface ImpairmentWish {
  impairment: readonly string[];
  seed: number;
}

/** How a document begins, and no rule in words. */
const JSON_BEGINS = /^\s*[{[]/;
const MODULE = /\.[cm]?[jt]s$/;

/** Bytes of the longest file of rules, in which there may be times of a trace as well. */
const RULES_BYTES_MAX = 8 << 20;
/** What open(2) and lstat(2) say of a text that is no name of a file. */
const NO_FILE: readonly (string | undefined)[] = ['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'];
const BYTE_ORDER_MARK = /^\uFEFF/;

/** Makes the path of a file absolute if it is not. */
type Absolute = (file: string) => string;

/**
 * The document of faults, with another seed unless `seed` is null. Traces are read. All rules are checked. Throws USAGE
 * or HOOK.
 */
export function wishOf({ seed: own, rules }: Faults, seed: number | null, absolute?: Absolute): RulesWish {
  possible().requirePossible(rules);
  return {
    document: JSON.stringify(documents().documentOf({ seed: seed ?? own, rules: withTraces(rules, absolute) })),
  };
}

/** The rules with the content of the traces that they name. Throws USAGE or HOOK. */
export const withTraces = (rules: readonly Rule[], absolute: Absolute = absolutePath): Rule[] =>
  rules.map((rule) => ({ ...rule, effects: rule.effects.map((effect) => withTrace(effect, absolute)) }));

function withTrace(effect: Effect, absolute: Absolute): Effect {
  if (effect.kind !== 'trace' || effect.trace.opportunities !== null) return effect;
  const { packedTrace, TRACE_BYTES_MAX } = traces();
  const named = effect.trace.file as string;
  const file = absolute(named);
  try {
    return {
      ...effect,
      trace: { file, opportunities: packedTrace(readCallersData(file, TRACE_BYTES_MAX).toString('latin1')) },
    };
  } catch (cause) {
    if (cause instanceof NotTrusted && !(cause instanceof NotAFile)) throw notTrusted(file, cause);
    const { code } = cause as NodeJS.ErrnoException;
    throw usageError(
      `trace "${named}"`,
      code === undefined && !callerMayRead(file) ? UNSHOWN : whyUnread(cause as NodeJS.ErrnoException),
      'a trace of mahimahi has a time in milliseconds in each line, none before the one above it',
    );
  }
}

/** Of the content of a file that root can read, and the user who called through sudo cannot. */
const UNSHOWN = 'is not understood, and it is not said why, because the user who called sudo cannot read it';

/** Why a file has not been read, or what is wrong with its content. */
function whyUnread(cause: NodeJS.ErrnoException): string {
  if (cause instanceof NotAFile) return cause.why;
  if (cause.code === undefined) return cause.message;
  return cause.code === 'ENOENT' ? 'there is no such file' : `cannot be read: ${cause.message}`;
}

const notTrusted = (file: string, cause: NotTrusted): VnetError =>
  new VnetError('HOOK', `faults ${file}`, cause.message, {
    hint: 'put it where only root, or the user who called sudo, can write: install -D -m 644 RULES /etc/vnet-bpf/RULES',
    cause,
  });

/**
 * Reads rules in words, a JSON document, or a file with one of them; a module is left to the thread that runs it. Only
 * root, or the user who called through sudo, may be able to change the file. `absolute` makes a path absolute if it is
 * not. Throws USAGE or HOOK.
 */
export function readWish(textOrFile: string, seed: number | null, absolute: Absolute = absolutePath): RulesWish {
  if (areRules(textOrFile)) {
    const faults = JSON_BEGINS.test(textOrFile) ? jsonOf(textOrFile, 'document') : textOrFile;
    return wishOf(documents().readFaults(faults), seed, absolute);
  }
  const file = absolute(textOrFile);
  if (MODULE.test(file)) return { file, seed };
  const text = readRules(file, textOrFile).toString().replace(BYTE_ORDER_MARK, '');
  try {
    // A file may name others beside it.
    return wishOf(documents().readFaults(file.endsWith('.json') ? jsonOf(text, file) : text), seed, besides(file));
  } catch (cause) {
    if (callerMayRead(file)) throw cause;
    throw usageError(`faults ${file}`, UNSHOWN, `chmod a+r ${shellWord(file)}, or be root without sudo`);
  }
}

/** Names of files relative to the directory of another file. */
export const besides =
  (file: string): Absolute =>
  (name) =>
    path.resolve(path.dirname(file), name);

function readRules(file: string, typed: string): Buffer {
  try {
    return readCallersData(file, RULES_BYTES_MAX);
  } catch (cause) {
    if (cause instanceof NotAFile) throw usageError(`faults ${file}`, cause.why, 'name a file with rules in it');
    if (cause instanceof NotTrusted) throw notTrusted(file, cause);
    if (!NO_FILE.includes((cause as NodeJS.ErrnoException).code))
      throw usageError(
        `faults ${file}`,
        whyUnread(cause as NodeJS.ErrnoException),
        `rules are short, such as '${words().EXAMPLE}'`,
      );
    throw usageError(
      `faults "${typed}"`,
      'is neither the name of a file nor rules',
      `such as '${words().EXAMPLE}'; the name of a file is relative to the directory that you are in`,
    );
  }
}

function jsonOf(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw usageError(
      `faults ${file}`,
      `is not JSON: ${(cause as Error).message}`,
      `such as { "seed": ${DEFAULT_SEED}, "rules": ["${words().EXAMPLE}"] }`,
    );
  }
}

/** Rules as the record of an attachment keeps them, in words, or the file with them; null for none. */
export function wordsOf(faults: { document: string | null; file: string | null } | null): string | null {
  if (faults === null || faults.document === null) return faults?.file ?? null;
  return documents().rulesText(faults.document);
}

/** A document of another process, checked except for its filters. It names no file that is still to be read. Throws USAGE. */
export function writtenWish(document: string): RulesWish {
  const faults = documents().readFaults(jsonOf(document, 'document'));
  requireTraces(faults);
  return { document: JSON.stringify(documents().documentOf(faults)) };
}

function requireTraces({ rules }: Faults): void {
  const missing = rules
    .flatMap(({ effects }) => effects)
    .find((effect) => effect.kind === 'trace' && effect.trace.opportunities === null);
  if (missing?.kind === 'trace')
    throw usageError(
      `trace "${missing.trace.file}"`,
      'its content is missing in the document',
      'give the times as well: vnet-bpf faults and nic.faults() read the file',
    );
}

/** The faults of a document. All rules are checked. Throws USAGE. */
export function faultsIn(document: string): Faults {
  const faults = documents().readFaults(jsonOf(document, 'document'));
  requireTraces(faults);
  possible().requirePossible(faults.rules);
  return faults;
}
