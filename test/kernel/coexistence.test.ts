// SPDX-License-Identifier: MIT
/** docs/coexistence.md: each setting of its table is made as written, and has the effect that the table describes. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t, { type Test } from 'tap';

import { LinkSettingsKeeper } from '../../src/controller/link-settings';
import { Attempts } from '../../src/controller/supervisor';
import { frameAccounting, type Stats } from '../../src/datapath/stats';
import { linkByName } from '../../src/link/links';
import { Netns } from '../../src/link/netns';
import { passesBigTcp } from '../../src/requirements';
import { tableBelow } from '../../src/setup/man-page';
import type { Attachment } from '../../src/state/store';
import { HOST_PEER_NETNS, stateDirectory } from '../../src/state/paths';
import { Background } from '../helpers/background';
import { attachedIn, attachmentOf, cliOk, ROOT, SLOW, type Attached } from '../helpers/cli';
import { eventually, listed } from '../helpers/controller';
import { ADDRESSES, atRest, exchange, kill, look, WAIT_MS } from '../helpers/loop';
import { ok, okIn, run, testNetns } from '../helpers/netns';
import { setGsoLimits } from '../helpers/offloads';
import { OwnUdp } from '../helpers/own-sockets';
import { cannotLoop } from '../helpers/supported';
import { xdpObject } from '../helpers/xdp';

t.setTimeout(600_000 * SLOW);

const DOCUMENT = path.join(ROOT, 'docs', 'coexistence.md');
const OUTCOMES = ['tolerated', 'limited', 'put back', 'diverted'] as const;
type Outcome = (typeof OUTCOMES)[number];

interface Row {
  setting: string;
  commands: string;
  outcome: Outcome;
  slower: boolean;
  log: string;
}

const unquoted = (cell: string): string => /^`(.*)`$/.exec(cell)?.[1] ?? cell;

function rowOf([setting = '', example = '', happens = '', log = '']: string[]): Row {
  const outcome = OUTCOMES.find((each) => happens.startsWith(each));
  if (!outcome) throw new Error(`what happens: ${happens}`);
  return {
    setting,
    commands: unquoted(example),
    outcome,
    slower: happens.startsWith('tolerated, slower'),
    log: unquoted(log),
  };
}

/**
 * Commands that undo a setting that is not put back, by the beginning of its commands. The loop is then as it was
 * before.
 */
