// SPDX-License-Identifier: MIT
/**
 * `hold`, whatever the kernel makes of a superpacket behind `tx`: features (ethtool -K), GSO limits, the MTU and a
 * qdisc of the user, with TCP and UDP superpackets over IPv4 and IPv6, small and large rings, one queue and two.
 * Nothing is stranded, and everything that was sent is received or counted.
 *
 * `make test` runs regressions, and other combinations in which each value occurs; `make soak` runs all of them.
 */
import t, { type Test } from 'tap';

import { backlogDropsOfMachine } from '../../../src/datapath/packet-socket';
import { frameAccounting, type Stats } from '../../../src/datapath/stats';
import { qdiscsOf } from '../../../src/link/links';
import { Netns, openPeerNetns } from '../../../src/link/netns';
import { roomBacklog } from '../../../src/link/room';
import { passesBigTcp } from '../../../src/requirements';
import { attachedIn, attachmentOf, SLOW, type Attached } from '../../helpers/cli';
import { watchKernelWarnings } from '../../helpers/kernel-warnings';
import { ADDRESSES, delay, look } from '../../helpers/loop';
import { ok, quietNetns, testNetns } from '../../helpers/netns';
import { setFeatures, setGsoLimits, setMtu, setRootQdisc, type GsoLimits } from '../../helpers/offloads';
import { ownTcp } from '../../helpers/own-sockets';
import { withoutQdisc } from '../../helpers/qdisc';
import { Random } from '../../helpers/random';
import { cannotLoop } from '../../helpers/supported';
import { scaled, withoutTools } from '../../helpers/traffic';
import {
  EXTENSION_HEADER_BYTES,
  UdpSuperpackets,
  type ExtensionHeader,
  type SuperpacketShape,
} from '../../helpers/udp-superpackets';

const ALL = process.env['VNET_BPF_TEST_ALL_OFFLOADS'] === '1';
t.setTimeout((ALL ? 3_600_000 : 300_000) * SLOW);

const WAIT_MS = 20_000 * SLOW;

/** Features that are off. */
const FEATURES: readonly (readonly string[])[] = [
  [],
  ['tso'],
  ['gso'],
  ['sg'],
  ['tx'],
  ['tx-udp-segmentation'],
  ['tx-tcp-segmentation'],
  ['tx-tcp6-segmentation'],
  ['tx-tcp-mangleid-segmentation'],
  ['tx-tcp-segmentation', 'tx-udp-segmentation'],
  ['tx-scatter-gather-fraglist'],
];
const LIMITS: readonly GsoLimits[] = [
  {},
  { size: 20_000 },
  { segments: 1 },
  { segments: 7, size: 40_000 },
  // For IPv4 alone, and larger than the loop carries: from Linux 6.6 on.
  ...(passesBigTcp() ? [{ ipv4Size: 65_536 }, { ipv4Size: 20_000 }, { ipv4Size: 300_000 }, { size: 200_000 }] : []),
];
const QDISCS = [
  null,
  'tbf rate 2gbit burst 40k latency 400ms',
  'htb default 1',
  'pfifo limit 1000',
  'fq_codel',
  'netem delay 2ms limit 10000',
] as const;
type Qdisc = (typeof QDISCS)[number];

/** The MTU: the first before anything is sent, the rest under load. Below 1280, the kernel removes IPv6. */
const MTUS: readonly (readonly number[])[] = [
  [1500],
  [1500, 40_000],
  [1280, 1500, 9000, 32_768, 65_535],
  [65_535, 1500, 40_000],
  [9000, 1280, 32_768],
];
const SMALL_MTUS: readonly (readonly number[])[] = [
  [68, 576, 1280, 65_535],
  [576, 1500, 9000],
];
const IPV6_MINIMUM_MTU = 1280;
/** The burst of the tbf in QDISCS, and payload of TCP that passes it with every MTU. */
const TBF_BURST = 40_000;
const SEGMENT_BEHIND_TBF = 1200;

