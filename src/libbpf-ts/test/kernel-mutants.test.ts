// SPDX-License-Identifier: MIT
// Damaged object files are errors: they end no process, neither in this package nor in libbpf.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

import { BpfObject } from '../src/index';
import { checkObject } from '../src/sanity';
import { compile, skipUnlessRoot } from './helpers/machine';

/** Mutants in all; `make soak` has 50,000. */
const COUNT = Number(process.env['LIBBPF_TS_MUTANTS'] ?? 2000);
/** Where the sequence begins: any number. A failure names the mutant. */
const FIRST = Number(process.env['LIBBPF_TS_FIRST_MUTANT'] ?? 1);
const EACH = 500;

const names = ['basic', 'attach', 'missing-ksym', 'runs', 'legacy-maps'];

t.test('damaged objects', { skip: skipUnlessRoot, timeout: 60_000 + COUNT * 100 }, async (t) => {
  const paths = names.map((name) => compile(name));
  const typescript = __filename.endsWith('.ts') ? ['-r', require.resolve('ts-node/register/transpile-only')] : [];
  const program = join(__dirname, 'helpers', `mutants${__filename.slice(-3)}`);
  const sum = { loaded: 0, refused: 0, unreadable: 0 };
  for (let first = FIRST; first < FIRST + COUNT; first += EACH) {
    const count = Math.min(EACH, FIRST + COUNT - first);
    const args = [...typescript, program, String(first), String(count), ...paths];
    const env = { ...process.env, NODE_OPTIONS: '' };
    const { status, signal, stdout, stderr } = spawnSync(process.execPath, args, {
      encoding: 'utf8',
      env,
      timeout: 300_000,
      maxBuffer: 1 << 26,
    });
    const last = stdout.trim().split('\n').at(-1)!;
    if (status !== 0) {
      t.fail(`mutant ${last} ended the process: ${signal ?? status}: ${stderr.slice(0, 2000)}`);
      continue;
    }
    const outcomes = JSON.parse(last) as typeof sum;
    for (const key of Object.keys(sum) as (keyof typeof sum)[]) sum[key] += outcomes[key];
  }
  t.equal(sum.loaded + sum.refused + sum.unreadable, COUNT);
  t.comment(JSON.stringify(sum));
  t.ok(sum.loaded > COUNT / 20 && sum.unreadable > COUNT / 20, 'some still load, others cannot be read');
});

t.test('what a compiler makes is taken', async (t) => {
  const sources = readdirSync(join(__dirname, 'bpf')).filter((file) => file.endsWith('.bpf.c'));
  t.ok(sources.length > 8);
  for (const source of sources) {
    const path = compile(source.replace('.bpf.c', ''));
    t.doesNotThrow(() => checkObject(readFileSync(path), path), source);
    // libbpf has maps of this kind no more.
    if (source !== 'legacy-maps.bpf.c') BpfObject.open(path).close();
  }
});
