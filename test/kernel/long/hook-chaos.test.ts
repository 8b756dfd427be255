// SPDX-License-Identifier: MIT
/**
 * The example `chaos`: the same seed has the same effect on the same frames, and its log repeats it.
 * VNET_BPF_TEST_FRAMES=100000 for the full run.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t, { type Test } from 'tap';

import type { Stats } from '../../../src/datapath/stats';
import { attachedIn, cannotRun, cliOk, ROOT, SLOW } from '../../helpers/cli';
import { hookDirectory } from '../../helpers/hook-file';
import { quietNetns } from '../../helpers/netns';
import { scaled, udpRun, withoutArp } from '../../helpers/traffic';

const FRAMES = Number(process.env['VNET_BPF_TEST_FRAMES'] ?? scaled(50_000));
const ADDRESS = '10.77.0.1';
const CHAOS = path.join(ROOT, 'dist', 'examples', 'chaos.js');

t.setTimeout(300_000 * SLOW);

/** Sends the datagrams through chaos; returns its log and the counters. */
async function run(t: Test, env: NodeJS.ProcessEnv): Promise<{ log: string[]; stats: Stats }> {
  const netns = quietNetns(t);
  const nic = attachedIn(t, netns, ['--addr', `${ADDRESS}/24`, '--hook', CHAOS], 'vnet0', env);
  withoutArp(nic, ADDRESS);
  await udpRun(t, netns, { to: ADDRESS, packets: FRAMES, bytes: 100, flows: 1 });
  await new Promise((resolve) => setTimeout(resolve, 300 * SLOW)); // for delayed frames, too
  const stats = await nic.atRest();
  t.match(cliOk(['stats', nic.iface, '--netns', netns, '--check']), 'balanced', 'the frame accounting balances');
  t.equal(stats.hooks.errors, 0);
  cliOk(['detach', nic.iface, '--netns', netns]);
  return {
    log: fs
      .readFileSync(env['CHAOS_LOG'] as string, 'utf8')
      .trim()
      .split('\n'),
    stats,
  };
}

t.test(`${FRAMES} frames`, { skip: cannotRun }, async (t) => {
  const directory = hookDirectory(t);
  const log = (name: string): string => path.join(directory, name);
  const first = await run(t, { CHAOS_SEED: '7', CHAOS_LOG: log('first') });
  const second = await run(t, { CHAOS_SEED: '7', CHAOS_LOG: log('second') });
  const other = await run(t, { CHAOS_SEED: '8', CHAOS_LOG: log('other') });
  const replayed = await run(t, { CHAOS_REPLAY: log('first'), CHAOS_LOG: log('replayed') });

  const verdicts = ({ log }: { log: string[] }): string => log.slice(0, FRAMES).join('\n');
  t.ok(first.log.length >= FRAMES, `every frame has a verdict: ${first.log.length}`);
  t.ok(verdicts(first) === verdicts(second), 'one seed, one behaviour');
  t.not(verdicts(first), verdicts(other), 'another seed, another one');
  t.ok(verdicts(first) === verdicts(replayed), 'its log does the same again');
  const actions = new Set(first.log.map((line) => line.split(' ')[1]));
  t.same(
    [...actions].sort(),
    ['corrupt', 'delay', 'duplicate', 'lose', 'pass', 'reorder', 'truncate'],
    'all of it happens',
  );
  const { dropped, injected } = first.stats.hooks;
  t.comment(`${dropped} dropped, ${injected} injected`);
  t.ok(dropped > 0 && injected > 0);
});
