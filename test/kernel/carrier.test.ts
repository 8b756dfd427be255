// SPDX-License-Identifier: MIT
/** `vnet-bpf carrier`, and the effect `carrier` of rules: applications see NO-CARRIER, and the carrier comes back. */
import t, { type Test } from 'tap';

import { frameAccounting } from '../../src/datapath/stats';
import { Background } from '../helpers/background';
import { attachedIn, attachmentOf, cannotRun, cli, cliOk, SLOW, type Attached } from '../helpers/cli';
import { eventually, listed } from '../helpers/controller';
import { withoutDummy } from '../helpers/dummy';
import { inside, ok, quietNetns, run } from '../helpers/netns';

t.setTimeout(180_000 * SLOW);

const ADDRESS = '10.77.0.1';
const nap = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

interface LinkState {
  flags: string[];
  operstate: string;
}

const linkOf = (netns: string): LinkState =>
  (JSON.parse(ok('ip', ['-n', netns, '-j', 'link', 'show', 'dev', 'vnet0'])) as [LinkState])[0];
/** Whether applications see that the link has no carrier. */
const isOut = (netns: string): boolean => linkOf(netns).flags.includes('NO-CARRIER');
const isUp = (netns: string): boolean => !isOut(netns) && linkOf(netns).operstate === 'UP';

/** Numbers of the pings that were answered; ping waits for the last answer as long as for the next ping, 0.1 s. */
function answered(netns: string, count: number): number[] {
  const [nsenter, ...rest] = inside(netns) as [string, ...string[]];
  const { stdout } = run(nsenter, [
    ...rest,
    ...['ping', '-c', String(count), '-i', '0.1', '-W', String(SLOW), ADDRESS],
  ]);
  return [...stdout.matchAll(/icmp_seq=(\d+) ttl/g)].map(([, number]) => Number(number));
}

/** Whether three pings are answered, each of which is waited for. */
const answers = (netns: string): boolean => [1, 2, 3].every(() => answered(netns, 1).length === 1);

const carrier = (nic: Attached, ...args: string[]): string =>
  cliOk(['carrier', nic.iface, ...args, '--netns', nic.netns]);
const logOf = (nic: Attached): string => cliOk(['log', nic.iface, '--netns', nic.netns]);

async function balances(t: Test, nic: Attached): Promise<void> {
  t.ok(await eventually(() => frameAccounting(nic.stats()).balanced, 10_000), 'the frame accounting balances');
}

t.test('down until it is restored', { skip: cannotRun }, async (t) => {
  const netns = quietNetns(t);
  const nic = attachedIn(t, netns, ['--addr', `${ADDRESS}/24`]);
  t.ok(await eventually(() => isUp(netns)));
  t.match(carrier(nic), 'vnet0 has its carrier');
  const watcher = Background.start(t, netns, 'ip', ['monitor', 'link']);
  await nap(200 * SLOW);
  t.match(carrier(nic, 'down'), /vnet0 has no carrier, until vnet-bpf carrier vnet0 --netns \w+ up/);
  t.ok(await eventually(() => isOut(netns)), 'NO-CARRIER');
  t.ok(linkOf(netns).flags.includes('UP'), 'the interface itself stays up');
  await watcher.says(/vnet0.*NO-CARRIER/);
  t.same(answered(netns, 3), [], 'nothing passes');
  t.equal(listed(netns, 'vnet0')?.carrier, 'down');
  t.match(cliOk(['list']), /vnet0 +\w+ +running, no carrier /);
  t.match(cliOk(['stats', 'vnet0', '--netns', netns]), /carrier +down +until vnet-bpf carrier restores it/);
  t.match(carrier(nic), 'vnet0 has no carrier, until vnet-bpf carrier restores it');
  t.same(JSON.parse(carrier(nic, '--json')), { interface: 'vnet0', netns, carrier: 'down', leftMs: null });
  await nap(2500 * SLOW);
  t.ok(isOut(netns), 'the supervisor leaves it alone');
  t.match(nic.stats().refused, { down: 3 }, 'what was sent meanwhile is refused');

  ok('nsenter', ['--net=/run/vnet-bpf/netns', '--', 'ip', 'link', 'set', `vp${attachmentOf(nic).id}`, 'up']);
  t.ok(await eventually(() => /somebody set the peer of vnet0 up: put back/.test(logOf(nic))), 'and keeps it down');
  t.ok(await eventually(() => isOut(netns)));

  t.match(carrier(nic, 'up'), 'vnet0 has its carrier');
  t.ok(await eventually(() => isUp(netns)), 'it is back');
  t.ok(answers(netns), 'it answers');
  t.match(carrier(nic, 'up'), 'vnet0 has its carrier', 'once more does nothing');
  t.equal(listed(netns, 'vnet0')?.carrier, 'up');
  t.match(
    logOf(nic),
    /vnet0 has lost its carrier, until vnet-bpf carrier restores it\n[^]*vnet0 has its carrier again\n/,
  );
  t.notMatch(logOf(nic), /peer of vnet0 down/);
  await balances(t, nic);
});

