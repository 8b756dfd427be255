// SPDX-License-Identifier: MIT
/** Runs `vnet-bpf explore` on the programs of planted-bugs.ts, and checks what it finds. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import type { Test } from 'tap';

import { cli } from './cli';
import { hookDirectory } from './hook-file';
import type { BugName } from './planted-bugs';
import { namespaces } from './run-command';
import { toolPath } from './tool-process';

/** What `--json` prints. */
export interface Document {
  result: string;
  sentence: string;
  seed: number;
  exitCode: number;
  faults: number;
  rules: string[];
  smallest: boolean;
  confirmed: { failed: number; runs: number };
  without: { failed: number; runs: number };
  explored: number;
  files: { faults: string; recording: string | null } | null;
}

/** The network namespaces of runs of `explore`. */
export const exploring = (): string[] => namespaces().filter((name) => name.startsWith('vnet-explore-'));

export const bugOf = (bug: BugName): string[] => [process.execPath, toolPath('planted-bugs'), bug];

/** Explores one of the programs. */
export function explore(
  t: Test,
  bug: BugName,
  rules: string,
  ...more: string[]
): { status: number; document: Document } {
  const repro = path.join(hookDirectory(t), 'repro');
  const start = performance.now();
  const { status, stdout, stderr } = cli([
    'explore',
    ...['--faults', rules, '--addr', '10.77.0.1/24', '--jobs', '2', '--repro', repro, '--json', ...more],
    ...['--', ...bugOf(bug)],
  ]);
  t.comment(`${bug}: ${Math.round((performance.now() - start) / 1000)} s\n${stdout}\n${stderr}`);
  return { status, document: JSON.parse(stdout) as Document };
}

/** The one fault that is left, and that it repeats the failure. */
export function findsOne(t: Test, bug: BugName, rules: string, sentence: RegExp, rule: RegExp): void {
  const { status, document } = explore(t, bug, rules);
  t.equal(status, 3);
  t.match(document, { result: 'found', exitCode: 1, faults: 1, smallest: true, without: { failed: 0 } });
  t.match(document.sentence, sentence);
  t.equal(document.rules.length, 1);
  t.match(document.rules[0], rule);
  t.ok(document.confirmed.runs >= 3, 'it was confirmed');
  t.ok(document.confirmed.failed >= document.confirmed.runs * 0.8, 'it fails nearly each time');
  const { faults = '', recording = null } = document.files ?? {};
  const again = cli(['run', '--stats', '/dev/null', '--addr', '10.77.0.1/24', '--faults', faults, '--', ...bugOf(bug)]);
  t.equal(again.status, 1, `run --faults repeats it: ${again.stderr}`);
  t.equal(cli(['run', '--stats', '/dev/null', '--addr', '10.77.0.1/24', '--', ...bugOf(bug)]).status, 0);
  t.ok(recording !== null && fs.statSync(recording).size > 500, 'a failing run was recorded');
}
