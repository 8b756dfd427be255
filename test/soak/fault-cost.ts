// SPDX-License-Identifier: MIT
/**
 * What faults cost, see contestants.ts: rules that match nothing of the load, and ten rules that look at every frame,
 * against none. VNET_BPF_SOAK_PAIRS pairs (400).
 */
import t from 'tap';

import { cannotRun, SLOW } from '../helpers/cli';
import { compare, Contestant } from '../helpers/contestants';

const PAIRS = Number(process.env['VNET_BPF_SOAK_PAIRS'] ?? 400);

t.setTimeout((PAIRS * 8_000 + 240_000) * SLOW);

const TEN = Array.from({ length: 10 }, (_, i) => `udp nth ${1_000_000_000 - i}: drop`).join('; ');
const RULES: readonly [string, string, number][] = [
  ['one rule that matches nothing', 'tcp port 443: drop', 0.95],
  ['ten rules that look at every frame', TEN, 0.7],
];

for (const [name, rules, least] of RULES) {
  t.test(`${name}, against none`, { skip: cannotRun }, async (t) => {
    const { first, second, ratio } = await compare(
      t,
      PAIRS,
      new Contestant(t, ['--gro', 'off', '--faults', rules]),
      new Contestant(t, ['--gro', 'off']),
    );
    t.comment(
      `medians of ${PAIRS} pairs: faults ${first}, none ${second} packets/s; faults / none ${ratio.toFixed(4)}`,
    );
    t.ok(ratio >= least, `faults / none is ${ratio.toFixed(4)}`);
  });
}
