// SPDX-License-Identifier: MIT
/**
 * Everything that the loop promises, once through, on one kernel: what `make test-vm` runs inside
 * each kernel of the matrix, and `make test` on this one. Both ends of each flow are sockets of this
 * process, because on an emulated machine a process more costs seconds.
 */
import * as fs from 'node:fs';
import { release } from 'node:os';
import * as path from 'node:path';

import t, { type Test } from 'tap';

import { law, readStats, type Stats } from '../../src/datapath/stats';
import { pinDirectory } from '../../src/state/bpffs';
import { attachedIn, attachmentOf, cannotRun, cli, cliOk, SLOW, type Attached } from '../helpers/cli';
import { withoutDummy } from '../helpers/dummy';
import { differences, frameOf, from, macOf } from '../helpers/frames';
import { inside, kernelCounters, ok, okIn, quietNetns, run, testNetns } from '../helpers/netns';
import { OwnUdp, ownTcp } from '../helpers/own-sockets';
import { RawSocket } from '../helpers/raw-socket';

t.setTimeout(120_000 * SLOW);

const ADDRESSES = ['10.77.0.1', 'fd77::1'] as const;
const ARGUMENTS = ['--addr', '10.77.0.1/24', '--addr', 'fd77::1/64', '--ring-size', '256K'];
const WAIT_MS = 5_000 * SLOW;
const SOURCE = '02:00:00:00:0e:01';
/** Longer than any frame of a 9000-byte MTU: only a superpacket is. */
const LONGEST_WIRE_FRAME = 9018;

const [major = 0, minor = 0] = release().split('.').map((part) => parseInt(part, 10));
const isAtLeast = (wantedMajor: number, wantedMinor: number): boolean =>
  major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);

const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A reading in this process; the command takes long to start. */
const look = (nic: Attached): Stats => readStats(attachmentOf(nic));

async function atRest(nic: Attached): Promise<Stats> {
  for (const end = Date.now() + WAIT_MS; ; await delay(20 * SLOW)) {
    const stats = look(nic);
    const empty = stats.queue.packets === 0 && stats.held.now === 0;
    if ((empty && law(stats).balanced) || Date.now() > end) return stats;
  }
}

const acceptedOf = ({ tx, refused }: Stats): number => tx.packets - Object.values(refused).reduce((sum, count) => sum + count, 0);

const refusals = ({ refused }: Stats): [string, number][] => Object.entries(refused).filter(([, count]) => count > 0);

/** The law, and what has to hold with it at rest. */
async function checkRest(t: Test, nic: Attached, tries = 5): Promise<Stats> {
  const stats = await atRest(nic);
  const kernel = kernelCounters(nic.netns, nic.iface);
  const accepted = acceptedOf(stats);
  // With IPv6 it is never quite at rest: what passed between the two readings is in the next one.
  if (kernel.tx !== accepted && tries > 1) return checkRest(t, nic, tries - 1);
  const sums = law(stats);
  t.equal(sums.out, sums.in, 'the law of the loop balances');
  t.equal(stats.queue.wakes, stats.queue.stops, 'as many wakes as stops');
  t.equal(stats.poll.lostWakeups, 0, 'no wake-up was lost');
  t.equal(stats.held.dropped + stats.held.again, 0, 'the waiting room lost nothing');
  t.equal(kernel.tx, accepted, 'ip -s link: TX is what was accepted');
  if (stats.backend === 'veth') t.equal(kernel.rx, kernel.tx, 'ip -s link: RX = TX');
  return stats;
}

