// SPDX-License-Identifier: MIT
/**
 * What other people's programs and filters do behind ours to frames that wait, and to superpackets that are segmented
 * there: those that leave a frame alone change nothing, and those that remove it show in the accounting. others.test.ts
 * tests them through a crash.
 */
import * as fs from 'node:fs';

import t, { type Test } from 'tap';

import { frameAccounting, lostBehind, type Stats } from '../../src/datapath/stats';
import { passesUdpGso } from '../../src/requirements';
import { attachedIn, attachmentOf, cliOk, SLOW, type Attached } from '../helpers/cli';
import { withoutDummy } from '../helpers/dummy';
import { checkFlows, TWO_QUEUES } from '../helpers/flows';
import { ADDRESSES, atRest, delay, exchange, holds, look, stopped, WAIT_MS } from '../helpers/loop';
import { Messages } from '../helpers/messages';
import * as native from '../helpers/native-socket';
import { ok, quietNetns, testNetns } from '../helpers/netns';
import { addClsact, addFilter, OtherProgram, withoutFilter, type OtherName } from '../helpers/others';
import { CLSACT } from '../helpers/others-together';
import { OwnUdp } from '../helpers/own-sockets';
import { cannotLoop, without } from '../helpers/supported';
import { UdpSuperpackets } from '../helpers/udp-superpackets';

t.setTimeout(300_000 * SLOW);

const UDP_SEGMENT = 103;

const ARGUMENTS = ['--addr', '10.77.0.1/24', '--ring-size', '256K'];
/** The device to which others send copies and redirected frames: one end of a veth pair. */
const ELSEWHERE = 'other0';

/** On an emulated machine, which is slow: one of each kind, and those that the host may lack. */
const BRIEF = SLOW > 1;

/** Programs that return a verdict for the frame, or change its metadata, but let it continue. */
const HARMLESS: readonly OtherName[] = BRIEF
  ? ['accepts', 'unhashes']
  : ['accepts', 'classifies', 'marks', 'hashes', 'unhashes', 'edits', 'mirrors'];

const U32 = ['u32', 'match', 'u32', '0', '0'];
const FILTERS: readonly (readonly string[])[] = [
  [...U32, 'classid', '1:1'],
  [...U32, 'classid', '1:8001'],
  [...U32, 'action', 'ok'],
  [...U32, 'action', 'skbedit', 'mark', '22094', 'priority', '6', 'queue_mapping', '1'],
  [...U32, 'action', 'pedit', 'ex', 'munge', 'eth', 'src', 'set', '02:00:00:00:00:ee', 'pipe', 'action', 'ok'],
  [...U32, 'action', 'mirred', 'egress', 'mirror', 'dev', 'lo'],
];

function namespace(t: Test, make = quietNetns): string {
  const netns = make(t);
  ok('ip', ['-n', netns, 'link', 'add', ELSEWHERE, 'type', 'veth', 'peer', 'name', 'other1']);
  for (const end of [ELSEWHERE, 'other1', 'lo']) ok('ip', ['-n', netns, 'link', 'set', end, 'up']);
  return netns;
}

/** A flow whose neighbour is known, because one datagram has come back. */
async function flowOf(t: Test, nic: Attached, bytes = 200): Promise<OwnUdp> {
  const udp = new OwnUdp(t, nic.netns, ADDRESSES[0], bytes);
  await exchange(udp, 1);
  t.ok(await udp.takeUntil(1, WAIT_MS), 'one comes back');
  return udp;
}

const put = (t: Test, nic: Attached, program: OtherName): OtherProgram =>
  OtherProgram.behind(t, nic, { program, elsewhere: ELSEWHERE });

/** Frames that wait, with a program behind ours that lets them continue: as if there were none. */
async function changesNothing(t: Test, nic: Attached, udp: OwnUdp): Promise<void> {
  await holds(t, nic, udp);
  const stats = await atRest(nic);
  t.same(stats.behind, { missing: 0, copies: 0, lost: 0 }, 'the peer saw what tx let go');
  t.same(lostBehind(stats), [], 'nothing was lost, and nothing had no mark');
  t.ok(frameAccounting(stats).balanced, 'the frame accounting balances');
}

interface Taken {
  before: Stats;
  after: Stats;
  sent: number;
  received: number;
  held: number;
}

/** Fills the queue with a program behind ours that removes frames. */
async function takesAway(t: Test, nic: Attached, udp: OwnUdp, program: OtherName): Promise<Taken> {
  const before = await atRest(nic);
  const [sent, received] = [udp.sent, udp.received];
  const other = put(t, nic, program);
  let held = 0;
  await stopped(nic, () => {
    udp.offer(2000);
    held = look(nic).held.now;
  });
  for (const end = Date.now() + WAIT_MS; look(nic).queue.stopped && Date.now() < end; await delay(20)) udp.take();
  const after = await atRest(nic);
  udp.take();
  other.detach();
  t.ok(other.seen() >= udp.sent - sent, 'it has seen all of them');
  return { before, after, sent: udp.sent - sent, received: udp.received - received, held };
}