interface Group {
  ring: string;
  queues: number;
  queuePackets: number;
  /** Rest of the poller after each batch, us. */
  delayUs: number;
}

interface Scenario {
  off: readonly string[];
  limits: GsoLimits;
  qdisc: Qdisc;
  mtus: readonly number[];
}

const plain: Scenario = { off: [], limits: {}, qdisc: null, mtus: [1500] };
const TBF = QDISCS[1];

/** Regressions: combinations, with their rings, in which frames were stranded in the waiting room or refused. */
const KNOWN: readonly (Partial<Scenario> & { rings: readonly string[] })[] = [
  { rings: ['256K', '8M'], off: ['tso'] },
  { rings: ['256K', '1M'], off: ['tx'] },
  { rings: ['1M'], off: ['sg'] },
  { rings: ['1M'], mtus: [1500, 40_000] },
  { rings: ['8M'], off: ['tx-udp-segmentation'] },
  { rings: ['256K'], limits: { segments: 1 } },
  ...(passesBigTcp() ? [{ rings: ['1M'], limits: { size: 200_000, ipv4Size: 200_000 } }] : []),
  { rings: ['8M'], limits: { size: 20_000 } },
  { rings: ['256K'], qdisc: TBF },
];

const text = ({ off, limits, qdisc, mtus }: Scenario): string =>
  `${off.join(' and ') || 'nothing'} off, limits ${JSON.stringify(limits)}, ${qdisc ?? 'no qdisc'}, MTU ${mtus.join(', ')}`;

function shuffled<T>(random: Random, list: readonly T[]): T[] {
  const left = [...list];
  return list.map(() => left.splice(random.between(0, left.length - 1), 1)[0] as T);
}

type Work = [Group, readonly Scenario[]];

/**
 * Each ring and each number of queues with all scenarios; half of them with a queue that is limited to a few packets.
 */
function everything(random: Random, qdiscs: readonly Qdisc[], mtus: readonly (readonly number[])[]): Work[] {
  const works = ['256K', '1M', '8M'].flatMap((ring) =>
    [1, 2].flatMap((queues) => {
      const all = product(random, qdiscs, mtus);
      return [0, 64].map((queuePackets, half): Work => [
        { ring, queues, queuePackets, delayUs: random.pick([0, 2000]) },
        all.filter((_, i) => i % 2 === half),
      ]);
    }),
  );
  return shuffled(random, works);
}

/** Combinations in which each value occurs at least once. */
function part(random: Random, qdiscs: readonly Qdisc[], mtus: readonly (readonly number[])[]): Work[] {
  const groups: readonly Group[] = [
    { ring: '256K', queues: 1, queuePackets: 0, delayUs: 0 },
    { ring: '1M', queues: 2, queuePackets: 0, delayUs: 2000 },
    { ring: '8M', queues: 1, queuePackets: 64, delayUs: 0 },
  ];
  const scenarios = sample(random, qdiscs, mtus);
  return groups.map((group, i) => [group, scenarios.filter((_, number) => number % groups.length === i)]);
}

/** Combines each value with random others, as often as the longest list requires. */
function sample(random: Random, qdiscs: readonly Qdisc[], mtus: readonly (readonly number[])[]): Scenario[] {
  const [off, limits, qdisc, mtu] = [
    shuffled(random, FEATURES),
    shuffled(random, LIMITS),
    shuffled(random, qdiscs),
    shuffled(random, mtus),
  ];
  const at = <T>(list: readonly T[], i: number): T => list[i % list.length] as T;
  const length = Math.max(off.length, limits.length, qdisc.length, mtu.length);
  return Array.from({ length }, (_, i) => ({
    off: at(off, i),
    limits: at(limits, i),
    qdisc: at(qdisc, i),
    mtus: at(mtu, i),
  }));
}

