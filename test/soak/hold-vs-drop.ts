// SPDX-License-Identifier: MIT
/**
 * What hold costs while nothing is full, see contestants.ts. Fails when the median of the ratios,
 * hold / drop, is not within 2 % of 1. VNET_BPF_SOAK_PAIRS pairs (400).
 */
import t from 'tap';

import { cannotRun, SLOW } from '../helpers/cli';
import { compare, Contestant } from '../helpers/contestants';

const PAIRS = Number(process.env['VNET_BPF_SOAK_PAIRS'] ?? 400);
/** The most by which the medians may differ. */
const TOLERANCE = 0.02;

t.setTimeout((PAIRS * 2_000 + 60_000) * SLOW);

t.test('hold against drop with nothing full', { skip: cannotRun }, async (t) => {
  const { first, second, ratio } = await compare(
    t,
    PAIRS,
    new Contestant(t, ['--when-full', 'hold']),
    new Contestant(t, ['--when-full', 'drop']),
  );
  t.comment(`medians of ${PAIRS} pairs: hold ${first}, drop ${second} packets/s; hold / drop ${ratio.toFixed(4)}`);
  t.ok(Math.abs(ratio - 1) <= TOLERANCE, `the same throughput within ${TOLERANCE * 100} %: ${ratio.toFixed(4)}`);
});