const UNDO: readonly (readonly [string, string])[] = [
  ['ip link set vnet0 gso_max_s', 'ip link set vnet0 gso_max_size 65536 gso_max_segs 65535'],
  ['ip link set vnet0 gro_max_size', 'ip link set vnet0 gro_max_size 65536'],
  ['ip link set vnet0 mtu', 'ip link set vnet0 mtu 1500'],
  ['ethtool -K vnet0 tso', 'ethtool -K vnet0 tso on'],
  ['ethtool -K vnet0 tx off', 'ethtool -K vnet0 tx on sg on tso on'],
  ['ethtool -K vnet0 sg', 'ethtool -K vnet0 sg on tx-scatter-gather-fraglist on tso on gso on'],
  ['ethtool -K vnet0 gso', 'ethtool -K vnet0 gso on'],
  ['ethtool -K vnet0 tx-udp-segmentation', 'ethtool -K vnet0 tx-udp-segmentation on'],
  ['ethtool -K vnet0 rx ', 'ethtool -K vnet0 rx on'],
  ['ethtool -K vnet0 gro on; echo', 'echo 0 > /sys/class/net/vnet0/threaded; ethtool -K vnet0 gro off'],
  ['ethtool -K vnet0 gro', 'ethtool -K vnet0 gro off'],
  ['ip link set dev vnet0 xdpgeneric', 'ip link set dev vnet0 xdpgeneric off'],
  ['ip link set dev vnet0 xdp', 'ip link set dev vnet0 xdp off; ethtool -K vnet0 gro off'],
  ['ethtool -L', 'ethtool -L vnet0 rx 1 tx 1'],
  ['echo 3 > /sys/class/net/vnet0/queues/rx-0', 'echo 0 > /sys/class/net/vnet0/queues/rx-0/rps_cpus'],
  ['ip link set vnet0 txqueuelen', 'ip link set vnet0 txqueuelen 1000'],
  ['tc qdisc replace dev vnet0', 'tc qdisc del dev vnet0 root'],
  ['tc qdisc add dev vnet0 clsact', 'true'],
  ['ip link set vnet0 promisc', 'ip link set vnet0 promisc off allmulticast off'],
  ['ip link set vnet0 arp', 'ip link set vnet0 arp on'],
  ['ip link set vnet0 address', 'true'],
  ['ip link set vnet0 alias', 'true'],
  ['ip link add br0', 'ip link del br0'],
  ['sysctl -w net.ipv4.conf.all.rp_filter', 'sysctl -w net.ipv4.conf.all.rp_filter=0'],
  ['sysctl -w net.ipv4.conf.vnet0.rp_filter', 'sysctl -w net.ipv4.conf.vnet0.rp_filter=0'],
  [
    'sysctl -w net.ipv4.conf.vnet0.arp',
    'sysctl -w net.ipv4.conf.vnet0.arp_ignore=0 net.ipv4.conf.vnet0.arp_announce=0',
  ],
  ['tc qdisc add dev PEER', 'tc qdisc del dev PEER root'],
  ['ip link set dev PEER xdpgeneric', 'ip link set dev PEER xdpgeneric off'],
  ['ip link set dev PEER xdp', 'ip link set dev PEER xdp off; ethtool -K PEER gro off'],
];

/** The fraction of the normal speed that every setting must leave. */
const LEAST = { full: 1 / 4, slower: 1 / 50 } as const;
const BYTES = '8M';

class Place {
  readonly object: string;
  readonly nic: Attached;
  readonly udp: OwnUdp;

  constructor(t: Test) {
    this.object = xdpObject(t);
    const netns = testNetns(t);
    this.nic = attachedIn(t, netns, ['--addr', `${ADDRESSES[0]}/24`, '--addr', `${ADDRESSES[1]}/64`]);
    Background.start(t, netns, 'iperf3', ['-s']);
    this.udp = new OwnUdp(t, netns, ADDRESSES[0], 1000);
  }

  /** Runs commands of the table, those for the peer and the room in the peer namespace; returns what they print. */
  do(commands: string): string {
    const { peer, rooms, id } = attachmentOf(this.nic);
    const netns = /PEER|ROOM/.test(commands) ? HOST_PEER_NETNS : `/run/netns/${this.nic.netns}`;
    const text = commands
      .replaceAll('PEER', peer?.name ?? '')
      .replaceAll('ROOM', rooms[0]?.entry.name ?? id)
      .replace('x.o', this.object);
    // A /sys of the namespace's own has no BPF file system, which `ip` wants for XDP.
    if (text.includes('/sys/class/net')) return ok('ip', ['netns', 'exec', this.nic.netns, 'sh', '-ec', text]);
    return ok('nsenter', [`--net=${netns}`, '--', 'sh', '-ec', text]);
  }

  log(): string {
    return fs.readFileSync(path.join(stateDirectory(attachmentOf(this.nic).id), 'log'), 'utf8');
  }

  /** Bits per second of one TCP stream; 0, with a comment, if iperf3 ends without a result, as its server may. */
  speed(t: Test, address: string): number {
    const { status, stdout, stderr } = run('ip', [
      'netns',
      'exec',
      this.nic.netns,
      'timeout',
      String(30 * SLOW),
      'iperf3',
      '-J',
      '-n',
      BYTES,
      '-c',
      address,
    ]);
    if (status !== 0) throw new Error(`iperf3: status ${status}: ${stderr}${stdout.slice(-200)}`);
    const { end, error } = JSON.parse(stdout) as {
      end: { sum_received?: { bits_per_second: number } };
      error?: string;
    };
    if (!end.sum_received) t.comment(`iperf3 has no result: ${error ?? stdout.slice(-200)}`);
    return end.sum_received?.bits_per_second ?? 0;
  }

