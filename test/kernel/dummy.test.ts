// SPDX-License-Identifier: MIT
/** The dummy back end: the same loop on an interface without a peer. TX is in ip -s link, RX in stats. */
import t from 'tap';

import { attached, attachedIn, checkAccounting, cli, cliOk, SLOW } from '../helpers/cli';
import { controllerPid, eventually, listed, lives } from '../helpers/controller';
import { withoutDummy } from '../helpers/dummy';
import { kernelCounters, ok, okIn, quietNetns, testNetns } from '../helpers/netns';
import { scaled, tcpRun, udpRun, withoutArp } from '../helpers/traffic';

t.setTimeout(300_000 * SLOW);
const skip = withoutDummy();

t.test('ping, TCP and UDP through a dummy', { skip }, async (t) => {
  const nic = attached(t, ['--type', 'dummy', '--addr', '10.77.0.1/24', '--addr', 'fd77::1/64']);
  t.equal(nic.stats().backend, 'dummy');
  for (const address of ['10.77.0.1', 'fd77::1']) {
    const before = kernelCounters(nic.netns, nic.iface);
    t.match(
      okIn(nic.netns, 'ping', ['-c', '4', '-i', '0.2', address]),
      /4 received, 0% packet loss/,
      `${address}: 4 of 4`,
    );
    t.ok(kernelCounters(nic.netns, nic.iface).tx - before.tx >= 8, `${address}: requests and replies went through it`);
  }
  const { sent, received } = await tcpRun(t, nic.netns, '10.77.0.1', scaled(200 << 20));
  t.equal(received.sha256, sent.sha256, 'TCP: what arrived is what was sent');
  t.ok(nic.stats().queue.largestFrame > 9000, 'superpackets crossed whole');

  withoutArp(nic, '10.77.0.1');
  const packets = scaled(50_000);
  const udp = await udpRun(t, nic.netns, { to: '10.77.0.1', packets, bytes: 512, rate: 50_000 / SLOW });
  t.equal(udp.receiver.received, packets, 'UDP: all arrived');
  t.equal(udp.receiver.outOfOrder, 0, 'UDP: in order');
  checkAccounting(t, nic, await nic.atRest());
});

t.test('a full queue refuses, and says so', { skip }, async (t) => {
  const slow = { VNET_BPF_TEST_POLL_DELAY_US: String(5000 * SLOW) };
  const nic = attachedIn(
    t,
    quietNetns(t),
    ['--type', 'dummy', '--addr', '10.77.0.1/24', '--ring-size', '256K'],
    'vnet0',
    slow,
  );
  withoutArp(nic, '10.77.0.1');
  const packets = 20_000;
  const { sender, receiver } = await udpRun(t, nic.netns, { to: '10.77.0.1', packets, bytes: 64, recvErr: true });
  const stats = await nic.atRest();
  t.ok(stats.queue.stops > 0, 'the queue stopped');
  t.equal(receiver.received + stats.refused.full, packets, 'every packet was received or counted as refused');
  t.equal(sender.enobufs, stats.refused.full, 'the sender was told of each');
  checkAccounting(t, nic, await nic.atRest());
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
  checkAccounting(t, nic, await nic.atRest());
  cliOk(['detach', 'd0', '--netns', netns]);
  t.equal(state(), before, 'everything on it is as before');
});

/** Settings of an existing dummy that detach could restore. */
const settings = (netns: string, iface: string): string =>
  ok('ip', ['-n', netns, '-d', 'addr', 'show', 'dev', iface]) +
  okIn(
    netns,
    'sysctl',
    ['accept_local', 'rp_filter'].map((name) => `net.ipv4.conf.${iface}.${name}`),
  );

/** A d0 of another user, as different as possible from one that attach found down and without addresses. */
function makeAnother(netns: string): void {
  ok('ip', ['-n', netns, 'link', 'add', 'd0', 'type', 'dummy']);
  ok('ip', ['-n', netns, 'link', 'set', 'd0', 'up', 'group', '5']);
  ok('ip', ['-n', netns, 'addr', 'add', '10.78.0.1/24', 'dev', 'd0']);
  okIn(netns, 'sysctl', ['-w', 'net.ipv4.conf.d0.accept_local=1', 'net.ipv4.conf.d0.rp_filter=2']);
}

