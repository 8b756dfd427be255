// SPDX-License-Identifier: MIT
/** `vnet-bpf impair` with the kernel's own netem: each impairment does what it says, and no frame is unaccounted for. */
import * as fs from 'node:fs';

import t, { type Test } from 'tap';

import { ControlClient } from '../../src/controller/control-socket';
import { law, type Stats } from '../../src/datapath/stats';
import { HOST_PEER_NETNS } from '../../src/state/paths';
import { controlSocket, logFile } from '../../src/state/store';
import { attachedIn, attachmentOf, cliOk, SLOW, type Attached } from '../helpers/cli';
import { eventually } from '../helpers/controller';
import { ADDRESSES, atRest, delay, exchange, look, WAIT_MS } from '../helpers/loop';
import { kernelCounters, ok, okIn, quietNetns } from '../helpers/netns';
import { OwnUdp } from '../helpers/own-sockets';
import { withoutQdisc } from '../helpers/qdisc';
import { cannotLoop } from '../helpers/supported';

t.setTimeout(300_000 * SLOW);

const ARGUMENTS = ['--addr', '10.77.0.1/24', '--ring-size', '256K'];
const COUNT = 200;

/** What the command asks for; it takes long to start. */
async function impair(nic: Attached, words: string | null): Promise<void> {
  using client = await ControlClient.connect(controlSocket(attachmentOf(nic).id));
  await client.ask({ order: 'impair', words: words?.split(' ') ?? null }, 10_000 * SLOW);
}

/** Sends datagrams; how many came back, and the reading at rest afterwards, which has to balance. */
async function pass(t: Test, nic: Attached, udp: OwnUdp): Promise<{ received: number; stats: Stats }> {
  const before = udp.received;
  await exchange(udp, udp.sent + COUNT);
  const stats = await atRest(nic);
  await delay(10 * SLOW);
  udp.take();
  const sums = law(stats);
  t.equal(sums.out, sums.in, 'the frame accounting balances');
  t.equal(stats.refused.backlog + stats.refused.invalid, 0, 'and nothing is put down to something else');
  // A neighbour's frame may pass between the two readings.
  const counts = (): { kernel: object; ours: object } => {
    const ours = look(nic);
    const { tx, rx } = kernelCounters(nic.netns, nic.iface);
    return { kernel: { tx, rx }, ours: { tx: ours.tx.packets, rx: ours.rx.packets } };
  };
  let both = counts();
  for (let tries = 0; tries < 5 && JSON.stringify(both.kernel) !== JSON.stringify(both.ours); tries++) {
    await delay(20 * SLOW);
    both = counts();
  }
  t.same(both.kernel, both.ours, 'TX is what was sent, RX what came back');
  return { received: udp.received - before, stats };
}

t.test('impaired', { skip: cannotLoop() || withoutQdisc('netem') }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ARGUMENTS);
  const udp = new OwnUdp(t, nic.netns, ADDRESSES[0], 200);
  // The address is known: whoever loses ARP loses everything.
  okIn(nic.netns, 'ping', ['-q', '-c', '1', '-W', String(2 * SLOW), ADDRESSES[0]]);
  let last = (await atRest(nic)).impair;

  await t.test('delay', async (t) => {
    t.match(cliOk(['impair', nic.iface, '--netns', nic.netns, 'delay', '150ms']), /^vnet0 is impaired: delay 150ms$/m);
    const output = okIn(nic.netns, 'ping', ['-c', '1', '-W', String(2 * SLOW), ADDRESSES[0]]);
    const took = Number(/time=([\d.]+)/.exec(output)?.[1] ?? NaN);
    t.ok(took >= 300, `request and reply are delayed by 150 ms each: ${took} ms`);
    const { received } = await pass(t, nic, udp);
    t.equal(received, COUNT, 'and nothing is lost');
  });

  await t.test('loss', async (t) => {
    await impair(nic, 'loss 30%');
    const { received, stats } = await pass(t, nic, udp);
    t.ok(received < COUNT && received > 0, `${received} of ${COUNT} came back`);
    t.equal(stats.impair.lost - last.lost, COUNT - received, 'the others are counted as lost');
    last = stats.impair;
  });

  await t.test('duplicate', async (t) => {
    await impair(nic, 'duplicate 30%');
    const { received, stats } = await pass(t, nic, udp);
    t.ok(received > COUNT, `${received} for ${COUNT} came back`);
    t.same({ lost: stats.impair.lost - last.lost, duplicated: stats.impair.duplicated - last.duplicated }, { lost: 0, duplicated: received - COUNT }, 'counted as duplicated');
    last = stats.impair;
  });

  await t.test('a rate with a short queue', async (t) => {
    // Slower than an emulated machine sends.
    await impair(nic, 'rate 500kbit limit 20');
    const { received, stats } = await pass(t, nic, udp);
    t.equal(received, COUNT, 'what it has no room for waits in the ring: all came back');
    t.ok(stats.reinject.retries > 0);
    t.same({ ...stats.impair, waiting: 0 }, last, 'none is lost or duplicated');
  });

  await t.test('a crash', async (t) => {
    const { pid, id } = attachmentOf(nic);
    process.kill(pid, 'SIGKILL');
    for (const end = Date.now() + WAIT_MS; look(nic).state !== 'crashed' && Date.now() < end; ) await delay(5);
    cliOk(['attach', nic.iface, '--netns', nic.netns, '--daemon', ...ARGUMENTS]);
    t.equal(attachmentOf(nic).id, id, 'it is adopted');
    t.match(cliOk(['impair', nic.iface, '--netns', nic.netns, '--show']), 'limit 20', 'the impairment is still there');
    t.equal((await pass(t, nic, udp)).received, COUNT);
  });

  await t.test('cleared', async (t) => {
    await impair(nic, null);
    const { received, stats } = await pass(t, nic, udp);
    t.equal(received, COUNT, 'all came back');
    t.same(stats.impair, last, 'what was counted stays');
  });
});

t.test('an impairment that somebody removes is put back', { skip: cannotLoop() || withoutQdisc('netem') }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ARGUMENTS);
  await impair(nic, 'delay 5ms');
  const { id, peer } = attachmentOf(nic);
  ok('nsenter', [`--net=${HOST_PEER_NETNS}`, '--', 'tc', 'qdisc', 'del', 'dev', peer?.name ?? '', 'root']);
  const log = (): string => fs.readFileSync(logFile(id), 'utf8');
  t.ok(await eventually(() => log().includes('somebody removed the impairment of vnet0: put back')), 'the log');
  t.match(ok('nsenter', [`--net=${HOST_PEER_NETNS}`, '--', 'tc', 'qdisc']), /netem .* delay 5ms/);
  const sums = law(await atRest(nic));
  t.equal(sums.out, sums.in, 'the frame accounting balances');
});
