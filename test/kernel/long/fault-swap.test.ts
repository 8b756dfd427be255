// SPDX-License-Identifier: MIT
/**
 * Rules change places under a flat-out sender, controllers are killed under it, and rules of all kinds see all that it
 * sends: the accounting balances to the frame. VNET_BPF_TEST_SWAPS=1000, VNET_BPF_TEST_KILLS=50 and
 * VNET_BPF_TEST_FRAMES=1000000 for the full run.
 */
import t from 'tap';
import { attach, frameAccounting } from 'vnet-bpf';

import { readStats } from '../../../src/datapath/stats';
import { attachedIn, attachmentOf, cannotRun, cliOk, SLOW } from '../../helpers/cli';
import { eventually, killController } from '../../helpers/controller';
import { startFlood } from '../../helpers/flood';
import { delay } from '../../helpers/loop';
import { quietNetns } from '../../helpers/netns';
import { OwnTcpFlow } from '../../helpers/own-sockets';
import { Random } from '../../helpers/random';
import { scaled, withoutArp } from '../../helpers/traffic';

const SWAPS = Number(process.env['VNET_BPF_TEST_SWAPS'] ?? scaled(30));
const KILLS = Number(process.env['VNET_BPF_TEST_KILLS'] ?? scaled(3));
const FRAMES = Number(process.env['VNET_BPF_TEST_FRAMES'] ?? scaled(10_000));
const ADDRESS = '10.77.0.1';

t.setTimeout((60_000 + SWAPS * 300 + KILLS * 5_000 + FRAMES) * SLOW);

const RULES = [
  'udp: loss 10%',
  'udp: delay 3ms jitter 3ms',
  'udp: delay 1ms jitter 1ms unordered; udp every 5: duplicate; udp every 7: drop',
  'udp probability 5%: reorder 3 within 20ms; udp probability 5%: corrupt; udp every 11: truncate 60',
  'udp: rate 200mbit queue 5ms',
  'udp: loss gemodel 1% 20%; udp every 50: cut 1ms; udp from server: unreachable',
  'tcp: drop',
];

t.test(`${SWAPS} swaps`, { skip: cannotRun }, async (t) => {
  const netns = quietNetns(t);
  await using nic = await attach('vnet0', { netns, addresses: [`${ADDRESS}/24`] });
  withoutArp({ netns, iface: 'vnet0' }, ADDRESS);
  const { sender, receiver } = await startFlood(t, netns, { address: ADDRESS, bytes: 200, flows: 3 });
  const random = Random.announced(t);
  const wrong: string[] = [];
  for (let swap = 0; swap < SWAPS; swap++) {
    await nic.faults(swap % 20 === 19 ? null : random.pick(RULES), { seed: swap });
    await delay(random.between(0, 30));
    if (swap % 10 !== 5) continue;
    await nic.faults('udp porty 3: drop').then(
      () => wrong.push('a wrong rule was taken'),
      () => undefined,
    );
  }
  await nic.faults(null);
  const sent = await sender.stop();
  t.ok(
    await eventually(
      () => frameAccounting(nic.stats()).balanced && nic.stats().hooks.waiting === 0 && nic.stats().queue.packets === 0,
      10_000,
    ),
    'the frame accounting balances',
  );
  await receiver.stop();
  const { hooks } = nic.stats();
  t.comment(`${sent.sent} sent, ${JSON.stringify(hooks)}`);
  t.same(wrong, []);
  t.match(hooks, { lost: 0, errors: 0, waiting: 0 });
  t.ok(hooks.dropped > 0 && hooks.delayed > 0 && hooks.injected > 0);
});

/** What happens to datagrams, and what does to TCP: an ICMP error would end the sender of datagrams. */
const OF_ALL_KINDS = [
  'udp: loss 1%',
  'udp every 7: drop',
  'udp: loss gemodel 0.5% 20%',
  'udp probability 10%: delay 2ms jitter 1ms unordered',
  'udp probability 5%: reorder 3 within 20ms',
  'udp every 5: duplicate',
  'udp probability 5%: corrupt',
  'udp every 11: truncate 60',
  'udp every 2000: cut 1ms',
  'udp every 10: trace 200 queue codel',
  'udp: rate 100mbit queue 1ms',
  'tcp from client nth 4: unreachable net',
  'tcp from client nth 20: reset',
];

