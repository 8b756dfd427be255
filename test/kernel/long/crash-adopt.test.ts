// SPDX-License-Identifier: MIT
/**
 * The controller is killed again and again under load and another one takes over: the sender
 * notices nothing but a pause. VNET_BPF_TEST_KILLS=50 for the full run.
 */
import t, { type Test } from 'tap';

import type { AttachmentDescription } from '../../../src/cli/list';
import { frameAccounting, readStats, type Stats } from '../../../src/datapath/stats';
import {
  attachmentOf,
  attachedIn,
  cannotRun,
  checkAccounting,
  cli,
  cliOk,
  SLOW,
  type Attached,
} from '../../helpers/cli';
import { eventually, lives } from '../../helpers/controller';
import { checkReceived, startFlood } from '../../helpers/flood';
import { LOOP_RULES } from '../../helpers/looped-rules';
import { ok, okIn, quietNetns } from '../../helpers/netns';
import { Random } from '../../helpers/random';
import { scaled, withoutArp } from '../../helpers/traffic';

const KILLS = Number(process.env['VNET_BPF_TEST_KILLS'] ?? scaled(5));
const ADDRESS = '10.77.0.1';
/** The poller is slower than the sender, so there are always frames in the ring when it is killed. */
const SLOW_POLLER = { VNET_BPF_TEST_POLL_DELAY_US: '1000' };

t.setTimeout((30_000 + KILLS * 5_000) * SLOW);

/** Counters that never decrease. */
const counters = ({ tx, rx, queue, held, poll, refused }: Stats): Record<string, number> => ({
  tx: tx.packets,
  txBytes: tx.bytes,
  rx: rx.packets,
  rxBytes: rx.bytes,
  stops: queue.stops,
  wakes: queue.wakes,
  held: held.total,
  grants: held.grants,
  polls: poll.polls,
  sleeps: poll.sleeps,
  refused: refused.full,
});

const decreased = (before: Stats, after: Stats): string[] => {
  const now = counters(after);
  return Object.entries(counters(before))
    .filter(([name, value]) => (now[name] ?? 0) < value)
    .map(([name, value]) => `${name}: ${value} -> ${now[name]}`);
};

/** Lets the sender pause until nothing is in flight; returns what does not balance then, or null. */
async function imbalance(nic: Attached, sender: number): Promise<string | null> {
  process.kill(sender, 'SIGSTOP');
  try {
    const stats = await nic.atRest();
    const sums = frameAccounting(stats);
    const { queue, held } = stats;
    if (queue.packets > 0 || held.now > 0)
      return `${queue.packets} frames in the ring and ${held.now} held do not come out`;
    return sums.balanced ? null : `in ${sums.in}, out ${sums.out}`;
  } finally {
    process.kill(sender, 'SIGCONT');
  }
}