  async datagrams(t: Test, count: number): Promise<void> {
    const { udp } = this;
    // What another row has lost is said there.
    const lost = udp.sent - udp.received;
    // One alone first: packets that wait for a neighbour are overtaken by packets sent once it is known.
    await exchange(udp, udp.sent + 1);
    await udp.takeUntil(udp.sent, WAIT_MS);
    const before = { order: udp.outOfOrder, damaged: udp.damaged };
    await exchange(udp, udp.sent + count);
    t.ok(await udp.takeUntil(udp.sent - lost, WAIT_MS), `of ${udp.sent} datagrams ${udp.received} came back`);
    t.same({ order: udp.outOfOrder, damaged: udp.damaged }, before, 'in order and whole');
  }
}

const mbit = (bits: number): string => `${(bits / 1e6).toFixed(0)} Mbit/s`;

/** Whether one of a few runs is fast enough: other processes need the processors, too. */
function isFast(t: Test, place: Place, address: string, least: number): void {
  let best = 0;
  for (let runs = 0; runs < 4 && best < least; runs++) best = Math.max(best, place.speed(t, address));
  t.ok(best >= least, `TCP to ${address}: ${mbit(best)}, at least ${mbit(least)}`);
}

/** What no setting is a reason for. */
const faults = ({ refused, held, poll }: Stats): Record<string, number> => ({
  gso: refused.gso,
  invalid: refused.invalid,
  oversize: refused.oversize,
  error: refused.error,
  toolong: refused.toolong,
  again: held.again,
  lostWakeups: poll.lostWakeups,
});

/** Lines about the queue, and about what was undone before. */
const OTHER_NEWS = /^.*(queue .*(stopped|woken) on|mtu 1500, was|any more).*\n/gm;

async function walk(t: Test, place: Place, row: Row, baseline: readonly number[]): Promise<void> {
  const undo = UNDO.find(([commands]) => row.commands.startsWith(commands))?.[1];
  t.ok(undo !== undefined || row.outcome === 'put back' || row.outcome === 'limited', 'it can be undone');
  const said = place.log().length;
  const news = (): string => place.log().slice(said);
  place.do(row.commands);
  try {
    if (row.log !== '') t.ok(await eventually(() => news().includes(row.log), 5000), `the log: ${row.log}`);
    const before = faults(look(place.nic));
    if (row.outcome !== 'diverted') {
      await place.datagrams(t, 300);
      ADDRESSES.forEach((address, i) =>
        isFast(t, place, address, (baseline[i] as number) * (row.slower ? LEAST.slower : LEAST.full)),
      );
    }
    const stats = await atRest(place.nic);
    const sums = frameAccounting(stats);
    t.equal(sums.out, sums.in, 'the accounting balances');
    t.equal(stats.queue.wakes, stats.queue.stops, 'as many wakes as stops');
    t.same(faults(stats), before, 'nothing was refused for it');
    if (row.log === '') t.equal(news().replace(OTHER_NEWS, ''), '', 'the log has nothing to say');
  } finally {
    if (undo !== undefined) place.do(undo);
  }
}

t.test('each setting of the table', { skip: cannotLoop() }, async (t) => {
  const rows = tableBelow(fs.readFileSync(DOCUMENT, 'utf8'), '## Settings of interfaces').map(rowOf);
  t.ok(rows.length > 40, `${rows.length} rows`);
  const place = new Place(t);
  const { pid } = attachmentOf(place.nic);
  await place.datagrams(t, 10);
  place.speed(t, ADDRESSES[0]);
  const baseline = ADDRESSES.map((address) => place.speed(t, address));
  for (const row of rows) {
    await t.test(row.commands, async (t) => walk(t, place, row, baseline));
  }
  t.equal(listed(place.nic.netns, 'vnet0')?.pid, pid, 'the same controller all the time');
});