/** All traffic of the main job, on an interface whose queue is not full. */
async function traffic(t: Test, nic: Attached): Promise<void> {
  const { netns, iface } = nic;
  const mac = macOf(netns, iface);
  for (const address of ADDRESSES) {
    const [nsenter, ...rest] = inside(netns) as [string, ...string[]];
    const { stdout } = run(nsenter, [...rest, 'ping', '-c', '3', '-i', '0.2', '-W', String(2 * SLOW), address]);
    t.match(stdout, /3 received, 0% packet loss/, `ping ${address}: 3 of 3`);
  }
  const { backend } = attachmentOf(nic);
  // PACKET_VNET_HDR takes UDP superpackets from 6.2 on. Before, a veth cuts them up; nothing does on a dummy.
  const superpackets = backend === 'veth' || isAtLeast(6, 2);
  // A dummy has IFF_NOARP: its neighbours need no address.
  type Neighbours = { dst: string; lladdr?: string }[];
  const neighbours = backend === 'dummy' ? null : (JSON.parse(ok('ip', ['-n', netns, '-json', 'neigh', 'show', 'dev', iface])) as Neighbours);
  for (const address of neighbours ? ADDRESSES : []) {
    t.equal(neighbours?.find(({ dst }) => dst === address)?.lladdr, mac, `the neighbour ${address} was found through the loop`);
  }
  for (const address of ADDRESSES) {
    const bytes = 2 << 20;
    const { sent, received } = await ownTcp(netns, address, bytes);
    t.equal(received.bytes, bytes, `TCP to ${address}: all bytes`);
    t.equal(received.sha256, sent.sha256, `TCP to ${address}: equal SHA-256`);
  }
  t.ok(look(nic).queue.largestFrame > LONGEST_WIRE_FRAME, 'superpackets crossed the ring whole');

  for (const address of ADDRESSES) {
    const udp = new OwnUdp(t, netns, address, 500);
    await exchange(udp, 1000);
    t.ok(await udp.takeUntil(1000, WAIT_MS), `UDP to ${address}: all ${udp.received} came back`);
    if (superpackets) {
      udp.sendSuperpacket(40);
      t.ok(await udp.takeUntil(1040, WAIT_MS), 'a superpacket comes back in its segments');
    }
    t.same({ order: udp.outOfOrder, damaged: udp.damaged }, { order: 0, damaged: 0 }, 'in order and whole');
  }
  const fragments = new OwnUdp(t, netns, ADDRESSES[0], 60_000);
  fragments.offer(1);
  t.ok(await fragments.takeUntil(1, WAIT_MS), 'a datagram in fragments comes back');
  t.equal(fragments.damaged, 0, 'whole');

  const socket = RawSocket.open(t, netns, iface);
  const tagged = [[[0x8100, 5]], [[0x88a8, 100], [0x8100, 5]]] as const;
  const frames = [frameOf(14), frameOf(1514), ...tagged.map((tags) => frameOf(100, { tags })), frameOf(60, { destination: '33:33:00:00:00:99' })];
  for (const frame of frames) socket.send(frame);
  const back = await socket.received(frames.length, from(SOURCE));
  t.same(differences(frames, back.map(({ frame }) => frame)), [], 'raw frames, tagged ones and multicast: byte for byte');

  ok('ip', ['-n', netns, 'link', 'set', 'dev', iface, 'mtu', '9000']);
  const jumbo = new OwnUdp(t, netns, ADDRESSES[0], 8900);
  await exchange(jumbo, 20);
  t.ok(await jumbo.takeUntil(20, WAIT_MS), 'jumbo frames come back');
  t.equal(jumbo.damaged, 0, 'whole');
}

/** Sends so many, and takes what comes back meanwhile. */
async function exchange(udp: OwnUdp, count: number): Promise<void> {
  for (const end = Date.now() + WAIT_MS; udp.sent < count && Date.now() < end; await delay(1)) {
    udp.offer(Math.min(50, count - udp.sent));
    udp.take();
  }
}

/** The controller, standing still while `during` runs. */
async function stopped(nic: Attached, during: () => void): Promise<void> {
  const { pid } = attachmentOf(nic);
  process.kill(pid, 'SIGSTOP');
  try {
    while (!/^State:\s+T/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))) await delay(1);
    during();
  } finally {
    process.kill(pid, 'SIGCONT');
  }
}

