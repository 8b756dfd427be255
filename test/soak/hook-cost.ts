// SPDX-License-Identifier: MIT
/**
 * What a hook costs, see contestants.ts: hooks that do nothing, and hooks that do something, against
 * none, with and without --gro. An empty hook may cost 15 %. VNET_BPF_SOAK_PAIRS pairs (400).
 */
import t from 'tap';

import { cannotRun, SLOW } from '../helpers/cli';
import { compare, Contestant } from '../helpers/contestants';
import { hookFile } from '../helpers/hook-file';

const PAIRS = Number(process.env['VNET_BPF_SOAK_PAIRS'] ?? 400);
const LEAST = 0.85;

t.setTimeout((PAIRS * 8_000 + 240_000) * SLOW);

const HOOKS: readonly [string, string, number][] = [
  ['an empty hook', `export default () => 'pass';`, LEAST],
  [
    'one that looks at addresses and ports',
    `let sum = 0; export default (frame) => { sum += frame.ipv4.sourceBits + frame.udp.destinationPort; };`,
    0,
  ],
  ['one that answers with the same bytes', `export default (frame) => frame.bytes;`, 0],
];

for (const gro of ['off', 'on']) {
  for (const [name, source, least] of HOOKS) {
    t.test(`${name}, against none with --gro ${gro}`, { skip: cannotRun }, async (t) => {
      const hook = hookFile(t, 'hook.mjs', source);
      const { first, second, ratio } = await compare(
        t,
        PAIRS,
        new Contestant(t, ['--gro', gro, '--hook', hook]),
        new Contestant(t, ['--gro', gro]),
      );
      t.comment(`medians of ${PAIRS} pairs: hook ${first}, none ${second} packets/s; hook / none ${ratio.toFixed(4)}`);
      t.ok(ratio >= least, `hook / none is ${ratio.toFixed(4)}`);
    });
  }
}
