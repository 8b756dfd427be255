// SPDX-License-Identifier: MIT
/**
 * What faults cost, see contestants.ts: rules that match nothing of the load, and ten rules that look at every frame,
 * against none. VNET_BPF_SOAK_PAIRS pairs of bursts of datagrams (400), and a quarter as many of TCP transfers.
 */
import t, { type Test } from 'tap';

import { attachedIn, cannotRun, checkAccounting, SLOW } from '../helpers/cli';
import { compare, Contestant, inPairs } from '../helpers/contestants';
import { delay } from '../helpers/loop';
import { quietNetns } from '../helpers/netns';
import { OwnTcpFlow } from '../helpers/own-sockets';

const PAIRS = Number(process.env['VNET_BPF_SOAK_PAIRS'] ?? 400);

t.setTimeout((PAIRS * 8_000 + 240_000) * SLOW);

const TEN = Array.from({ length: 10 }, (_, i) => `udp nth ${1_000_000_000 - i}: drop`).join('; ');
const NOTHING = 'tcp port 443: drop';
const RULES: readonly [string, string, number][] = [
  ['one rule that matches nothing', NOTHING, 0.95],
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

const ADDRESS = '10.77.0.1';
const TRANSFER_MS = 300;

t.test('TCP, one rule that matches nothing, against none', { skip: cannotRun }, async (t: Test) => {
  const pairs = Math.ceil(PAIRS / 4);
  const nics = [['--faults', NOTHING], []].map((args) =>
    attachedIn(t, quietNetns(t), ['--addr', `${ADDRESS}/24`, ...args]),
  );
  const { first, second, ratio } = await inPairs(pairs, 2, async (i) => {
    const flow = OwnTcpFlow.start(t, nics[i]?.netns ?? '', ADDRESS);
    await delay(TRANSFER_MS);
    const { bytes, seconds } = flow.stop();
    return (bytes * 8) / seconds / 1e9;
  });
  for (const nic of nics) checkAccounting(t, nic, await nic.atRest());
  t.comment(
    `medians of ${pairs} pairs: faults ${first.toFixed(2)}, none ${second.toFixed(2)} Gbit/s; faults / none ${ratio.toFixed(4)}`,
  );
  t.ok(ratio >= 0.95, `faults / none is ${ratio.toFixed(4)}`);
});