t.test(`${FRAMES} frames through rules of all kinds`, { skip: cannotRun }, async (t) => {
  const netns = quietNetns(t);
  await using nic = await attach('vnet0', { netns, addresses: [`${ADDRESS}/24`] });
  withoutArp({ netns, iface: 'vnet0' }, ADDRESS);
  await nic.faults(OF_ALL_KINDS, { seed: 5 });
  const flow = OwnTcpFlow.start(t, netns, ADDRESS);
  const { sender, receiver } = await startFlood(t, netns, { address: ADDRESS, bytes: 200, flows: 3 });
  t.ok(await eventually(() => nic.stats().tx.packets >= FRAMES, (60_000 + FRAMES) * SLOW), `${FRAMES} frames are sent`);
  await sender.stop();
  flow.stop();
  t.ok(await eventually(() => nic.stats().queue.packets === 0, 30_000 * SLOW), 'the rules have seen them all');
  const report = await nic.faultsReport();
  await nic.faults(null); // the slow line would take long to send the frames that wait for it
  const isAtRest = (): boolean =>
    frameAccounting(nic.stats()).balanced && nic.stats().hooks.waiting === 0 && nic.stats().queue.packets === 0;
  t.ok(await eventually(isAtRest, 10_000 * SLOW), 'the frame accounting balances');
  await receiver.stop();
  const { hooks, tx } = nic.stats();
  t.comment(`${tx.packets} frames, ${JSON.stringify(hooks)}`);
  t.same(
    report?.rules.filter(({ applied }) => applied === 0).map(({ text }) => text),
    [],
    'each rule has done something',
  );
  t.match(hooks, { lost: 0, errors: 0, waiting: 0 });
});

t.test(`${KILLS} kills`, { skip: cannotRun }, async (t) => {
  const args = ['--addr', `${ADDRESS}/24`, '--ring-size', '1M'];
  const rules =
    'udp: loss 10%; udp probability 30%: delay 5ms jitter 5ms; udp every 9: duplicate; udp every 13: reorder 2';
  const nic = attachedIn(t, quietNetns(t), [...args, '--faults', rules, '--seed', '3']);
  withoutArp(nic, ADDRESS);
  const { sender, receiver } = await startFlood(t, nic.netns, { address: ADDRESS, bytes: 200, flows: 3 });
  const random = Random.announced(t);
  const wrong: string[] = [];
  for (let kill = 1; kill <= KILLS; kill++) {
    await new Promise((resolve) => setTimeout(resolve, random.between(20, 250)));
    if (!(await killController(nic))) wrong.push(`kill ${kill}: it does not say crashed`);
    const crashed = frameAccounting(readStats(attachmentOf(nic)));
    cliOk(['attach', nic.iface, '--netns', nic.netns, ...args, '--daemon']);
    process.kill(sender.pid, 'SIGSTOP');
    if (
      !(await eventually(
        () =>
          nic.stats().hooks.waiting === 0 && nic.stats().queue.packets === 0 && frameAccounting(nic.stats()).balanced,
        10_000,
      ))
    ) {
      const { in: entered, out } = frameAccounting(nic.stats());
      wrong.push(`kill ${kill}: ${entered} in, ${out} out; crashed with ${crashed.in} in, ${crashed.out} out`);
    }
    process.kill(sender.pid, 'SIGCONT');
  }
  await sender.stop();
  const stats = await nic.atRest();
  await receiver.stop();
  t.comment(JSON.stringify(stats.hooks));
  t.same(wrong, []);
  t.ok(stats.hooks.delayed > 0 && stats.hooks.dropped > 0 && stats.hooks.errors === 0);
});