/** Captured frames come back although their originals were removed; held frames are lost, counted and named. */
async function isNamed(t: Test, nic: Attached, udp: OwnUdp, program: OtherName): Promise<void> {
  const { before, after, sent, received, held } = await takesAway(t, nic, udp, program);
  const dropped = after.held.dropped - before.held.dropped;
  t.ok(held > 0 && dropped >= held, `${dropped} of ${sent} were lost: those that had to wait`);
  t.equal(received + dropped, sent, 'the others came back');
  const missing = after.behind.missing - before.behind.missing;
  t.ok(missing >= sent, `the peer misses ${missing}`);
  if (program === 'erases') t.equal(after.stray - before.stray, missing, 'it saw as many without a mark');
  else t.equal(after.stray, before.stray, 'it saw none of them');
  t.ok(frameAccounting(after).balanced && after.state === 'running', 'the accounting balances, the queue runs');
  const text = cliOk(['stats', nic.iface, '--netns', nic.netns, '--check']);
  t.match(
    text,
    new RegExp(`accounting.*balanced, but not all came back: held.dropped ${after.held.dropped}`),
    'the accounting does not say just "balanced"',
  );
  t.match(text, new RegExp(`behind +${after.behind.missing} missing`), 'and has a line for it');
}

async function behindOurs(t: Test, nic: Attached): Promise<void> {
  const udp = await flowOf(t, nic);
  for (const program of HARMLESS) {
    await t.test(`a program that ${program}`, async (t) => {
      const other = put(t, nic, program);
      await changesNothing(t, nic, udp);
      other.detach();
      t.ok(other.seen() > 0, `it has seen ${other.seen()} frames`);
    });
  }
  addClsact(nic);
  for (const filter of BRIEF ? FILTERS.slice(3, 5) : FILTERS) {
    await t.test(`tc filter ${filter.slice(U32.length).join(' ')}`, { skip: withoutFilter(filter) }, async (t) => {
      const remove = addFilter(nic.netns, nic.iface, 'behind', filter);
      await changesNothing(t, nic, udp);
      remove();
    });
  }
  if (BRIEF) return isNamed(t, nic, udp, 'erases');
  await t.test('a program that tags: they come back tagged', async (t) => {
    const { before, after, sent, received } = await takesAway(t, nic, udp, 'tags');
    t.equal(after.rx.packets - before.rx.packets, sent, `all came back, ${sent - received} of them tagged`);
    t.same(after.behind, before.behind, 'the peer saw all');
    t.same(lostBehind(after), [], 'nothing was lost');
  });
  for (const program of ['drops', 'redirects', 'erases'] as const)
    await t.test(`a program that ${program}`, (t) => isNamed(t, nic, udp, program));
}

t.test('behind tcx', { skip: without('tcx') }, async (t) => {
  const nic = attachedIn(t, namespace(t), ARGUMENTS);
  t.equal(attachmentOf(nic).attach, 'tcx');
  await behindOurs(t, nic);
});

if (!BRIEF || without('tcx'))
  t.test('behind clsact', { skip: cannotLoop() }, async (t) => {
    const nic = attachedIn(t, namespace(t), ARGUMENTS, 'vnet0', CLSACT);
    t.equal(attachmentOf(nic).attach, 'clsact');
    await behindOurs(t, nic);
    if (BRIEF) return;
    await t.test('before ours, a program that hashes', async (t) => {
      const udp = await flowOf(t, nic);
      const before = look(nic);
      const other = OtherProgram.filter(t, nic.netns, nic.iface, 'before', { program: 'hashes' });
      await holds(t, nic, udp);
      other.detach();
      t.same((await atRest(nic)).behind, before.behind, 'the peer saw what tx let go');
    });
    await t.test('before ours, a program that accepts ends the chain: none is looped, each is named', async (t) => {
      const udp = await flowOf(t, nic);
      const before = look(nic);
      const other = OtherProgram.filter(t, nic.netns, nic.iface, 'before', { program: 'accepts' });
      t.equal(udp.offer(50), 50);
      t.ok((await udp.takeUntil(51, 200 * SLOW)) === false, 'none comes back');
      other.detach();
      t.equal((await atRest(nic)).stray - before.stray, other.seen(), 'each is counted as stray');
    });
  });

if (!BRIEF)
  t.test('two queues', { skip: cannotLoop() }, async (t) => {
    const nic = attachedIn(t, namespace(t), [...ARGUMENTS, ...TWO_QUEUES]);
    const flows = await Promise.all(Array.from({ length: 8 }, () => flowOf(t, nic, 400)));
    for (const program of ['accepts', 'unhashes'] as const) {
      const other = put(t, nic, program);
      await stopped(nic, () => {
        for (const flow of flows) flow.offer(200);
        t.ok(look(nic).held.now > 0, `${program}: frames are held`);
      });
      await checkFlows(t, flows);
      other.detach();
      const stats = await atRest(nic);
      t.same(
        { behind: stats.behind, lost: lostBehind(stats) },
        { behind: { missing: 0, copies: 0, lost: 0 }, lost: [] },
        'nothing is missing',
      );
    }
  });