t.test('an existing dummy that is deleted: another that gets its name is left alone', { skip }, async (t) => {
  const netns = quietNetns(t);
  ok('ip', ['-n', netns, 'link', 'add', 'd0', 'type', 'dummy']);
  attachedIn(t, netns, ['--addr', '10.78.0.1/24'], 'd0');
  const pid = controllerPid(netns, 'd0');
  // It does not notice before the other one exists.
  process.kill(pid, 'SIGSTOP');
  ok('ip', ['-n', netns, 'link', 'del', 'd0']);
  makeAnother(netns);
  const before = settings(netns, 'd0');
  process.kill(pid, 'SIGCONT');
  t.ok(await eventually(() => !lives(pid) && !listed(netns, 'd0')), 'the attachment ends');
  t.equal(settings(netns, 'd0'), before, 'the other is as it was');
});

for (const was of ['there before', 'made by attach'] as const) {
  t.test(
    `a dummy that was ${was}, renamed after a crash: detach finds it, and leaves another that got its name alone`,
    { skip },
    async (t) => {
      const netns = quietNetns(t);
      const isTaken = was === 'there before';
      if (isTaken) ok('ip', ['-n', netns, 'link', 'add', 'd0', 'type', 'dummy']);
      const addresses = ok('ip', ['-n', netns, '-br', 'addr', 'show']);
      attachedIn(t, netns, ['--type', 'dummy', '--addr', '10.78.0.1/24'], 'd0');
      process.kill(controllerPid(netns, 'd0'), 'SIGKILL');
      ok('ip', ['-n', netns, 'link', 'set', 'd0', 'name', 'd1']);
      makeAnother(netns);
      const before = settings(netns, 'd0');
      cliOk(['detach', 'd0', '--netns', netns]);
      t.equal(settings(netns, 'd0'), before, 'the other is as it was');
      ok('ip', ['-n', netns, 'link', 'del', 'd0']);
      t.equal(
        ok('ip', ['-n', netns, '-br', 'addr', 'show']),
        addresses.replace(/^d0/m, 'd1'),
        isTaken ? 'ours is as before' : 'ours is gone',
      );
      if (!isTaken) return;
      t.match(settings(netns, 'd1'), /accept_local = 0\n.*rp_filter = 0\n/, 'its sysctls, too');
      t.notMatch(settings(netns, 'd1'), / group 22094 /, 'and its group');
    },
  );
}

t.test('an address that came while there was no place for the rules leaves no route behind', { skip }, async (t) => {
  const netns = quietNetns(t);
  const ip = (...args: string[]): string => ok('ip', ['-n', netns, ...args]);
  const routes = (): string => ip('route', 'show', 'table', 'all') + ip('neigh', 'show', 'nud', 'permanent');
  ip('link', 'add', 'd0', 'type', 'dummy');
  ip('link', 'set', 'd0', 'up');
  const before = routes();
  attachedIn(t, netns, ['--hairpin'], 'd0');
  const rule = ['pref', '1', 'from', '10.1.1.1', 'table', '99'];
  ip('rule', 'add', ...rule);
  ip('addr', 'add', '10.78.0.1/24', 'dev', 'd0');
  t.ok(
    await eventually(() =>
      /there is no place before the one of priority 1/.test(cliOk(['log', 'd0', '--netns', netns])),
    ),
    'the log says why it is not looped',
  );
  ip('addr', 'del', '10.78.0.1/24', 'dev', 'd0');
  cliOk(['detach', 'd0', '--netns', netns]);
  t.equal(routes(), before, 'routes and neighbours are as before');
});

t.test('hold on a dummy is refused with the reason', { skip }, async (t) => {
  const netns = testNetns(t);
  const { status, stderr } = cli([
    'attach',
    'vnet0',
    '--netns',
    netns,
    '--type',
    'dummy',
    '--when-full',
    'hold',
    '--daemon',
  ]);
  t.equal(status, 1);
  t.match(stderr, /a dummy has no place where frames could wait/);
  t.equal(ok('ip', ['-n', netns, '-br', 'link']).trim().split('\n').length, 1, 'nothing was made');
});