/** All combinations of features, limits and qdiscs, in random order, each with a random walk of the MTU. */
function product(random: Random, qdiscs: readonly Qdisc[], mtus: readonly (readonly number[])[]): Scenario[] {
  const every = FEATURES.flatMap((off) =>
    LIMITS.flatMap((limits) => qdiscs.map((qdisc) => ({ off, limits, qdisc, mtus: random.pick(mtus) }))),
  );
  return shuffled(random, every);
}

const ETHERNET_UDP = { 4: 14 + 20 + 8, 6: 14 + 40 + 8 } as const;
const CUT_FROM_BYTES = 65_536;
/** UDP_MAX_SEGMENTS before Linux 6.9. */
const SEGMENTS_MAX = 64;

/** A superpacket whose frame is `frame` bytes long, or as long as SEGMENTS_MAX segments that fit into the MTU. */
function shape(family: 4 | 6, mtu: number, frame: number, extension?: ExtensionHeader): SuperpacketShape {
  const headers = ETHERNET_UDP[family] + (extension ? EXTENSION_HEADER_BYTES : 0);
  const segment = Math.min(1424, mtu + 14 - headers);
  return { payload: Math.min(frame - headers, segment * SEGMENTS_MAX), segment, ...(extension && { extension }) };
}

function flowsOf(
  t: Test,
  { netns }: Attached,
  mtus: readonly number[],
  families: readonly (4 | 6)[],
): UdpSuperpackets[] {
  const mtu = Math.min(...mtus);
  const open = (family: 4 | 6, of: SuperpacketShape): UdpSuperpackets =>
    new UdpSuperpackets(t, netns, ADDRESSES[family === 4 ? 0 : 1], of);
  return families.flatMap((family) => [
    open(family, shape(family, mtu, CUT_FROM_BYTES - 1)),
    open(family, shape(family, mtu, CUT_FROM_BYTES)),
    open(family, shape(family, mtu, ETHERNET_UDP[family] + 46 * 1424)),
    ...(family === 6
      ? [open(6, shape(6, mtu, 40_000, 'hop-by-hop')), open(6, shape(6, mtu, CUT_FROM_BYTES - 1, 'destination'))]
      : []),
  ]);
}

const isHeld = (stats: Stats): boolean => stats.queue.stopped && stats.held.now > 0;

/** Stops the controller until the queue is full and each flow has to wait. */
async function fill(nic: Attached, flows: readonly UdpSuperpackets[]): Promise<boolean> {
  const { pid } = attachmentOf(nic);
  process.kill(pid, 'SIGSTOP');
  try {
    for (const end = Date.now() + 2_000 * SLOW; Date.now() < end; await delay(1)) {
      // With a limit, because a sender need not wait for frames that a full backlog drops.
      for (let waiting = 0, turns = 0; waiting < flows.length && turns < 1000; turns++) {
        waiting = 0;
        for (const flow of flows) {
          const error = flow.offer();
          if (error === 'EAGAIN') waiting++;
          else if (error !== null) throw new Error(`a superpacket was refused: ${error}`);
        }
      }
      if (isHeld(look(nic))) return true;
    }
    return false;
  } finally {
    process.kill(pid, 'SIGCONT');
  }
}

