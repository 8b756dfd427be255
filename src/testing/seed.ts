// SPDX-License-Identifier: MIT
/**
 * Seeds of faults in tests. VNET_BPF_SEED takes the place of any seed that a test names, so a failure can be repeated
 * without changing the test: errors of a Lab say how, and so does a process that ends with a failure.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { shellWord, VnetError } from '../errors';
import { ATTACH_OPTIONS } from '../options/attach-options';
import { randomSeed } from '../options/values';

export const SEED_VARIABLE = 'VNET_BPF_SEED';

/** A number, or `'random'` for another one in each run. */
export type SeedChoice = number | 'random';

/** The seed to use; undefined: that of the rules. Throws USAGE if the variable has none. */
export function chosenSeed(given: SeedChoice | undefined): number | undefined {
  const set = process.env[SEED_VARIABLE];
  if (set !== undefined && set !== '') {
    const place = { what: `${SEED_VARIABLE}=${set}`, example: (good: string) => `such as ${SEED_VARIABLE}=${good}` };
    return ATTACH_OPTIONS.seed.read(set, place);
  }
  return given === 'random' ? randomSeed() : given;
}

/** How to repeat faults with a seed, in one line. */
export function repeating(seed: number): string {
  const [, file] = process.argv;
  const set = `${SEED_VARIABLE}=${seed}`;
  // A test runner of a package starts the file in its own way.
  const isPlain = file !== undefined && /\.[cm]?js$/.test(file) && !file.includes('/node_modules/');
  const how = isPlain ? `${set} node ${shellWord(path.relative('', file))}` : `${set} in the environment of the test`;
  return `the faults have the seed ${seed}; ${how} repeats them`;
}

/** The error with a line about the seed, for whoever reads why a test has failed. */
export function withSeed(error: unknown, seed: number | null): unknown {
  if (seed === null || !(error instanceof VnetError)) return error;
  const [what = '', ...why] = error.message.split(': ');
  const { code, hint } = error;
  return new VnetError(code, what, `${why.join(': ')}\n${repeating(seed)}`, {
    ...(hint !== undefined && { hint }),
    cause: error,
  });
}

const used = new Set<number>();

/** Notes that a test uses a seed: if the process ends with a failure, its last line says how to repeat it. */
export function noteSeed(seed: number): void {
  if (used.size === 0) process.once('exit', announce);
  used.add(seed);
}

function announce(exitCode: number): void {
  if (exitCode === 0) return;
  const lines = [...used].map((seed) => `vnet-bpf: ${repeating(seed)}\n`);
  try {
    fs.writeSync(process.stderr.fd, lines.join(''));
  } catch {
    // Nobody reads it.
  }
}
