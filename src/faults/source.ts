// SPDX-License-Identifier: MIT
/** Where rules come from: a text, a file of JSON or of text, or a module of TypeScript or JavaScript. */
import { usageError, VnetError } from '../errors';
import { NotTrusted, readTrusted } from '../native/trusted';
import { areRules } from '../options/values';
import { DEFAULT_SEED, type Faults } from './rules';

// Loaded only for faults: most commands import this file, and need no more of it than that there are none.
const documents = (): typeof import('./document') => require('./document') as typeof import('./document');
const possible = (): typeof import('./impossible') => require('./impossible') as typeof import('./impossible');
const words = (): typeof import('./words') => require('./words') as typeof import('./words');

/** Faults as processes pass them on, and as the record of an attachment keeps them. */
export type FaultsWish =
  /** A JSON document, checked. */
  | { document: string }
  /** The absolute path of a module, which the thread of the interface loads; a seed in place of the module's. */
  | { file: string; seed: number | null };

const MODULE = /\.[cm]?[jt]s$/;

/** The document of faults, with another seed unless `seed` is null. All rules are checked. Throws USAGE. */
export function wishOf({ seed: own, rules }: Faults, seed: number | null): FaultsWish {
  possible().requirePossible(rules);
  return { document: JSON.stringify(documents().documentOf({ seed: seed ?? own, rules })) };
}

/**
 * Reads rules in words, or a file with them; a module is left to the thread that runs it. Only root may be able to
 * change the file. `absolute` makes a path absolute if it is not. Throws USAGE or HOOK.
 */
export function readWish(
  textOrFile: string,
  seed: number | null,
  absolute: (file: string) => string = (file) => file,
): FaultsWish {
  if (areRules(textOrFile)) return wishOf(documents().readFaults(textOrFile), seed);
  const file = absolute(textOrFile);
  if (MODULE.test(file)) return { file, seed };
  const text = readRules(file, textOrFile).toString();
  return wishOf(documents().readFaults(file.endsWith('.json') ? jsonOf(text, file) : text), seed);
}

function readRules(file: string, typed: string): Buffer {
  try {
    return readTrusted(file);
  } catch (cause) {
    if (cause instanceof NotTrusted)
      throw new VnetError('HOOK', `faults ${file}`, cause.message, {
        hint: 'put it where only root can write: install -D -m 644 RULES /etc/vnet-bpf/RULES',
        cause,
      });
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

/** A document of another process, checked except for its filters. Throws USAGE. */
export const writtenWish = (document: string): FaultsWish => ({
  document: JSON.stringify(documents().documentOf(documents().readFaults(jsonOf(document, 'document')))),
});

/** The faults of a document. All rules are checked. Throws USAGE. */
export function faultsIn(document: string): Faults {
  const faults = documents().readFaults(jsonOf(document, 'document'));
  possible().requirePossible(faults.rules);
  return faults;
}
