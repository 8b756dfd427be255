// SPDX-License-Identifier: MIT
// The command `libbpf-ts`, with a real compiler at both ends.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import t from 'tap';

import { BpfObject, declarationsOf, type Skeleton } from '../../src/index';
import { run as runText } from '../helpers/generated';
import { compile } from '../helpers/machine';

const root = join(__dirname, '..', '..');

function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const { bin } = require('../../package.json') as { bin: Record<string, string> };
  return spawnSync(process.execPath, [join(root, bin['libbpf-ts']!), ...args], { encoding: 'utf8' });
}

t.test('the record of an example', async (t) => {
  const { status, stdout } = run('types', compile('execs', join(root, 'examples')));
  t.equal(status, 0);
  const exec = stdout.slice(stdout.indexOf('/** struct exec'), stdout.indexOf('}\n') + 2);
  t.equal(
    exec,
    `/** struct exec, 24 bytes. */
export interface exec {
  /** offset 0, 4 bytes */
  readonly pid: number;
  /** offset 4, 4 bytes */
  readonly uid: number;
  /** offset 8, 16 bytes */
  readonly comm: Uint8Array;
}
`,
  );
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
    const { stdout } = spawnSync(process.execPath, [require.resolve('typescript/bin/tsc'), ...flags], {
      cwd: directory,
      encoding: 'utf8',
    });
    return stdout;
  };
  t.equal(
    check(`
    const first: pair = { first: 1, second: 2 };
    const maps: Maps = {
      hash: { key: 1, value: first }, counters: { key: 0, value: first }, shared: { key: 0, value: 1n },
    };
    const constants: rodata = { answer: 1, small: 2, negative: -3, wide: 4n, flag: true, mode: 1000, several: [1, 2, 3, 4] };
    export default [maps, constants];`),
    '',
  );
  t.match(check(`export const value: Maps['shared']['value'] = 1;`), /'number' is not assignable to type 'bigint'/);
});

t.test('a skeleton, with and without the object in it', async (t) => {
  const image = compile('counter');
  const { status, stdout } = run('generate', image);
  t.equal(status, 0);
  t.match(stdout, 'export class Counter extends Skeleton<');
  const embedded = run('generate', '--embed', '--name', 'Packets', image).stdout;
  t.match(embedded, 'export class Packets extends Skeleton<');
  const packets = runText(embedded)['Packets'] as { open(): Skeleton };
  using skel = packets.open();
  t.same(skel.object.programNames.sort(), ['count', 'on_call']);
  t.same(skel.object.mapNames.filter((name) => name.includes('.')).sort(), ['counter.bss', 'counter.rodata']);
});

t.test('the layout of an example, and of maps and constants', async (t) => {
  const { status, stdout } = run('layout', compile('execs', join(root, 'examples')));
  t.equal(status, 0);
  t.match(stdout, 'export const EXEC = {\n  pid: 0,\n  uid: 4,\n  comm: 8,\n  size: 24,\n} as const;\n');
  const basic = run('layout', compile('basic')).stdout;
  t.match(basic, 'export const MODE = {\n  none: 0,\n  one: 1,\n  big: 1000,\n} as const;\n');
  t.match(basic, 'export const PAIR = {\n  first: 0,\n  second: 4,\n  size: 8,\n} as const;\n');
});

t.test('what cannot be done', async (t) => {
  t.match(run('types', '/nonexistent.o'), { status: 1, stdout: '', stderr: /^libbpf-ts: \/nonexistent\.o: ENOENT/ });
  t.match(run('types', __filename), { status: 1, stdout: '', stderr: /^libbpf-ts: .*\.test\.ts: not an ELF file\n$/ });
  for (const wrong of [
    [],
    ['types'],
    ['layout'],
    ['type', 'x.o'],
    ['constructor', 'x.o'],
    ['types', 'x.o', 'y.o'],
    ['types', '--embed', 'x.o'],
    ['generate', '--nothing', 'x.o'],
  ])
    t.match(run(...wrong), { status: 2, stderr: /^usage: / });
  t.match(run('--help'), { status: 0, stdout: /^usage: / });
});