/** Kills the controller; what is sent meanwhile comes back after the next attach. */
async function crash(t: Test, nic: Attached, udp: OwnUdp, meanwhile: number, args: readonly string[]): Promise<void> {
  const { pid, id } = attachmentOf(nic);
  const before = look(nic);
  process.kill(pid, 'SIGKILL');
  for (const end = Date.now() + WAIT_MS; look(nic).state !== 'crashed' && Date.now() < end; ) await delay(5);
  t.equal(look(nic).state, 'crashed', 'stats says crashed');
  t.ok(udp.offer(meanwhile) > 0, 'the kernel goes on taking frames');
  const adopted = JSON.parse(cliOk(['attach', nic.iface, '--netns', nic.netns, '--daemon', '--json', ...args])) as { pid: number };
  t.ok(adopted.pid !== pid && attachmentOf(nic).id === id, 'the next attach adopts it');
  t.ok(await udp.takeUntil(udp.sent, WAIT_MS), `all ${udp.sent} came back`);
  t.same({ order: udp.outOfOrder, damaged: udp.damaged }, { order: 0, damaged: 0 }, 'in order and whole');
  t.ok(look(nic).tx.packets >= before.tx.packets + udp.sent - meanwhile, 'the counters went on');
}

/** A full queue that does not hold. */
async function refuses(t: Test, nic: Attached, udp: OwnUdp): Promise<void> {
  // Nothing but the datagrams is on it then.
  okIn(nic.netns, 'sysctl', ['-qw', `net.ipv6.conf.${nic.iface}.disable_ipv6=1`]);
  const before = look(nic).refused.full;
  await stopped(nic, () => udp.offer(5000));
  const stats = await checkRest(t, nic);
  udp.take();
  const refused = stats.refused.full - before;
  t.ok(refused > 0 && stats.queue.stops > 0, `the queue stopped, ${refused} were refused`);
  t.equal(udp.received + refused, udp.sent, 'received + refused = sent');
  t.same({ order: udp.outOfOrder, damaged: udp.damaged }, { order: 0, damaged: 0 }, 'in order and whole');
}

function checkGone(t: Test, nic: Attached): void {
  const { id } = attachmentOf(nic);
  cliOk(['detach', nic.iface, '--netns', nic.netns]);
  t.notOk(fs.existsSync(path.join('/run/vnet-bpf', id)), 'no state is left');
  t.notOk(fs.existsSync(pinDirectory(id)), 'no pins are left');
  const rules = ok('ip', ['-n', nic.netns, 'rule']) + ok('ip', ['-n', nic.netns, '-6', 'rule']);
  t.notMatch(rules, /86|iif/, 'no rules are left');
}

if (isAtLeast(5, 12)) supported();
else {
  t.test('a kernel that is too old', { skip: cannotRun }, (t) => {
    const netns = testNetns(t);
    const { status, stderr } = cli(['attach', 'vnet0', '--netns', netns, '--daemon']);
    t.equal(status, 1, 'attach fails');
    t.match(stderr, /^vnet-bpf: .*5\.12/, 'says which kernel it wants');
    t.ok(stderr.trim().split('\n').length <= 2, 'in one line and a hint');
    t.equal(ok('ip', ['-n', netns, '-br', 'link']).trim().split('\n').length, 1, 'and changes nothing');
    t.end();
  });
}

