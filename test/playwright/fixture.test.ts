// SPDX-License-Identifier: MIT
/** The fixtures for `@playwright/test`, in a real run of its tests. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { ROOT, SLOW } from '../helpers/cli';
import { blocksOf } from '../helpers/document';
import { run } from '../helpers/netns';
import { skip } from './stream';

t.setTimeout(300_000 * SLOW);

const CLI = path.join(ROOT, 'node_modules', '@playwright', 'test', 'cli.js');

/** Runs the tests of a file, which has to be below the checkout; returns the exit status and the report. */
function playwright(directory: string, file: string, output: string): { status: number | null; report: string } {
  const args = ['test', '--config', directory, file, '--workers=1', '--reporter=list', '--output', output];
  const environment = { ...process.env, NODE_OPTIONS: '', FORCE_COLOR: '0', VNET_BPF_SEED: undefined };
  const { status, stdout, stderr } = run(process.execPath, [CLI, ...args], { cwd: ROOT, env: environment });
  return { status, report: stdout + stderr };
}

t.test('each test has the wire as it was at the beginning, and one that fails says its seed', { skip }, async (t) => {
  const { status, report } = playwright(path.join(ROOT, 'test', 'playwright'), 'fixture.spec', t.testdir());
  t.equal(status, 1, 'the one that is wrong fails');
  for (const [state, title] of [
    ['✓', 'a page is on the wire, which is slow from the beginning'],
    ['✓', 'a test does what it likes to the wire'],
    ['✓', 'the next test has the wire of the beginning'],
    ['✘', 'a test that fails says how to repeat its faults'],
    ['✓', 'after it, another worker has another wire'],
  ] as const)
    t.match(report, new RegExp(`^ *${state} .*› ${title}`, 'm'));
  t.match(report, 'the faults have the seed 11; VNET_BPF_SEED=11 in the environment of the test repeats them');
  t.match(report, /attachment .*: faults\.jsonl/);
  t.match(report, /^ *1 failed$[^]*^ *4 passed/m, report);
  const networks = [...report.matchAll(/^network (\S+)$/gm)].map(([, name = '']) => name);
  t.equal(new Set(networks).size, 2, `the networks of two workers: ${networks.join(', ')}`);
  t.same(
    networks.filter((name) => fs.existsSync(`/run/netns/${name}`)),
    [],
    'are gone',
  );
});

t.test('docs/faults.md: the example', { skip }, async (t) => {
  const block = blocksOf(path.join(ROOT, 'docs', 'faults.md')).find(({ language }) => language === 'typescript');
  // Below the checkout, where Node finds the packages.
  const directory = t.testdir({ 'page.spec.ts': block?.text ?? '', output: {} });
  const { status, report } = playwright(directory, 'page.spec', path.join(directory, 'output'));
  t.equal(status, 0, report);
  t.match(report, /^ *2 passed/m);
});
