// SPDX-License-Identifier: MIT
/** Compares what libbpf in C and this package say of the same objects. */
import { basename } from 'node:path';

import type { Memory, Outcome } from './try';

/** What libbpf in C says of an object. */
export interface InC {
  readonly outcome: 'loaded' | 'open' | 'load' | 'crashed';
  /** Positive. */
  readonly errno: number;
}

export type Outcomes = Map<string, Outcome | 'crashed'>;

/** Kilobytes by which a process may grow when all objects are loaded once more. */
const GROWTH_MAX_KB = 16 * 1024;

/** An error that gives only an errno, or no reason at all. */
export const isUnexplained = (message: string): boolean =>
  /: (?:E[A-Z0-9]+|LIBBPF_ERRNO__\w+|errno \d+) \([^)]*\)$/.test(message) ||
  /failed to create: [^;]*\(-\d+\)$|failed to load object '[^']*'$/.test(message) ||
  /unknown error|refused without a log|undefined|\bNaN\b/.test(message);

interface Comparison {
  /** What must not be. */
  readonly problems: string[];
  readonly lines: readonly string[];
  /** The error of each object that does not load. */
  readonly errorTexts: readonly string[];
}

function growthOf({ quick, passes }: Memory): { problem: string[]; line: string } {
  const told = passes.map(({ residentKb, mappings }) => `${Math.round(residentKb / 1024)} MiB in ${mappings} mappings`);
  // The first pass grows what stays, such as compiled code.
  const [, second, third] = passes;
  const grown = third!.residentKb - second!.residentKb;
  const piles = grown > GROWTH_MAX_KB || third!.mappings > second!.mappings + 10;
  return {
    problem: piles ? [`memory piles up: ${told.join(', ')}`] : [],
    line: `memory after one pass and two more over ${quick} objects: ${told.join(', ')}`,
  };
}

export function compare(
  paths: readonly string[],
  theirs: ReadonlyMap<string, InC>,
  ours: Outcomes,
  memory: Memory | undefined,
): Comparison {
  const problems: string[] = [];
  const errorTexts: string[] = [];
  const sum = {
    inC: 0,
    crashedInC: 0,
    loaded: 0,
    verifier: 0,
    suggested: 0,
    unreadable: 0,
    others: 0,
    unexplained: 0,
    otherErrno: 0,
  };
  for (const path of paths) {
    const [their, our] = [theirs.get(path), ours.get(path)];
    if (!their || !our) {
      problems.push(`${path}: ${their ? 'not tried here' : 'not tried in C'}`);
      continue;
    }
    if (their.outcome === 'loaded') sum.inC++;
    if (their.outcome === 'crashed') sum.crashedInC++;
    if (our === 'crashed') {
      problems.push(`${path}: ${their.outcome} in C, ends the process here`);
      continue;
    }
    if ((their.outcome === 'loaded') !== (our.outcome === 'loaded'))
      problems.push(`${path}: ${their.outcome} in C (errno ${their.errno}), here: ${our.message ?? 'loaded'}`);
    if (their.outcome !== 'crashed' && their.errno !== (our.errno ?? 0)) sum.otherErrno++;
    if (our.leaked !== 0) problems.push(`${path}: ${our.leaked} descriptors are left open`);
    if (our.notGenerated !== undefined) problems.push(`${path}: no code: ${our.notGenerated}`);
    if (our.message === undefined) {
      sum.loaded++;
      continue;
    }
    if (our.code === 'BPF_VERIFIER') sum.verifier++;
    else if (our.code === 'BPF_OBJECT') sum.unreadable++;
    else sum.others++;
    if (our.code === 'BPF_VERIFIER' && our.message.includes('; ')) sum.suggested++;
    errorTexts.push(`${basename(path)}: ${our.message}`);
    if (!isUnexplained(our.message)) continue;
    sum.unexplained++;
    problems.push(`${path}: no reason: ${our.message}`);
  }
  const growth = memory ? growthOf(memory) : { problem: ['the second pass was not reached'], line: 'memory unknown' };
  problems.push(...growth.problem);
  return {
    problems,
    errorTexts,
    lines: [
      `${paths.length} objects: ${sum.inC} load in C (${sum.crashedInC} crash it), ${sum.loaded} here`,
      `${errorTexts.length} do not load: ${sum.verifier} refused by the verifier (${sum.suggested} with a suggestion), ` +
        `${sum.unreadable} no usable objects, ${sum.others} for other reasons; ${sum.unexplained} without a reason, ${sum.otherErrno} with another errno than in C`,
      growth.line,
    ],
  };
}