function supported(): void {
  t.test('veth that holds', { skip: cannotRun }, async (t) => {
    const nic = attachedIn(t, testNetns(t), ARGUMENTS);
    t.equal(attachmentOf(nic).attach, isAtLeast(6, 6) ? 'tcx' : 'clsact', 'attached as the kernel can do it best');
    t.equal(ok('ip', ['-n', nic.netns, '-br', 'link']).trim().split('\n').length, 2, 'there is one interface more to see');
    await traffic(t, nic);
    t.same(refusals(await checkRest(t, nic)), [], 'nothing was refused');

    const udp = new OwnUdp(t, nic.netns, ADDRESSES[0], 200);
    await stopped(nic, () => {
      const taken = udp.offer(20_000);
      const { queue, held } = look(nic);
      t.ok(queue.stopped && held.now > 0, `the queue is stopped; of ${taken} datagrams ${held.now} are held`);
      t.ok(taken < 20_000, 'then the sender has to wait');
    });
    t.ok(await udp.takeUntil(udp.sent, WAIT_MS), `all ${udp.sent} came back`);
    t.same({ order: udp.outOfOrder, damaged: udp.damaged }, { order: 0, damaged: 0 }, 'in order and whole');

    await crash(t, nic, udp, 20_000, ['--ring-size', '256K']);
    t.same(refusals(await checkRest(t, nic)), [], 'nothing was refused');
    checkGone(t, nic);
    t.notMatch(ok('ip', ['-n', nic.netns, '-br', 'link']), /vnet0/, 'the interface is gone');
  });

  t.test('veth that drops', { skip: cannotRun }, async (t) => {
    const nic = attachedIn(t, quietNetns(t), ['--addr', '10.77.0.1/24', '--ring-size', '256K', '--when-full', 'drop']);
    const udp = new OwnUdp(t, nic.netns, ADDRESSES[0], 200);
    udp.offer(1);
    t.ok(await udp.takeUntil(1, WAIT_MS), 'one comes back');
    await refuses(t, nic, udp);
  });

  t.test('dummy', { skip: withoutDummy() }, async (t) => {
    const nic = attachedIn(t, testNetns(t), [...ARGUMENTS, '--type', 'dummy']);
    await traffic(t, nic);
    // TCP may send more at once than the ring has place for; it is told, and sends it again.
    t.same(refusals(await checkRest(t, nic)).filter(([why]) => why !== 'full'), [], 'nothing was refused but what TCP sent again');
    const udp = new OwnUdp(t, nic.netns, ADDRESSES[0], 200);
    await crash(t, nic, udp, 100, ['--ring-size', '256K', '--type', 'dummy']);
    await refuses(t, nic, udp);
    if (!isAtLeast(6, 2)) {
      udp.sendSuperpacket(40);
      t.equal(look(nic).refused.gso, 1, 'a superpacket of UDP is refused, and counted');
    }
    checkGone(t, nic);
    t.notMatch(ok('ip', ['-n', nic.netns, '-br', 'link']), /vnet0/, 'the interface is gone');
  });

  t.test("an existing dummy, with somebody else's filters on it", { skip: withoutDummy() }, async (t) => {
    const netns = testNetns(t);
    const tc = (...args: string[]): string => ok('tc', ['-n', netns, ...args]);
    const filters = (): string => tc('filter', 'show', 'dev', 'd0', 'egress') + tc('filter', 'show', 'dev', 'd0', 'ingress');
    ok('ip', ['-n', netns, 'link', 'add', 'd0', 'type', 'dummy']);
    tc('qdisc', 'add', 'dev', 'd0', 'clsact');
    tc('filter', 'add', 'dev', 'd0', 'egress', 'prio', '10', 'protocol', 'all', 'matchall', 'action', 'continue');
    tc('filter', 'add', 'dev', 'd0', 'ingress', 'prio', '20', 'protocol', 'all', 'matchall', 'action', 'continue');
    const before = filters();
    const nic = attachedIn(t, netns, ARGUMENTS, 'd0');
    const udp = new OwnUdp(t, netns, ADDRESSES[0], 200);
    await exchange(udp, 100);
    t.ok(await udp.takeUntil(100, WAIT_MS), 'it loops');
    tc('filter', 'add', 'dev', 'd0', 'egress', 'prio', '30', 'protocol', 'all', 'matchall', 'action', 'continue');
    await exchange(udp, 200);
    t.ok(await udp.takeUntil(200, WAIT_MS), 'with a filter that came later, too');
    await checkRest(t, nic);
    checkGone(t, nic);
    tc('filter', 'del', 'dev', 'd0', 'egress', 'prio', '30');
    t.equal(filters(), before, "the others' filters are there as before");
    t.notMatch(ok('ip', ['-n', netns, 'addr', 'show', 'dev', 'd0']), /10\.77/, 'the address is gone, the interface is there');
  });
}
