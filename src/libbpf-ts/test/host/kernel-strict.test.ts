// SPDX-License-Identifier: MIT
// Generated code as tsc sees it in a strict project, against the built package.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';

import t from 'tap';

import { BpfObject, declarationsOf, skeletonOf } from '../../src/index';
import { compileStrictly } from '../helpers/generated';
import { compile, compileText } from '../helpers/machine';

const root = resolve(__dirname, '..', '..');
const examples = join(root, 'examples');
/** The object of vnet-bpf, where this package is part of its checkout. */
const VNET = resolve(root, '..', '..', 'dist', 'bpf', 'vnet.bpf.o');

function modulesOf(image: string): [string, string][] {
  using object = BpfObject.open(image);
  const name = basename(image).replace(/\..*/, '');
  return [
    [name, skeletonOf(object, basename(image))],
    [`${name}-types`, declarationsOf(object.btf, basename(image))],
  ];
}

t.test('all objects of the tests and examples', async (t) => {
  const images = [
    ...['attach', 'basic', 'counter', 'refused', 'types'].map((name) => compile(name)),
    ...readdirSync(examples)
      .filter((name) => name.endsWith('.bpf.c'))
      .map((name) => compile(basename(name, '.bpf.c'), examples)),
    ...[VNET].filter(existsSync),
  ];
  t.equal(compileStrictly(new Map(images.flatMap(modulesOf))), '');
});

/** Lines of a function that uses generated code. */
const use = (...lines: string[]): Map<string, string> =>
  new Map([
    ...modulesOf(compile('types')),
    [
      'use',
      `import { Types, color, inner } from './types.js';\nusing skel = Types.open('x');\n${lines.join('\n')}\nexport {};\n`,
    ],
  ]);

t.test('the program of the README', async (t) => {
  const [section] = readFileSync(join(root, 'README.md'), 'utf8').split('## Generated code\n')[1]!.split('\n## ');
  const [, c] = /^```c\n(.*?)^```$/ms.exec(section!)!;
  const [, program] = /^```ts\n(.*?)^```$/ms.exec(section!)!;
  const headers = '#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n';
  const code = 'SEC("tc") int count(struct __sk_buff *skb) { packets += shortest; return -1; }';
  const image = compileText('packets', `${headers}${c}${code}\nchar _license[] SEC("license") = "GPL";\n`);
  const text = `${program!.replace("'./packets'", "'./packets.js'")}
declare const ifindex: number;
declare const console: { log(...values: unknown[]): void };`;
  t.equal(compileStrictly(new Map([...modulesOf(image), ['use', text]])), '');
});

t.test('a program that uses it', async (t) => {
  const said = compileStrictly(
    use(
      'skel.rodata.settings = { whole: 5, unnamed: { left: 1 }, point: { x: 1 } };',
      "skel.rodata.greeting = 'hi';",
      'skel.data.tuned = color.GREEN;',
      'skel.load();',
      'export const packets: bigint = skel.bss.packets;',
      'export const x: number | undefined = skel.maps.percpu.get(0)?.[0]?.x;',
      'export const field: number | undefined = skel.maps.delete.get({ a: 1, b: 2 })?.function;',
      'for (const { items } of skel.maps.ring.records()) console.log(items[0]);',
      'for (const { b } of skel.maps.unnamed_record.as(inner).records()) console.log(b);',
      'skel.attach();',
      'skel.links.with?.close();',
      'declare const console: { log(value: unknown): void };',
    ),
  );
  t.equal(said, '');
});

t.test('mistakes are errors', async (t) => {
  const mistakes: [string, RegExp][] = [
    ['export const packets: number = skel.bss.packets;', /'bigint' is not assignable to type 'number'/],
    ["skel.bss.packets = 'many';", /'string' is not assignable/],
    ['skel.rodata.settings = { hole: 5 };', /'hole' does not exist/],
    ['skel.maps.percpu.set(0, [{ z: 1 }]);', /'z' does not exist/],
    ["skel.maps.delete.get('key');", /TS2345|no properties in common|TS2559/],
    ['skel.programs.without;', /Property 'without' does not exist/],
    ['skel.links.without = undefined;', /'without' does not exist/],
    ['for (const record of skel.maps.ring.records()) record.count = 1;', /read-only property/],
  ];
  const said = compileStrictly(use(...mistakes.map(([line]) => line), 'export { color, inner };'));
  for (const [line, expected] of mistakes) {
    const at = mistakes.findIndex(([each]) => each === line) + 3;
    t.match(new RegExp(`^use\\.ts\\(${at},.*(\\n .*)*`, 'm').exec(said)?.[0], expected, line);
  }
  t.equal([...said.matchAll(/^\S+\.ts\(/gm)].length, mistakes.length, said);
});
