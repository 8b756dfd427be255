// SPDX-License-Identifier: MIT
// Random types with random values: through generated code into a map and out of it again, against what bpftool makes
// of the map. VNET_BPF_TEST_TYPES is the number of types, VNET_BPF_TEST_SEED the first of their seeds.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import t, { type Test } from 'tap';

import { BpfObject, type Skeleton, skeletonOf, type TypedMap } from '../src/index';
import { run } from './helpers/generated';
import { compileText, skipUnlessRoot } from './helpers/machine';
import { type Printed, RandomTypes } from './helpers/random-types';

const TYPES = Number(process.env['VNET_BPF_TEST_TYPES'] ?? 24);
const SEED = Number(process.env['VNET_BPF_TEST_SEED'] ?? 1);
/** Types in an object, and values of each. */
const TOGETHER = 12;
const VALUES = 6;

function withoutBpftool(): string | false {
  try {
    execFileSync('bpftool', ['version'], { stdio: 'ignore' });
    return false;
  } catch {
    return 'needs bpftool';
  }
}

/** Entries of a map as bpftool prints them, by key. */
function dump(id: number): Map<number, Printed> {
  const text = execFileSync('bpftool', ['-j', 'map', 'dump', 'id', String(id)], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  const exact = text.replace(/(?<=[:[,])(-?\d+)(?=[,\]}])/g, '"$1"');
  const entries = JSON.parse(exact) as { formatted: { key: string; value: Printed } }[];
  return new Map(entries.map(({ formatted }) => [Number(formatted.key), formatted.value]));
}

/** Everything that a value gives is in what was read; members of unions that it leaves out may be anything. */
function contains(read: unknown, given: unknown): boolean {
  if (given instanceof Uint8Array) return read instanceof Uint8Array && Buffer.compare(read, given) === 0;
  // An array of __u8 or __s8.
  if (Array.isArray(given) && read instanceof Uint8Array)
    return given.length === read.length && given.every((each, i) => (each & 0xff) === read[i]);
  if (Array.isArray(given)) return Array.isArray(read) && given.every((each, i) => contains(read[i], each));
  if (typeof given !== 'object' || given === null) return Object.is(read, given);
  return Object.entries(given).every(([name, each]) => contains((read as Record<string, unknown>)[name], each));
}

const show = (value: unknown): string =>
  JSON.stringify(value, (_, each: unknown) =>
    typeof each === 'bigint' ? `${each}n` : each instanceof Uint8Array ? [...each] : each,
  );

type Maps = Record<string, TypedMap<number, unknown>>;

function check(t: Test, seed: number): void {
  const types = new RandomTypes(seed);
  const structs = Array.from({ length: TOGETHER }, () => types.struct());
  const maps = structs.map(
    ({ name }) =>
      `struct {\n\t__uint(type, BPF_MAP_TYPE_HASH);\n\t__uint(max_entries, 64);\n\t__type(key, __u32);\n` +
      `\t__type(value, struct ${name});\n} m_${name} SEC(".maps");`,
  );
  const text = [
    '#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>',
    ...types.text,
    ...maps,
    'SEC("socket") int nothing(void *ctx) { return 0; }\nchar _license[] SEC("license") = "GPL";\n',
  ].join('\n');
  const image = compileText('random', text);
  let generated: string;
  {
    using object = BpfObject.open(image);
    generated = skeletonOf(object, 'random.bpf.o');
  }
  writeFileSync(join(dirname(image), 'random.ts'), generated);
  const { Random } = run(generated) as { Random: { open(path: string): Skeleton & { readonly maps: Maps } } };
  using skel = Random.open(image);
  skel.load();
  let compared = 0;
  for (const type of structs) {
    const map = skel.maps[`m_${type.name}`]!;
    const values = Array.from({ length: VALUES }, () => type.value());
    values.forEach((value, key) => map.set(key, value as object));
    // Bytes that nobody has encoded are read as bpftool reads them; unions have all their members then.
    for (let key = VALUES; key < 2 * VALUES; key++) map.raw.set(map.key.encode(key), randomBytes(map.raw.valueSize));
    const printed = dump(map.raw.id);
    for (let key = 0; key < 2 * VALUES; key++) {
      const read = map.get(key);
      const [given, line] = [values[key] ?? read, printed.get(key)];
      const good = line !== undefined && type.agrees(given, line) && contains(read, given);
      if (!good) {
        t.comment(text);
        t.fail(`seed ${seed}, ${type.name}: gave ${show(given)}, read ${show(read)}, bpftool ${JSON.stringify(line)}`);
        return;
      }
      compared++;
    }
  }
  t.equal(compared, TOGETHER * VALUES * 2, `seed ${seed}: ${TOGETHER} types`);
}

t.test('random types', { skip: skipUnlessRoot || withoutBpftool() }, async (t) => {
  for (let done = 0, seed = SEED; done < TYPES; done += TOGETHER, seed++) check(t, seed);
});
