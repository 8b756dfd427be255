// SPDX-License-Identifier: MIT
/** Hooks are attached, detached and killed: the mappings of their threads are freed. */
import * as fs from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import t from 'tap';
import { attach } from 'vnet-bpf';

import { cannotRun, SLOW } from '../../helpers/cli';
import { eventually } from '../../helpers/controller';
import { hookFile } from '../../helpers/hook-file';
import { quietNetns } from '../../helpers/netns';

t.setTimeout(120_000 * SLOW);

const TIMES = 8;
/** The ring, mapped twice in a row, and the arena of a hook: sizes that nothing else maps. */
const RING_MIB = 32;
const SIZES = [2 * RING_MIB, 4].map((mib) => mib << 20);

/** Mappings of this process that have one of those sizes, except those that garbage collection frees. */
function mapped(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  const sizes = fs
    .readFileSync('/proc/self/maps', 'utf8')
    .trim()
    .split('\n')
    .map((line) => {
      const [from = '', to = ''] = (line.split(' ')[0] as string).split('-');
      return Number(BigInt(`0x${to}`) - BigInt(`0x${from}`));
    });
  return sizes.filter((size) => SIZES.includes(size)).length;
}

for (const [what, source, ends] of [
  ['put on and taken off', `export default () => 'pass';`, false],
  [
    'that end their threads',
    `export default { frame: () => 'pass', start: (nic) => void nic.after(200, () => process.exit(1)) };`,
    true,
  ],
] as const) {
  t.test(`hooks ${what}`, { skip: cannotRun }, async (t) => {
    const file = hookFile(t, 'hook.mjs', source);
    await using nic = await attach('vnet0', { netns: quietNetns(t), ringSize: `${RING_MIB}M` });
    const once = async (): Promise<void> => {
      const { errors } = nic.stats().hooks;
      // On a busy machine it may have ended before it polls.
      const polls = await nic.hook(file).then(
        () => true,
        (error: unknown) => (ends ? false : Promise.reject(error as Error)),
      );
      if (ends && polls) await eventually(() => nic.stats().hooks.errors > errors);
      await nic.hook(null);
    };
    await once();
    const before = mapped();
    for (let i = 0; i < TIMES; i++) await once();
    let after = 0;
    t.ok(
      await eventually(() => (after = mapped()) <= before + 2, 5000),
      `${before} mappings before, ${after} after ${TIMES} times`,
    );
  });
}
