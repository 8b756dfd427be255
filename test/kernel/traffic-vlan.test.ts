// SPDX-License-Identifier: MIT
/**
 * Tagged frames come back tagged, wherever the kernel keeps the tag. A raw socket leaves it in the
 * data; a VLAN sub-interface and the receive path keep it beside the data.
 */
import t, { type Test } from 'tap';

import { attached, attachedIn, checkAccounting, SLOW, type Attached } from '../helpers/cli';
import { differences, frameOf, from, macBytes } from '../helpers/frames';
import { ok, okIn, quietNetns, run } from '../helpers/netns';
import { RawSocket } from '../helpers/raw-socket';
import { cannotCarry } from '../helpers/supported';

t.setTimeout(300_000 * SLOW);

const SOURCE = '02:00:00:00:0e:01';
const C_TAG = 0x8100;
const S_TAG = 0x88a8;

const TAGGED: readonly (readonly (readonly [number, number])[])[] = [
  [[C_TAG, 5]],
  [[C_TAG, 0]], // priority tag
  [[C_TAG, 0xe000 | 4094]], // highest priority, last number
  [[C_TAG, 0x1000 | 7]], // drop eligible
  [[S_TAG, 100]],
  [
    [S_TAG, 100],
    [C_TAG, 5],
  ], // QinQ
];

/**
 * Frames of every size class. A packet socket allows for one 802.1Q tag above the MTU, and for nothing else. The
 * kernel's receive path drops a tagged frame without two bytes after its EtherType (skb_vlan_untag), and the
 * redirection below looks at four.
 */
const taggedFrames = (): Buffer[] =>
  TAGGED.flatMap((tags) => {
    const longest = tags.length === 1 && tags[0]?.[0] === C_TAG ? 1518 : 1514;
    return [18 + 4 * tags.length, 60, 61, longest].map((bytes) => frameOf(bytes, { tags }));
  });

async function comeBack(t: Test, nic: Attached, sender: RawSocket, receiver: RawSocket): Promise<void> {
  const frames = taggedFrames();
  for (const frame of frames) sender.send(frame);
  const received = await receiver.received(frames.length, from(SOURCE));
  t.same(
    differences(
      frames,
      received.map(({ frame }) => frame),
    ),
    [],
    'byte for byte, in order',
  );
  t.ok(
    received.every(({ tagBeside }) => tagBeside),
    'the kernel took the tags for tags',
  );
  const stats = await nic.atRest();
  t.equal(stats.tx.packets, frames.length, 'TX counts them');
  checkAccounting(t, nic, stats);
}

t.test('tags inside the data', { skip: cannotCarry() }, async (t) => {
  const nic = attachedIn(t, quietNetns(t));
  const socket = RawSocket.open(t, nic.netns, nic.iface);
  await comeBack(t, nic, socket, socket);
});

t.test('tags beside the data', { skip: cannotCarry() }, async (t) => {
  const netns = quietNetns(t);
  const nic = attachedIn(t, netns);
  // Receiving a frame moves its tag out of the data. So frames that arrive on one end of a veth
  // pair and are redirected to vnet0 reach its egress as those of a VLAN sub-interface do.
  ok('ip', ['-n', netns, 'link', 'add', 'from0', 'type', 'veth', 'peer', 'name', 'from1']);
  for (const end of ['from0', 'from1']) ok('ip', ['-n', netns, 'link', 'set', 'dev', end, 'up']);
  ok('tc', ['-n', netns, 'qdisc', 'add', 'dev', 'from1', 'clsact']);
  // prettier-ignore
  ok('tc', ['-n', netns, 'filter', 'add', 'dev', 'from1', 'ingress', 'protocol', 'all', 'u32', 'match', 'u32', '0', '0',
    'action', 'mirred', 'egress', 'redirect', 'dev', nic.iface]);
  const sender = RawSocket.open(t, netns, 'from0');
  const receiver = RawSocket.open(t, netns, nic.iface);
  await comeBack(t, nic, sender, receiver);
});

t.test('a VLAN sub-interface', { skip: cannotCarry() }, async (t) => {
  const nic = attached(t);
  const add = run('ip', [
    '-n',
    nic.netns,
    'link',
    'add',
    'link',
    nic.iface,
    'name',
    'vnet0.5',
    'type',
    'vlan',
    'id',
    '5',
  ]);
  if (add.status !== 0) {
    t.match(add.stderr, /Unknown device type|Operation not supported/, 'the kernel says why');
    t.pass('a sub-interface', { skip: 'this kernel has no VLAN devices' }); // the test above covers the path
    return;
  }
  const socket = RawSocket.open(t, nic.netns, nic.iface);
  ok('ip', ['-n', nic.netns, 'link', 'set', 'dev', 'vnet0.5', 'up']);
  const sub = RawSocket.open(t, nic.netns, 'vnet0.5');
  const plain = [18, 60, 1514].map((bytes) => frameOf(bytes));
  for (const frame of plain) sub.send(frame);
  const tag = Buffer.from('81000005', 'hex');
  const tagged = plain.map((frame) => Buffer.concat([frame.subarray(0, 12), tag, frame.subarray(12)]));
  const below = await socket.received(plain.length, from(SOURCE));
  t.same(
    differences(
      tagged,
      below.map(({ frame }) => frame),
    ),
    [],
    'vnet0 receives them tagged',
  );
  const above = await sub.received(plain.length, from(SOURCE));
  t.same(
    differences(
      plain,
      above.map(({ frame }) => frame),
    ),
    [],
    'vnet0.5 receives them without the tag',
  );

  // And real traffic with partial checksums: neighbours, then echo requests of the other station.
  const own = macBytes('02:00:00:00:0e:05');
  ok('ip', ['-n', nic.netns, 'addr', 'add', '10.78.0.1/24', 'dev', 'vnet0.5']);
  ok('ip', [
    '-n',
    nic.netns,
    'neigh',
    'add',
    '10.78.0.2',
    'lladdr',
    own.toString('hex').replace(/..(?=.)/g, '$&:'),
    'dev',
    'vnet0.5',
  ]);
  okIn(nic.netns, 'sh', ['-c', 'ping -c 3 -i 0.2 -W 1 -s 1000 10.78.0.2 >/dev/null || true']);
  const echoes = await socket.received(3, (frame) => frame.subarray(0, 6).equals(own));
  t.equal(echoes.length, 3, 'pings through the sub-interface come back');
  t.ok(
    echoes.every(({ frame }) => frame.subarray(12, 16).equals(tag)),
    'tagged',
  );
  checkAccounting(t, nic, await nic.atRest());
});
