// SPDX-License-Identifier: MIT
// Names in an object that somebody else has made do not become code in the text that is made from it. Needs clang and
// libbpf, not root.
import { readFileSync } from 'node:fs';

import t from 'tap';

import { BpfObject, declarationsOf, layoutOf, skeletonOf } from '../src/index';
import { run } from './helpers/generated';
import { compileText } from './helpers/machine';

t.setTimeout(120_000);

/** Long enough for code; each letter stands for a kind of name. */
const LENGTH = 48;
const named = (letter: string): string => letter.repeat(LENGTH);
const KINDS = { struct: 's', member: 'm', enum: 'e', constant: 'v', variable: 'g', map: 'h', section: 'd' };

const IMAGE = readFileSync(
  compileText(
    'hostile-names',
    `enum ${named('e')} { ${named('v')} = 1, other = 2 };
struct ${named('s')} { unsigned int ${named('m')}; enum ${named('e')} e; };
struct ${named('s')} shared;
unsigned int ${named('g')} = 5;
__attribute__((section(".data.${named('d')}"))) unsigned int apart = 7;
struct {
  int (*type)[1];
  unsigned int *key;
  struct ${named('s')} *value;
  int (*max_entries)[4];
} ${named('h')} __attribute__((section(".maps"), used));
__attribute__((section("xdp"), used)) int prog(void *c) { return shared.${named('m')} + ${named('g')} + apart; }
char LICENSE[] __attribute__((section("license"), used)) = "GPL";
`,
  ),
);

const CODE = 'taken.push(1)';
const NAMES = {
  'the end of a comment': `*/ ${CODE}; /*`,
  'a line of its own': `x\n${CODE};\n//`,
  'a line for JavaScript alone': `x\u2028${CODE};//`,
  'the end of a literal': `', [${CODE}], '`,
  'the end of a quoted literal': `", [${CODE}], "`,
  'a property and its value': `x: 1, [${CODE}]`,
  'a constant and its value': `x = 1; ${CODE}; //`,
  'a template': `\${${CODE}}`,
  'an escape': `\\', ${CODE}, '`,
  'a prototype': '__proto__',
};

/** The image with another name in the place of one; spaces or zeros fill it up, because names have one length. */
function withName(letter: string, name: string): Uint8Array {
  const text = IMAGE.toString('latin1');
  const padded = Buffer.from(name)
    .toString('latin1')
    .padEnd(LENGTH, name === '__proto__' ? '\0' : ' ');
  return Buffer.from(text.replaceAll(named(letter), padded), 'latin1');
}

/** What the text of a module does when it is imported; throws what is wrong with it. */
function doneBy(text: string): number {
  const taken: number[] = [];
  Object.assign(globalThis, { taken });
  run(text);
  return taken.length;
}

t.teardown(() => Reflect.deleteProperty(globalThis, 'taken'));

t.equal(doneBy(`${CODE};\nexport {};`), 1, 'code in a module is noticed');

for (const [kind, letter] of Object.entries(KINDS))
  t.test(`the name of a ${kind}`, async (t) => {
    for (const [what, name] of Object.entries(NAMES)) {
      let object: BpfObject;
      try {
        object = BpfObject.open(withName(letter, name), { name: 'hostile' });
      } catch (error) {
        t.equal((error as { code?: string }).code, 'BPF_OBJECT', `${what}: refused`);
        continue;
      }
      try {
        t.equal(doneBy(skeletonOf(object, 'x.bpf.o')), 0, `generate: ${what}`);
        t.equal(doneBy(declarationsOf(object.btf, 'x.bpf.o')), 0, `types: ${what}`);
        t.equal(doneBy(layoutOf(object.btf, 'x.bpf.o')), 0, `layout: ${what}`);
      } finally {
        object.close();
      }
    }
  });

t.test('the name of the file', async (t) => {
  const object = BpfObject.open(IMAGE, { name: 'hostile' });
  t.teardown(() => object.close());
  for (const [what, name] of Object.entries(NAMES)) {
    t.equal(doneBy(skeletonOf(object, name)), 0, `generate: ${what}`);
    t.equal(doneBy(declarationsOf(object.btf, name)), 0, `types: ${what}`);
    t.equal(doneBy(layoutOf(object.btf, name)), 0, `layout: ${what}`);
  }
});
