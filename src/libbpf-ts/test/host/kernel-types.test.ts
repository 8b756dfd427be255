// SPDX-License-Identifier: MIT
// The command `libbpf-ts types`, with a real compiler at both ends.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { BpfObject, declarationsOf } from '../../src/index';
import { compile } from '../helpers/compile';

function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const { bin } = require('../../package.json') as { bin: Record<string, string> };
  return spawnSync(process.execPath, [join(root, bin['libbpf-ts']!), ...args], { encoding: 'utf8' });
}

t.test('the record of an example', async (t) => {
  const { status, stdout } = run('types', compile('execs', join(root, 'examples')));
  t.equal(status, 0);
  const exec = stdout.slice(stdout.indexOf('/** struct exec'), stdout.indexOf('}\n') + 2);
  t.equal(exec, `/** struct exec, 24 bytes. */
export interface exec {
  /** offset 0, 4 bytes */
  readonly pid: number;
  /** offset 4, 4 bytes */
  readonly uid: number;
  /** offset 8, 16 bytes */
  readonly comm: Uint8Array;
}
`);
});

t.test('maps, constants and globals are what TypeScript takes them for', async (t) => {
  const image = compile('basic');
  using object = BpfObject.open(image);
  const directory = dirname(image);
  writeFileSync(join(directory, 'basic.ts'), declarationsOf(object.btf, 'basic'));
  const check = (statement: string): string => {
    writeFileSync(join(directory, 'use.ts'), `import type { Maps, pair, rodata } from './basic';\n${statement}\n`);
    // In the directory, so that no types of the project are seen.
    const flags = ['--noEmit', '--strict', '--target', 'es2022', 'use.ts'];
    const { stdout } = spawnSync(process.execPath, [require.resolve('typescript/bin/tsc'), ...flags], { cwd: directory, encoding: 'utf8' });
    return stdout;
  };
  t.equal(check(`
    const first: pair = { first: 1, second: 2 };
    const maps: Maps = {
      hash: { key: 1, value: first }, counters: { key: 0, value: first }, shared: { key: 0, value: 1n },
    };
    const constants: rodata = { answer: 1, small: 2, negative: -3, wide: 4n, flag: true, mode: 1000, several: [1, 2, 3, 4] };
    export default [maps, constants];`), '');
  t.match(check(`export const value: Maps['shared']['value'] = 1;`), /'number' is not assignable to type 'bigint'/);
});

t.test('what cannot be done', async (t) => {
  t.match(run('types', '/nonexistent.o'), { status: 1, stdout: '', stderr: /^libbpf-ts: \/nonexistent\.o: ENOENT/ });
  t.match(run('types', __filename), { status: 1, stdout: '', stderr: /^libbpf-ts: .*not a usable BPF object/ });
  for (const wrong of [[], ['types'], ['type', 'x.o'], ['types', 'x.o', 'y.o']]) t.match(run(...wrong), { status: 2, stderr: /^usage: / });
  t.match(run('--help'), { status: 0, stdout: /^usage: / });
});
