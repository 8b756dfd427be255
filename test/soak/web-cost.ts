// SPDX-License-Identifier: MIT
/**
 * What an open page of `vnet-bpf web` costs the loop, see contestants.ts: one with charts, and one with frames, against
 * none. VNET_BPF_SOAK_PAIRS pairs (400). The server has no processor of its own on a machine with two.
 */
import t from 'tap';

import { cannotRun, SLOW } from '../helpers/cli';
import { compare, Contestant } from '../helpers/contestants';
import { opened, startWeb } from '../helpers/web-client';

const PAIRS = Number(process.env['VNET_BPF_SOAK_PAIRS'] ?? 400);
/** Less than this share of what the loop does without a page is a fault. */
const LEAST = 0.95;

t.setTimeout((PAIRS * 8_000 + 240_000) * SLOW);

for (const [shows, frames] of [
  ['charts', null],
  ['frames', { filter: '' }],
] as const) {
  t.test(`a page with ${shows}, against none`, { skip: cannotRun }, async (t) => {
    const [seen, unseen] = [new Contestant(t, ['--gro', 'off']), new Contestant(t, ['--gro', 'off'])];
    const page = await opened(await startWeb(t, 'vnet0', '--netns', seen.nic.netns));
    page.say({ type: 'watch', interface: 'vnet0', frames });
    await page.next('stats');
    const { first, second, ratio } = await compare(t, PAIRS, seen, unseen);
    await page.next(frames === null ? 'stats' : 'frames');
    t.comment(`medians of ${PAIRS} pairs: page ${first}, none ${second} packets/s; page / none ${ratio.toFixed(4)}`);
    t.ok(ratio >= LEAST, `page / none is ${ratio.toFixed(4)}`);
    page.page.terminate();
  });
}