async function load(
  t: Test,
  nic: Attached,
  scenario: Scenario,
  families: readonly (4 | 6)[],
  flows: readonly UdpSuperpackets[],
): Promise<void> {
  // A connection that was made with a small MTU keeps to it: of 68 bytes, 36 are payload.
  const bytes = scaled(Math.min(...scenario.mtus) < IPV6_MINIMUM_MTU ? 64 << 10 : 1 << 20);
  // A tbf passes no plain frame that is longer than its burst: TCP's of a large MTU never would.
  const segment =
    scenario.qdisc?.startsWith('tbf') && Math.max(...scenario.mtus) > TBF_BURST ? SEGMENT_BEHIND_TBF : undefined;
  const transfers = families.map((family) =>
    ownTcp(nic.netns, ADDRESSES[family === 4 ? 0 : 1], bytes, { ms: WAIT_MS, ...(segment && { segment }) }),
  );
  for (const transfer of transfers) transfer.catch(() => {}); // awaited below
  t.ok(await fill(nic, flows), 'frames are held');
  // Features, too, change while frames are on their way.
  setFeatures(nic, []);
  setFeatures(nic, scenario.off);
  for (const mtu of scenario.mtus.slice(1)) {
    await setMtu(nic, mtu);
    for (let turn = 0; turn < 4; turn++) {
      for (const flow of flows) flow.offer();
      for (const flow of flows) flow.take();
      await delay(2);
    }
  }
  const results = await Promise.all(transfers);
  t.ok(
    results.every(({ sent, received }) => sent.sha256 === received.sha256 && received.bytes === bytes),
    'TCP: every byte has arrived',
  );
}

/** Waits until everything is at rest, and missing frames are known to be lost. */
async function settle(nic: Attached, flows: readonly UdpSuperpackets[], lostBefore: number): Promise<Stats> {
  const missing = (): number => flows.reduce((sum, flow) => sum + flow.sent - flow.received, 0);
  for (const end = Date.now() + WAIT_MS; ; await delay(10)) {
    flows.forEach((flow) => flow.take());
    const stats = look(nic);
    const rests =
      stats.queue.packets === 0 && stats.held.now === 0 && stats.state !== 'stopped' && frameAccounting(stats).balanced;
    if ((rests && (missing() === 0 || lostBehind(stats) > lostBefore)) || Date.now() > end) return stats;
  }
}

function roomsOf(nic: Attached): (number | null)[] {
  const { id, queues } = attachmentOf(nic);
  using netns = openPeerNetns();
  return Array.from({ length: queues }, (_, queue) => netns?.run(() => roomBacklog(id, queue)) ?? null);
}

/**
 * Frames that passed `tx` and did not come back: held frames, and pieces of superpackets that the kernel was to
 * segment.
 */
const lostBehind = ({ held, behind }: Stats): number => held.dropped + behind.lost;

/** Frames that a qdisc on the interface or a backlog has dropped. */
function droppedByOthers(nic: Attached): number {
  using netns = Netns.named(nic.netns);
  return netns.run(() => qdiscsOf(nic.iface)).reduce((sum, { drops }) => sum + drops, 0) + backlogDropsOfMachine();
}