t.test(
  'native XDP and a larger MTU: vnet0 keeps what the program takes, and gets more when the program has gone',
  { skip: cannotLoop() },
  async (t) => {
    const place = new Place(t);
    const mtu = (): number =>
      (JSON.parse(ok('ip', ['-n', place.nic.netns, '-json', 'link', 'show', 'dev', 'vnet0'])) as [{ mtu: number }])[0]
        .mtu;
    place.do('ip link set dev vnet0 xdp obj x.o sec xdp');
    place.do('ip link set vnet0 mtu 9000');
    t.ok(
      await eventually(() => /vnet0 has mtu (\d+) again, not 9000: the native XDP program/.test(place.log())),
      'the log',
    );
    t.ok(mtu() > 3000 && mtu() < 4096, `mtu ${mtu()}`);
    await place.datagrams(t, 100);
    place.do('ip link set dev vnet0 xdp off');
    place.do('ip link set vnet0 mtu 9000');
    await place.datagrams(t, 100);
    t.equal(mtu(), 9000);
    const ofPeer = (): number => Number(/ mtu (\d+)/.exec(place.do('ip link show dev PEER'))?.[1]);
    t.ok(await eventually(() => ofPeer() >= 9000), `its peer has ${ofPeer()}`);
    t.match(
      run('nsenter', [
        `--net=/run/netns/${place.nic.netns}`,
        '--',
        'ip',
        'link',
        'set',
        'dev',
        'vnet0',
        'xdp',
        'obj',
        place.object,
        'sec',
        'xdp',
      ]),
      { stderr: /MTU is too large/ },
      'then the kernel refuses a program',
    );
    t.same(faults(await atRest(place.nic)), {
      gso: 0,
      invalid: 0,
      oversize: 0,
      error: 0,
      toolong: 0,
      again: 0,
      lostWakeups: 0,
    });
  },
);

t.test('what was set while the controller was dead is seen by the next', { skip: cannotLoop() }, async (t) => {
  const place = new Place(t);
  await kill(place.nic);
  place.do('ip link set vnet0 gso_max_size 190000 gso_max_segs 20');
  place.do('ip link set PEER gso_max_segs 3');
  place.do('sysctl -w net.ipv4.conf.vnet0.accept_local=0');
  cliOk(['attach', 'vnet0', '--netns', place.nic.netns, '--daemon']);
  for (const line of [
    /gso_max_size 65536, not 190000/,
    /accept_local is 1 again/,
    /somebody changed the peer of vnet0 \(gso_max_segs 3\): put back/,
  ]) {
    t.ok(await eventually(() => line.test(place.log())), String(line));
  }
  await place.datagrams(t, 100);
  t.match(
    ok('ip', ['-n', place.nic.netns, '-details', 'link', 'show', 'vnet0']),
    / gso_max_segs 20 /,
    "what is the user's to set stays",
  );
});

t.test(
  'the limit of TCP over IPv4 is what the ring is made for',
  { skip: cannotLoop() || (!passesBigTcp() && 'this kernel has no BIG TCP') },
  async (t) => {
    const nic = attachedIn(t, testNetns(t), ['--addr', `${ADDRESSES[0]}/24`, '--ring-size', '256K']);
    setGsoLimits(nic, { ipv4Size: 200_000 });
    const log = (): string => fs.readFileSync(path.join(stateDirectory(attachmentOf(nic).id), 'log'), 'utf8');
    t.ok(await eventually(() => log().includes('vnet0 has gso_ipv4_max_size 65536, not 200000')), 'said and done');
  },
);

