// SPDX-License-Identifier: MIT
/** The dummy back end: the same loop on an interface without a peer. TX is in ip -s link, RX in stats. */
import t from 'tap';

import { attached, attachedIn, cli, cliOk, SLOW, type Attached } from '../helpers/cli';
import { withoutDummy } from '../helpers/dummy';
import { kernelCounters, ok, okIn, testNetns } from '../helpers/netns';
import { scaled, startTraffic, freePort, udpRun, withoutArp } from '../helpers/traffic';
import { law } from '../../src/datapath/stats';
import type { Test } from 'tap';

t.setTimeout(120_000 * SLOW);
const skip = withoutDummy();

async function checkDummy(t: Test, nic: Attached): Promise<void> {
  const stats = await nic.atRest();
  const sums = law(stats);
  t.equal(sums.out, sums.in, 'the law of the loop balances');
  t.equal(stats.queue.wakes, stats.queue.stops, 'as many wakes as stops');
  t.equal(stats.poll.lostWakeups, 0, 'no wake-up was lost');
  const refused = Object.values(stats.refused).reduce((a, b) => a + b, 0);
  t.equal(kernelCounters(nic.netns, nic.iface).tx, stats.tx.packets - refused, 'ip -s link: TX is what was accepted');
}

t.test('ping, TCP and UDP through a dummy', { skip }, async (t) => {
  const nic = attached(t, ['--type', 'dummy', '--addr', '10.77.0.1/24', '--addr', 'fd77::1/64']);
  t.equal(nic.stats().backend, 'dummy');
  for (const address of ['10.77.0.1', 'fd77::1']) {
    const before = kernelCounters(nic.netns, nic.iface);
    t.match(okIn(nic.netns, 'ping', ['-c', '4', '-i', '0.2', address]), /4 received, 0% packet loss/, `${address}: 4 of 4`);
    t.ok(kernelCounters(nic.netns, nic.iface).tx - before.tx >= 8, `${address}: requests and replies went through it`);
  }
  const port = freePort();
  const receiver = startTraffic(t, nic.netns, 'tcp-receive', { at: '10.77.0.1', port });
  await receiver.ready;
  const sent = await startTraffic(t, nic.netns, 'tcp-send', { to: '10.77.0.1', port, bytes: scaled(200 << 20) }).result;
  t.equal((await receiver.result).sha256, sent.sha256, 'TCP: what arrived is what was sent');
  t.ok(nic.stats().queue.largestFrame > 9000, 'superpackets crossed whole');

  withoutArp(nic, '10.77.0.1');
  const packets = scaled(50_000);
  const udp = await udpRun(t, nic.netns, { to: '10.77.0.1', packets, bytes: 512, rate: 50_000 / SLOW });
  t.equal(udp.receiver.received, packets, 'UDP: all arrived');
  t.equal(udp.receiver.outOfOrder, 0, 'UDP: in order');
  await checkDummy(t, nic);
});

t.test('a full queue refuses, and says so', { skip }, async (t) => {
  process.env['VNET_BPF_TEST_POLL_DELAY_US'] = '5000';
  t.teardown(() => delete process.env['VNET_BPF_TEST_POLL_DELAY_US']);
  const nic = attached(t, ['--type', 'dummy', '--addr', '10.77.0.1/24', '--ring-size', '256K']);
  withoutArp(nic, '10.77.0.1');
  const packets = scaled(20_000);
  const { sender, receiver } = await udpRun(t, nic.netns, { to: '10.77.0.1', packets, bytes: 64, recvErr: true });
  const stats = await nic.atRest();
  t.ok(stats.queue.stops > 0, 'the queue stopped');
  t.equal(receiver.received + stats.refused.full, packets, 'every packet was received or counted as refused');
  t.equal(sender.enobufs, stats.refused.full, 'the sender was told of each');
  await checkDummy(t, nic);
});

t.test('an existing dummy is used, and left as it was', { skip }, async (t) => {
  const netns = testNetns(t);
  // Going up for the first time gives an interface its qdisc and queue length for good.
  const state = (): string =>
    ok('ip', ['-n', netns, '-d', 'addr', 'show', 'dev', 'd0']).replace(/ qlen \d+| qdisc \w+/g, '') +
    okIn(netns, 'sysctl', ['net.ipv4.conf.d0.accept_local', 'net.ipv4.conf.d0.rp_filter']) +
    ok('ip', ['-n', netns, 'rule']);
  ok('ip', ['-n', netns, 'link', 'add', 'd0', 'type', 'dummy']);
  const before = state();
  const nic = attachedIn(t, netns, ['--addr', '10.78.0.1/24'], 'd0');
  t.equal(nic.stats().backend, 'dummy');
  t.match(okIn(netns, 'ping', ['-c', '2', '-i', '0.2', '10.78.0.1']), /2 received, 0% packet loss/);
  await checkDummy(t, nic);
  cliOk(['detach', 'd0', '--netns', netns]);
  t.equal(state(), before, 'everything on it is as before');
});

t.test('hold on a dummy is refused with the reason', { skip }, async (t) => {
  const netns = testNetns(t);
  const { status, stderr } = cli(['attach', 'vnet0', '--netns', netns, '--type', 'dummy', '--when-full', 'hold', '--daemon']);
  t.equal(status, 1);
  t.match(stderr, /a dummy has no place where frames could wait/);
  t.equal(ok('ip', ['-n', netns, '-br', 'link']).trim().split('\n').length, 1, 'nothing was made');
});