async function runScenario(t: Test, nic: Attached, scenario: Scenario, families: readonly (4 | 6)[]): Promise<void> {
  await setMtu(nic, scenario.mtus[0] as number);
  ok('ip', ['-n', nic.netns, 'route', 'flush', 'cache']); // TCP learns path MTUs with the small ones
  setFeatures(nic, scenario.off);
  setGsoLimits(nic, scenario.limits);
  setRootQdisc(nic, scenario.qdisc);
  const before = look(nic);
  const droppedBefore = droppedByOthers(nic);
  const flows = flowsOf(t, nic, scenario.mtus, families);
  await load(t, nic, scenario, families, flows);
  const after = await settle(nic, flows, lostBehind(before));
  const sums = frameAccounting(after);
  const dropped = lostBehind(after) - lostBehind(before);
  const refused = Object.entries(after.refused).filter(
    ([name, count]) => count !== before.refused[name as keyof Stats['refused']],
  );
  // Frames of TCP in flight when the MTU was lowered are then too long, and are sent again.
  const lowered = scenario.mtus.some((mtu, i) => i > 0 && mtu < (scenario.mtus[i - 1] as number));
  t.same(
    refused.filter(([name]) => !(lowered && name === 'toolong')),
    [],
    'nothing was refused, but what a lowered MTU makes too long',
  );
  t.equal(sums.out, sums.in, 'the accounting balances');
  t.same(roomsOf(nic), Array(after.queue.queues).fill(0), 'the waiting rooms are empty');
  t.same(
    {
      held: after.held.now,
      again: after.held.again,
      wakes: after.queue.wakes,
      lostWakeups: after.poll.lostWakeups,
      stray: after.stray,
      state: after.state,
    },
    { held: 0, again: 0, wakes: after.queue.stops, lostWakeups: 0, stray: 0, state: 'running' },
    'nothing is held, none went round again, as many wakes as stops',
  );
  const missing = flows.map((flow) => flow.sent - flow.received);
  if (dropped === 0) {
    t.same(
      missing,
      flows.map(() => 0),
      `UDP: all ${flows.reduce((sum, { sent }) => sum + sent, 0)} datagrams came back`,
    );
  } else {
    // Only a qdisc of the user or a full backlog may have done that.
    t.ok(
      droppedByOthers(nic) > droppedBefore,
      `${dropped} frames were lost on their way: somebody else has dropped them`,
    );
    t.ok(missing.reduce((a, b) => a + b) <= dropped * SEGMENTS_MAX, 'UDP: those that are missing are among them');
  }
  t.equal(
    flows.reduce((sum, { damaged }) => sum + damaged, 0),
    0,
    'UDP: whole',
  );
  if (scenario.qdisc === null)
    t.equal(
      flows.reduce((sum, { outOfOrder }) => sum + outOfOrder, 0),
      0,
      'UDP: in order',
    );
  flows.forEach((flow) => flow.close());
}

const argumentsOf = ({ ring, queues, queuePackets }: Group): string[] => [
  '--ring-size',
  ring,
  '--queues',
  String(queues),
  ...(queuePackets > 0 ? ['--queue-packets', String(queuePackets)] : []),
];

/** An interface with both families; with small MTUs IPv4 alone, and nothing else on it. */
async function runGroup(t: Test, group: Group, scenarios: readonly Scenario[]): Promise<void> {
  const small = (scenario: Scenario): boolean => Math.min(...scenario.mtus) < IPV6_MINIMUM_MTU;
  for (const families of [[4, 6], [4]] as const) {
    const chosen = scenarios.filter((scenario) => small(scenario) === (families.length === 1));
    if (chosen.length === 0) continue;
    const netns = families.length === 1 ? quietNetns(t) : testNetns(t);
    const addresses = families
      .map((family) => ['--addr', family === 4 ? `${ADDRESSES[0]}/24` : `${ADDRESSES[1]}/64`])
      .flat();
    const nic = attachedIn(t, netns, [...addresses, ...argumentsOf(group)], 'vnet0', {
      VNET_BPF_TEST_POLL_DELAY_US: String(group.delayUs),
    });
    for (const scenario of chosen) {
      const start = performance.now();
      await t.test(text(scenario), (t) => runScenario(t, nic, scenario, families));
      t.comment(`${Math.round(performance.now() - start)} ms`);
    }
  }
}

t.test('hold under every combination', { skip: cannotLoop() || withoutTools('ethtool') }, async (t) => {
  const warnings = watchKernelWarnings();
  const random = Random.announced(t);
  const qdiscs = QDISCS.filter((qdisc) => {
    const missing = qdisc !== null && withoutQdisc(qdisc);
    if (missing) t.comment(missing);
    return !missing;
  });
  const mtus = [...MTUS, ...SMALL_MTUS];
  for (const [group, scenarios] of ALL ? everything(random, qdiscs, mtus) : part(random, qdiscs, mtus)) {
    const known = KNOWN.filter(({ rings }) => rings.includes(group.ring)).map(({ rings: _, ...changed }): Scenario => ({
      ...plain,
      ...changed,
    }));
    await t.test(JSON.stringify(group), (t) => runGroup(t, group, [...known, ...scenarios]));
  }
  t.same(warnings(), [], 'the kernel has not complained');
});