t.test('down for a time, and again and again under load', { skip: cannotRun }, async (t) => {
  const netns = quietNetns(t);
  const nic = attachedIn(t, netns, ['--addr', `${ADDRESS}/24`]);
  const begin = performance.now();
  t.match(carrier(nic, 'down', '--for', '1500ms'), 'vnet0 has no carrier, for 1500ms');
  t.ok(performance.now() - begin < 1500 * SLOW || isOut(netns), 'the command does not wait');
  t.ok(await eventually(() => isOut(netns), 1000));
  const { leftMs } = JSON.parse(carrier(nic, '--json')) as { leftMs: number | null };
  t.ok(leftMs === null || leftMs <= 1500, `${leftMs} ms are left`);
  t.ok(await eventually(() => isUp(netns)), 'it comes back although the command has ended');
  const took = performance.now() - begin;
  t.ok(took >= 1500, `after ${took.toFixed()} ms`);
  carrier(nic, 'down');
  carrier(nic, 'down', '--for', '100ms');
  t.ok(await eventually(() => isUp(netns)), 'another order takes the place of the one before');
  carrier(nic, 'down', '--for', '3600s');
  carrier(nic, 'up');
  t.ok(await eventually(() => isUp(netns)));

  const flood = Background.start(t, netns, 'ping', ['-q', '-i', '0.002', ADDRESS]);
  for (let i = 0; i < 10; i++) {
    carrier(nic, 'down', '--for', '50ms');
    await nap(120 * SLOW);
  }
  await flood.stop('SIGKILL');
  t.ok(await eventually(() => isUp(netns)));
  t.ok(answers(netns), 'it answers');
  await nic.atRest();
  await balances(t, nic);
  t.ok(nic.stats().refused.down > 0, `${nic.stats().refused.down} frames met a link without a carrier`);
  t.equal(nic.stats().poll.lostWakeups, 0);
});

t.test('after a crash it is as the order says', { skip: cannotRun }, async (t) => {
  const netns = quietNetns(t);
  const nic = attachedIn(t, netns, ['--addr', `${ADDRESS}/24`]);
  const crash = async (): Promise<void> => {
    process.kill(attachmentOf(nic).pid, 'SIGKILL');
    t.ok(await eventually(() => listed(netns, 'vnet0')?.state === 'crashed'));
  };
  const adopt = (): string => cliOk(['attach', 'vnet0', '--netns', netns, '--addr', `${ADDRESS}/24`, '--daemon']);
  carrier(nic, 'down');
  await crash();
  t.ok(isOut(netns), 'it stays down');
  adopt();
  t.match(logOf(nic), /vnet0 still has no carrier/);
  await nap(1500 * SLOW);
  t.ok(isOut(netns), 'and the next controller leaves it alone');
  carrier(nic, 'up');
  t.ok(await eventually(() => isUp(netns)));

  carrier(nic, 'down', '--for', '3s');
  await crash();
  adopt();
  t.ok(await eventually(() => isUp(netns)), 'the rest of the time is waited for');

  carrier(nic, 'down', '--for', '500ms');
  await crash();
  await nap(600);
  t.ok(isOut(netns), 'without a controller nothing ends it');
  adopt();
  t.ok(await eventually(() => isUp(netns), 2000), 'the next one does at once');
  t.ok(answers(netns), 'it answers');
  await balances(t, nic);
  carrier(nic, 'down');
  cliOk(['detach', 'vnet0', '--netns', netns]);
  t.equal(listed(netns, 'vnet0'), undefined, 'detach removes it all the same');
});