t.test('superpackets that the kernel cuts up', { skip: cannotLoop() }, async (t) => {
  const nic = attachedIn(t, namespace(t, testNetns), [
    '--addr',
    '10.77.0.1/24',
    '--addr',
    'fd77::1/64',
    '--ring-size',
    '256K',
  ]);
  // Those of UDP without an extension header are described in virtio_net_hdr where the kernel knows them.
  const udp = new UdpSuperpackets(t, nic.netns, ADDRESSES[1], {
    payload: 30_000,
    segment: 1400,
    ...(passesUdpGso() && { extension: 'hop-by-hop' as const }),
  });
  const allBack = async (): Promise<void> => {
    for (const end = Date.now() + WAIT_MS; udp.received < udp.sent && Date.now() < end; await delay(5)) udp.take();
  };
  t.equal(udp.offer(), null, 'one is taken');
  await allBack();
  const other = put(t, nic, 'accepts');
  await stopped(nic, () => {
    for (let i = 0; i < 20 && udp.offer() === null;) i++;
    t.ok(look(nic).held.now > 0, 'frames are held');
  });
  await allBack();
  t.same(
    { received: udp.received, order: udp.outOfOrder, damaged: udp.damaged },
    { received: udp.sent, order: 0, damaged: 0 },
    `all ${udp.sent} came back, in order and whole`,
  );
  t.same(lostBehind(await atRest(nic)), [], 'nothing was lost');
  other.detach();

  const taker = put(t, nic, 'drops');
  const sent = udp.sent;
  t.equal(udp.offer(), null, 'one more is taken');
  const stats = await atRest(nic);
  taker.detach();
  t.ok(frameAccounting(stats).balanced, 'the frame accounting balances');
  t.ok(
    stats.behind.lost >= udp.sent - sent,
    `dropped behind ours, its ${udp.sent - sent} frames are lost: ${stats.behind.lost}`,
  );
  t.match(
    cliOk(['stats', nic.iface, '--netns', nic.netns, '--check']),
    /balanced, but not all came back: behind.lost/,
    'which the accounting says',
  );
});

/** Sends `count` superpackets to an address where no process listens; returns the datagrams of each. */
function sendSuperpackets(netns: string, address: string, count: number): number {
  const [segments, bytes] = [10, 1400];
  const socket = native.openSocket(netns, native.AF_INET, native.SOCK_DGRAM, 0);
  using messages = new Messages(1, segments * bytes);
  try {
    native.setOption(socket, native.SOL_UDP, UDP_SEGMENT, bytes);
    native.connect(socket, native.socketAddress(address, 9));
    for (let i = 0; i < count; i++) if (messages.send(socket, 0, 1) < 0) throw new Error('a superpacket was not taken');
  } finally {
    fs.closeSync(socket);
  }
  return segments;
}

if (!BRIEF)
  t.test('superpackets in a tunnel', { skip: cannotLoop() }, async (t) => {
    const nic = attachedIn(t, namespace(t), ARGUMENTS);
    const tunnel = ['-n', nic.netns];
    ok('ip', [
      ...tunnel,
      'link',
      'add',
      'vx0',
      'type',
      'vxlan',
      'id',
      '7',
      'local',
      '10.77.0.1',
      'remote',
      '10.77.0.1',
      'dstport',
      '4789',
      'dev',
      nic.iface,
    ]);
    ok('ip', [...tunnel, 'addr', 'add', '10.99.0.1/24', 'dev', 'vx0']);
    ok('ip', [...tunnel, 'link', 'set', 'vx0', 'up']);
    ok('ip', [...tunnel, 'neigh', 'add', '10.99.0.2', 'lladdr', '02:00:00:00:00:02', 'dev', 'vx0']);
    await flowOf(t, nic);
    const other = put(t, nic, 'accepts');
    const before = await atRest(nic);
    const frames = 10 * sendSuperpackets(nic.netns, '10.99.0.2', 10);
    const after = await atRest(nic);
    other.detach();
    t.ok(after.rx.packets - before.rx.packets >= frames, `all ${frames} frames came back`);
    t.same(
      { behind: after.behind, lost: lostBehind(after) },
      { behind: { missing: 0, copies: 0, lost: 0 }, lost: [] },
      'nothing is missing',
    );
  });

t.test('behind ours on a dummy', { skip: cannotLoop() || withoutDummy() }, async (t) => {
  const nic = attachedIn(t, namespace(t), [...ARGUMENTS, '--type', 'dummy']);
  const udp = await flowOf(t, nic);
  for (const program of ['accepts', 'erases', 'drops'] as const) {
    const other = put(t, nic, program);
    await exchange(udp, udp.sent + 100, 100);
    t.ok(await udp.takeUntil(udp.sent, WAIT_MS), `${program}: all came back`);
    other.detach();
  }
  const stats = await atRest(nic);
  t.same(
    { behind: stats.behind, stray: stats.stray },
    { behind: { missing: 0, copies: 0, lost: 0 }, stray: 0 },
    'there is no peer that could miss any',
  );
});