/** Kills the controller and attaches again, as often as asked; returns everything that went wrong. */
async function killAgainAndAgain(
  t: Test,
  nic: Attached,
  args: readonly string[],
  kills: number,
  sender: number,
): Promise<string[]> {
  const where = [nic.iface, '--netns', nic.netns];
  const random = Random.announced(t);
  const wrong: string[] = [];
  const look = (): Stats => readStats(attachmentOf(nic));
  let { pid } = attachmentOf(nic);
  let last = look();
  for (let kill = 1; kill <= kills; kill++) {
    await new Promise((resolve) => setTimeout(resolve, random.between(0, 250)));
    process.kill(pid, 'SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, random.between(1, 50)));
    let crashed = look();
    for (const end = Date.now() + 2000 * SLOW; crashed.state !== 'crashed' && Date.now() < end; crashed = look()) {
      await new Promise((resolve) => setTimeout(resolve, 5)); // a process takes its time to die
    }
    if (crashed.state !== 'crashed') wrong.push(`kill ${kill}: the state is ${crashed.state}`);
    wrong.push(...decreased(last, crashed).map((what) => `kill ${kill}: ${what}`));
    // With and without the address: an adoption may repeat options that are in effect already.
    const again = [
      'attach',
      ...where,
      '--daemon',
      '--json',
      ...(random.chance(50) ? [] : ['--addr', `${ADDRESS}/24`]),
      ...args,
    ];
    const adopted = JSON.parse(cliOk(again, SLOW_POLLER)) as AttachmentDescription;
    if (adopted.state !== 'running' || adopted.pid === pid)
      wrong.push(`attach ${kill}: ${adopted.state}, process ${adopted.pid} after ${pid}`);
    pid = adopted.pid;
    last = look();
    wrong.push(...decreased(crashed, last).map((what) => `attach ${kill}: ${what}`));
    const unbalanced = await imbalance(nic, sender);
    if (unbalanced) wrong.push(`attach ${kill}: the accounting does not balance: ${unbalanced}`);
  }
  return wrong;
}

/** The entry of `list` for our interface, and the state of the whole machine after the detach. */
const listed = ({ netns }: Attached): AttachmentDescription[] =>
  (JSON.parse(cliOk(['list', '--json'])) as AttachmentDescription[]).filter((entry) => entry.netns === netns);

function checkNoResidue(t: Test, nic: Attached, id: string): void {
  cliOk(['detach', nic.iface, '--netns', nic.netns]);
  t.same(listed(nic), [], 'list does not know it any more');
  t.equal(
    ok('sh', ['-c', `ls -d /run/vnet-bpf/${id} /sys/fs/bpf/vnet-bpf/${id} 2>/dev/null || true`]),
    '',
    'neither state nor pins are left',
  );
  t.notMatch(ok('ip', ['-n', nic.netns, '-o', 'link']), nic.iface, 'the interface is gone');
  t.notMatch(ok('ip', ['-n', nic.netns, 'rule']), LOOP_RULES, 'so are its rules');
  const devices = ok('sh', [
    '-c',
    'if [ -e /run/vnet-bpf/netns ]; then nsenter --net=/run/vnet-bpf/netns ip -o link; fi',
  ]);
  t.notMatch(devices, id, 'and its devices in the peer namespace');
}

/** Kills under a flat-out blocking sender, followed by a check of the frame accounting. */
const underLoad = async (t: Test, args: readonly string[], kills: number, flows: number): Promise<void> => {
  const nic = attachedIn(t, quietNetns(t), ['--addr', `${ADDRESS}/24`, ...args], 'vnet0', SLOW_POLLER);
  withoutArp(nic, ADDRESS);
  const { id } = attachmentOf(nic);
  const before = nic.stats();
  const { sender, receiver } = await startFlood(t, nic.netns, { address: ADDRESS, bytes: 200, flows });
  t.same(
    await killAgainAndAgain(t, nic, args, kills, sender.pid),
    [],
    'each time: crashed, adopted, no counter went back, and the accounting balances',
  );
  const sent = await sender.stop();
  const after = await nic.atRest();
  const received = await receiver.stop();
  t.comment(
    `${sent.sent} sent in ${sent.seconds.toFixed(1)} s; ${after.held.total} held, ${after.queue.stops} stops, ${after.held.grants} grants`,
  );
  checkReceived(t, received, sent.sent);
  t.equal(after.tx.packets - before.tx.packets, sent.sent, 'TX counts them');
  t.ok(after.held.total > 0, 'frames were held');
  t.equal(after.held.dropped, 0, 'none was lost in the waiting room');
  t.equal(after.held.again, 0, 'none went round it twice');
  t.equal(after.queue.stopped, false, 'the queue is awake');
  t.equal(after.queue.usedBytes, 0, 'the ring is empty');
  checkAccounting(t, nic, after);
  t.equal(cli(['stats', nic.iface, '--netns', nic.netns, '--check']).status, 0, 'stats --check agrees');
  checkNoResidue(t, nic, id);
};

t.test(`hold: ${KILLS} kills under a flat-out blocking sender`, { skip: cannotRun }, (t) =>
  underLoad(t, ['--ring-size', '1M'], KILLS, 3),
);

const FEWER = Math.ceil(KILLS / 3);
t.test(`two queues: ${FEWER} kills`, { skip: cannotRun }, (t) =>
  underLoad(t, ['--ring-size', '256K', '--queues', '2'], FEWER, 16),
);

t.test('drop: while nobody drains, senders are refused', { skip: cannotRun }, async (t) => {
  const args = ['--ring-size', '256K', '--when-full', 'drop'];
  const nic = attachedIn(t, quietNetns(t), ['--addr', `${ADDRESS}/24`, ...args], 'vnet0', SLOW_POLLER);
  withoutArp(nic, ADDRESS);
  const { id } = attachmentOf(nic);
  const before = nic.stats();
  const { sender, receiver } = await startFlood(t, nic.netns, {
    address: ADDRESS,
    bytes: 200,
    flows: 3,
    rate: 100_000,
  });
  t.same(
    await killAgainAndAgain(t, nic, args, Math.min(KILLS, 3), sender.pid),
    [],
    'each time: crashed, adopted, no counter went back, and the accounting balances',
  );
  const sent = await sender.stop();
  const after = await nic.atRest();
  const received = await receiver.stop();
  t.comment(`${sent.sent} offered, ${received.received} received, ${after.refused.full} refused`);
  t.equal(after.tx.packets - before.tx.packets, sent.sent, 'TX counts every one that was offered');
  t.ok(after.refused.full > 0, 'some were refused');
  t.equal(received.received + after.refused.full, sent.sent, 'received + refused = offered, to the packet');
  t.same(
    { repeated: received.repeated, overtaken: received.overtaken },
    { repeated: 0, overtaken: 0 },
    'none twice, none overtaken',
  );
  t.equal(after.queue.stopped, false, 'the queue is awake');
  checkAccounting(t, nic, after);
  checkNoResidue(t, nic, id);
});

t.test('options of the attach that adopts', { skip: cannotRun }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ['--addr', `${ADDRESS}/24`, '--low-watermark', '33.333%']);
  const { pid, id } = attachmentOf(nic);
  process.kill(pid, 'SIGKILL');
  t.ok(await eventually(() => !lives(pid)), 'its controller is dead');
  const again = (...args: string[]): ReturnType<typeof cli> =>
    cli(['attach', nic.iface, '--netns', nic.netns, '--daemon', ...args]);
  t.match(
    again('--low-watermark', '30%', '--mtu', '9000'),
    { status: 1, stderr: /left it with --low-watermark 33\.333%\n/ },
    'what the programs have cannot change',
  );
  const mac = '02:00:00:00:00:77';
  t.equal(
    again('--low-watermark', '33.333%', '--mtu', '9000', '--mac', mac).status,
    0,
    'the same, and others that can',
  );
  t.equal(attachmentOf(nic).id, id, 'it is adopted');
  const [link] = JSON.parse(ok('ip', ['-n', nic.netns, '-json', 'link', 'show', nic.iface])) as [object];
  t.match(link, { mtu: 9000, address: mac }, 'they take effect');
  t.match(okIn(nic.netns, 'ping', ['-c', '1', '-s', '8000', '-W', '5', ADDRESS]), / 1 received/, 'and it loops');
});

t.test('list, stats and detach know a crashed one', { skip: cannotRun }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ['--addr', `${ADDRESS}/24`]);
  const { id, pid } = attachmentOf(nic);
  process.kill(pid, 'SIGKILL');
  await new Promise((resolve) => setTimeout(resolve, 100 * SLOW));
  t.match(listed(nic), [{ state: 'crashed', pid }], 'list says crashed, and which process it was');
  t.equal(nic.stats().state, 'crashed', 'stats says crashed');
  checkNoResidue(t, nic, id);
});