t.test('a rule takes it away', { skip: cannotRun }, async (t) => {
  const netns = quietNetns(t);
  const nic = attachedIn(t, netns, ['--addr', `${ADDRESS}/24`]);
  t.ok(await eventually(() => isUp(netns)));
  const faults = (...args: string[]): string => cliOk(['faults', 'vnet0', ...args, '--netns', netns]);
  faults('icmp from client nth 3: carrier 700ms');
  t.match(faults('--show'), /icmp from client nth 3: carrier 700ms/);
  const watcher = Background.start(t, netns, 'ip', ['monitor', 'link']);
  await nap(200 * SLOW);
  const numbers = answered(netns, 20);
  await watcher.says(/vnet0.*NO-CARRIER/);
  t.same(numbers.slice(0, 2), [1, 2]);
  t.notOk(
    [3, 4, 5, 6].some((number) => numbers.includes(number)),
    `${numbers.join()}: silence from the third on`,
  );
  t.ok(numbers.includes(20), 'and then the carrier is back');
  t.ok(await eventually(() => isUp(netns)));
  const log = faults('--log');
  t.match(log, /"n":3,"frame":"icmp type 8 code 0","effect":"carrier 700.000 ms"/);
  t.match(log, /"n":0,.*"effect":"carrier"/);
  t.match(logOf(nic), /vnet0 has lost its carrier, for 700 ms\n[^]*vnet0 has its carrier again/);

  faults('icmp from client nth 1: carrier 200ms');
  carrier(nic, 'down');
  answered(netns, 1);
  await nap(600 * SLOW);
  t.ok(isOut(netns), 'a rule does not end what an order has begun');
  carrier(nic, 'up');
  await balances(t, nic);
});

t.test('what does not work says so', { skip: cannotRun }, async (t) => {
  const netns = quietNetns(t);
  attachedIn(t, netns, ['--addr', `${ADDRESS}/24`]);
  for (const [args, message] of [
    [['sideways'], /direction "sideways": is not one of down, up/],
    [['up', '--for', '2s'], /--for: goes with down/],
    [['--for', '2s'], /--for: goes with down/],
    [['down', '--for', '2'], /--for "2": is a time without a unit/],
    [['down', '--for', '2h'], /--for "2h": is not a time: "h" is not a unit of it/],
    [['down', '--for', '3601s'], /--for "3601s": is more than 3600s/],
    [['down', '--json'], /--json: shows the state/],
  ] as const) {
    const { status, stderr } = cli(['carrier', 'vnet0', ...args, '--netns', netns]);
    t.equal(status, 2, args.join(' '));
    t.match(stderr, message);
    t.match(stderr, /\nhint: /);
  }
  t.notOk(isOut(netns), 'all of that has changed nothing');
  t.match(cli(['carrier', 'vnet7', 'down', '--netns', netns]), { status: 1, stderr: /vnet7/ });
});

t.test('a dummy has none', { skip: cannotRun || withoutDummy() }, async (t) => {
  const netns = quietNetns(t);
  attachedIn(t, netns, ['--type', 'dummy'], 'vnet1');
  for (const args of [['down'], ['up'], []]) {
    const { status, stderr } = cli(['carrier', 'vnet1', ...args, '--netns', netns]);
    t.equal(status, 1);
    t.match(stderr, /^vnet-bpf: interface vnet1: is a dummy: .*\nhint: /);
  }
  const { status, stderr } = cli(['faults', 'vnet1', 'udp: carrier 1s', '--netns', netns]);
  t.equal(status, 1);
  t.match(stderr, /^vnet-bpf: rule 1, "udp: carrier 1s": vnet1 is a dummy: .*\nhint: /);
  t.equal(listed(netns, 'vnet1')?.faults, null, 'nothing is in place');
});
