// SPDX-License-Identifier: MIT
/** Datagrams that are merged on the reinject path: only the counter shows it. */
import t, { type Test } from 'tap';

import { passesUdpGso } from '../../src/requirements';
import { attachedIn, attachmentOf, BACK_END, checkAccounting, cliOk, SLOW, type Attached } from '../helpers/cli';
import { datagram, type Datagram } from '../helpers/datagrams';
import { quietNetns, testNetns } from '../helpers/netns';
import { OwnUdp } from '../helpers/own-sockets';
import { RawSocket } from '../helpers/raw-socket';
import { cannotLoop } from '../helpers/supported';

t.setTimeout(120_000 * SLOW);

const BURST = 200;
/** A poller that rests for 2 ms after each batch finds the next burst whole. */
const SLOW_POLLER = { VNET_BPF_TEST_POLL_DELAY_US: '2000' };
const skip =
  cannotLoop() ||
  (BACK_END === 'dummy' && 'a dummy delivers merged packets whole') ||
  (!passesUdpGso() && 'this kernel takes no UDP superpackets');

const ADDRESSES = ['10.77.0.1', 'fd77::1'] as const;
const BOTH = ['--addr', '10.77.0.1/24', '--addr', 'fd77::1/64'] as const;
const ETHERNET = 14;
const headers = (address: string): number => ETHERNET + 8 + (address.includes(':') ? 40 : 20);

/** Matches UDP only: IPv6 sometimes sends messages of its own, which are longer than the smallest of these. */
const isDatagram = (frame: Buffer): boolean => frame[frame.readUInt16BE(12) === 0x86dd ? 20 : 23] === 17;

const merged = (nic: Attached): number => nic.stats().poll.merged;

/** Sends a burst and receives it. */
async function burst(t: Test, udp: OwnUdp, count = BURST): Promise<void> {
  const until = udp.received + count;
  while (udp.sent < until) udp.offer(until - udp.sent);
  t.ok(await udp.takeUntil(until, 5_000 * SLOW), `${udp.received} of ${until} came back`);
  t.same(
    { order: udp.outOfOrder, damaged: udp.damaged },
    { order: 0, damaged: 0 },
    'in order, each with its own bytes',
  );
}

t.test('datagrams of one flow are merged, and received one by one', { skip }, async (t) => {
  const nic = attachedIn(t, testNetns(t), BOTH, 'vnet0', SLOW_POLLER);
  const raw = RawSocket.open(t, nic.netns, nic.iface);
  for (const address of ADDRESSES) {
    for (const bytes of [9, 64, 1400]) {
      const udp = new OwnUdp(t, nic.netns, address, bytes);
      await burst(t, udp, 1); // a neighbour is found
      raw.captured();
      const before = merged(nic);
      await burst(t, udp);
      const most = Math.max(
        ...raw
          .captured()
          .map(({ frame }) => frame)
          .filter(isDatagram)
          .map(({ length }) => length),
      );
      t.equal(most, bytes + headers(address), `${address}, ${bytes} bytes: a listener on the interface sees frames`);
      t.ok(merged(nic) - before > BURST / 2, `${merged(nic) - before} of ${BURST} were merged into others' packets`);
    }
  }
  checkAccounting(t, nic, await nic.atRest());
});

t.test('datagrams come back byte by byte, also beside wrong checksums', { skip }, async (t) => {
  const nic = attachedIn(t, testNetns(t), BOTH, 'vnet0', SLOW_POLLER);
  const listener = RawSocket.open(t, nic.netns, nic.iface);
  const sender = RawSocket.open(t, nic.netns, nic.iface, { vnetHeader: true });
  const odd: Datagram[] = [{ udpSumOff: 0x5555 }, { ipSumOff: 0x55 }, { identification: 7 }, { bytes: 40 }];
  const sourcePort = 4242;
  for (const family of [4, 6] as const) {
    const flow = Array.from({ length: BURST }, (_, i): Datagram => {
      const one = { family, mac: 2, sourcePort, fill: i, identification: i };
      return i % 20 === 0 ? { ...one, ...odd[(i / 20) % odd.length] } : one;
    });
    const frames = flow.map(datagram);
    const before = merged(nic);
    for (const { frame, vnetHeader } of frames) sender.send(Buffer.concat([Buffer.from(vnetHeader, 'latin1'), frame]));
    const ours = (frame: Buffer): boolean =>
      isDatagram(frame) && frame.readUInt16BE(family === 4 ? 34 : 54) === sourcePort;
    const received = await listener.received(BURST, ours);
    t.same(
      received.map(({ frame }) => frame.toString('hex')),
      frames.map(({ frame }) => frame.toString('hex')),
      `IPv${family}: as they were sent`,
    );
    t.ok(merged(nic) - before > BURST / 2, `${merged(nic) - before} of ${BURST} were merged`);
  }
  checkAccounting(t, nic, await nic.atRest());
});

t.test('between them a superpacket of the sender stays whole', { skip }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), BOTH.slice(0, 2), 'vnet0', SLOW_POLLER);
  const udp = new OwnUdp(t, nic.netns, ADDRESSES[0], 500);
  await burst(t, udp, 1);
  const raw = RawSocket.open(t, nic.netns, nic.iface);
  const tx = nic.stats().tx.packets;
  udp.offer(50);
  udp.sendSuperpacket(40);
  udp.offer(50);
  t.ok(await udp.takeUntil(141, 5_000 * SLOW), `${udp.received} of 141 came back`);
  t.same({ order: udp.outOfOrder, damaged: udp.damaged }, { order: 0, damaged: 0 }, 'in order and whole');
  const received = raw
    .captured()
    .filter(({ direction }) => direction !== 'outgoing')
    .map(({ frame }) => frame.length);
  const one = 500 + headers(ADDRESSES[0]);
  t.same(
    received,
    [...Array<number>(50).fill(one), 40 * 500 + headers(ADDRESSES[0]), ...Array<number>(50).fill(one)],
    'frames, a superpacket, frames',
  );
  const stats = await nic.atRest();
  t.equal(stats.tx.packets - tx, 101);
  t.ok(stats.poll.merged > 50, `${stats.poll.merged} were merged`);
  checkAccounting(t, nic, stats);
});

t.test('--gro off merges nothing; who adopts the interface may choose anew', { skip }, async (t) => {
  const netns = quietNetns(t);
  const nic = attachedIn(t, netns, [...BOTH.slice(0, 2), '--gro', 'off'], 'vnet0', SLOW_POLLER);
  const udp = new OwnUdp(t, netns, ADDRESSES[0], 100);
  const crashAndAttach = (gro: string): void => {
    process.kill(attachmentOf(nic).pid, 'SIGKILL');
    cliOk(['attach', nic.iface, '--netns', netns, '--daemon', '--gro', gro], SLOW_POLLER);
  };
  await burst(t, udp, 1); // finds the neighbour: packets that wait for one may be overtaken
  for (const [round, [gro, merges]] of (
    [
      ['off', false],
      ['on', true],
      ['off', false],
      ['on', true],
    ] as const
  ).entries()) {
    if (round > 0) crashAndAttach(gro);
    const before = merged(nic);
    await burst(t, udp);
    t.equal(merged(nic) - before > 0, merges, `--gro ${gro}: ${merged(nic) - before} were merged`);
    checkAccounting(t, nic, await nic.atRest());
  }
});
