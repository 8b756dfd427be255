// SPDX-License-Identifier: MIT
/**
 * The controller is killed while a hook drops, changes and injects frames: the next one continues, with a hook or
 * without, and the frame accounting balances to the frame. VNET_BPF_TEST_KILLS=50 for the full run.
 */
import t from 'tap';

import { frameAccounting } from '../../../src/datapath/stats';
import { attachedIn, cannotRun, cli, cliOk, SLOW } from '../../helpers/cli';
import { killController } from '../../helpers/controller';
import { startFlood } from '../../helpers/flood';
import { hookFile } from '../../helpers/hook-file';
import { quietNetns } from '../../helpers/netns';
import { Random } from '../../helpers/random';
import { scaled, withoutArp } from '../../helpers/traffic';

const KILLS = Number(process.env['VNET_BPF_TEST_KILLS'] ?? scaled(5));
const ADDRESS = '10.77.0.1';

t.setTimeout((30_000 + KILLS * 5_000) * SLOW);

/** Of six datagrams one is dropped, one answered with its own bytes, one sent twice, one delayed. */
const MIXED = `let i = 0;
export default (frame, nic) => {
  switch (i++ % 6) {
    case 0: return 'drop';
    case 1: return frame.bytes;
    case 2: nic.inject(frame.bytes); return 'pass';
    case 3: return { delay: i % 7 };
    default: return 'pass';
  }
};`;

t.test(`${KILLS} kills under a flat-out blocking sender`, { skip: cannotRun }, async (t) => {
  const hook = ['--hook', hookFile(t, 'mixed.mjs', MIXED)];
  const args = ['--addr', `${ADDRESS}/24`, '--ring-size', '1M'];
  const slow = { VNET_BPF_TEST_POLL_DELAY_US: '1000' };
  const nic = attachedIn(t, quietNetns(t), [...args, ...hook], 'vnet0', slow);
  withoutArp(nic, ADDRESS);
  const where = [nic.iface, '--netns', nic.netns];
  const { sender, receiver } = await startFlood(t, nic.netns, { address: ADDRESS, bytes: 200, flows: 3 });
  const random = Random.announced(t);
  const wrong: string[] = [];
  for (let kill = 1; kill <= KILLS; kill++) {
    await new Promise((resolve) => setTimeout(resolve, random.between(20, 250)));
    if (!(await killController(nic))) wrong.push(`kill ${kill}: it does not say crashed`);
    cliOk(['attach', ...where, ...args, ...(random.chance(70) ? hook : []), '--daemon'], slow);
    process.kill(sender.pid, 'SIGSTOP');
    const stats = await nic.atRest();
    const { in: entered, out } = frameAccounting(stats);
    if (entered !== out) wrong.push(`kill ${kill}: ${entered} in, ${out} out`);
    process.kill(sender.pid, 'SIGCONT');
  }
  const sent = await sender.stop();
  const after = await nic.atRest();
  await receiver.stop();
  const { dropped, injected, errors } = after.hooks;
  t.comment(`${sent.sent} sent, ${after.rx.packets} received, ${dropped} dropped, ${injected} injected`);
  t.same(wrong, []);
  t.ok(dropped > 0 && injected > 0 && errors === 0);
  t.equal(after.held.dropped, 0);
  t.equal(after.queue.stopped, false);
  t.equal(cli(['stats', ...where, '--check']).status, 0, 'stats --check agrees');
});