t.test('a vnet0 that a bridge lets go loops again', { skip: cannotLoop() }, async (t) => {
  const place = new Place(t);
  place.do('ip link add br0 type bridge; ip link set vnet0 master br0');
  t.ok(await eventually(() => place.log().includes('vnet0 belongs to br0 now')));
  place.do('ip link set vnet0 nomaster');
  t.ok(await eventually(() => place.log().includes('vnet0 has no master any more')));
  await place.datagrams(t, 100);
});

t.test(
  'there is no fight with somebody who switches an offload on as often as it is switched off',
  { skip: cannotLoop() },
  async (t) => {
    const nic = attachedIn(t, testNetns(t), ['--addr', `${ADDRESSES[0]}/24`]);
    const log = (): string => cliOk(['log', 'vnet0', '--netns', nic.netns]);
    const switchOn = (): string => okIn(nic.netns, 'ethtool', ['-K', 'vnet0', 'tx-vlan-hw-insert', 'on']);
    const gaveUp = await eventually(() => {
      for (let times = 0; times < 10; times++) switchOn();
      return /somebody keeps switching tx-vlan-hw-insert of vnet0 on: .*; the next try is in 1 min/.test(log());
    });
    t.ok(gaveUp, 'it gives up, and says so');
    t.equal(log().match(/tx-vlan-hw-insert off again/g)?.length, 20, 'after as many repairs as are no fight');
    const said = log().length;
    for (let times = 0; times < 20; times++) switchOn();
    t.equal(log().length, said, 'then it says nothing more');
    t.match(okIn(nic.netns, 'ethtool', ['-k', 'vnet0']), 'tx-vlan-offload: on', 'and leaves it');
    t.match(okIn(nic.netns, 'ping', ['-c', '2', ADDRESSES[0]]), / 2 received/, 'the address answers');
  },
);

t.test('nor about a sysctl or a limit of vnet0', { skip: cannotLoop() }, (t) => {
  const name = testNetns(t);
  okIn(name, 'ip', ['link', 'add', 'vnet0', 'type', 'veth', 'peer', 'name', 'other']);
  using netns = Netns.named(name);
  const log: string[] = [];
  const attachment: Partial<Attachment> = {
    peer: null,
    taken: null,
    superpacketBytes: 65536,
    hairpin: { addresses: [{ family: 4, address: ADDRESSES[0] }], table: 1 },
  };
  const say = (text: string): number => log.push(text);
  const keeper = new LinkSettingsKeeper({
    attachment: attachment as Attachment,
    peerNetns: netns,
    attempts: new Attempts(say),
    log: say,
  });
  const look = (): void => {
    const link = netns.run(() => linkByName('vnet0'));
    if (link) keeper.look(link, link, netns);
  };
  const isLooped = (): string => okIn(name, 'sysctl', ['-n', 'net.ipv4.conf.vnet0.accept_local']).trim();
  okIn(name, 'sysctl', ['-qw', 'net.ipv4.conf.vnet0.accept_local=1']);
  look();
  log.length = 0;
  for (let times = 0; times < 24; times++) {
    okIn(name, 'sysctl', ['-qw', 'net.ipv4.conf.vnet0.accept_local=0']);
    okIn(name, 'ip', ['link', 'set', 'vnet0', 'gso_max_size', '190000']);
    look();
    if (times === 0) t.equal(isLooped(), '1', 'it is put back');
  }
  t.equal(isLooped(), '0', 'but not without end');
  const count = (pattern: RegExp): number => log.filter((line) => pattern.test(line)).length;
  t.same([count(/accept_local is 1 again/), count(/gso_max_size 65536, not 190000/)], [20, 20]);
  t.same(
    [count(/accept_local to 0: .*; the next try is in 1 min$/), count(/raising the limits .* in 1 min$/), log.length],
    [1, 1, 42],
    'which is said once',
  );
  t.end();
});
