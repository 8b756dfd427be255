// SPDX-License-Identifier: MIT
/**
 * TCP superpackets whose length does not fit into the IP header: whole if the ring is large enough, otherwise
 * segmented.
 */
import t, { type Test } from 'tap';

import { VNET_HDR_BYTES } from '../../src/layout';
import { passesBigTcp } from '../../src/requirements';
import { attachedIn, BACK_END, checkAccounting, SLOW, type Attached } from '../helpers/cli';
import { from } from '../helpers/frames';
import { quietNetns } from '../helpers/netns';
import { RawSocket } from '../helpers/raw-socket';
import { cannotLoop } from '../helpers/supported';
import { payloadOf, PROBE_MAC, tcpSuperpacket } from '../helpers/tcp-superpacket';

t.setTimeout(120_000 * SLOW);

const SEGMENT = 1448;
const skip =
  cannotLoop() ||
  (BACK_END === 'dummy' && 'a dummy is left as it is') ||
  (!passesBigTcp() && 'this kernel has no BIG TCP');

/** Makes the interface send superpackets with these payload sizes, in bytes, and returns what it receives. */
async function loop(t: Test, nic: Attached, sizes: readonly number[], expected: number): Promise<Buffer[]> {
  const raw = RawSocket.open(t, nic.netns, nic.iface, { vnetHeader: true });
  for (const [number, payload] of sizes.entries()) raw.send(tcpSuperpacket(number, payload, SEGMENT));
  const back = await raw.received(expected, from(PROBE_MAC));
  return back.map(({ frame }) => frame);
}

t.test('above 64 KiB they come back whole', { skip }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ['--addr', '10.77.0.1/24']);
  const before = nic.stats();
  const sizes = [1_000, 65_000, 66_000, 131_000, 200_000, 260_000];
  const frames = await loop(t, nic, sizes, sizes.length);
  t.same(
    frames.map((frame) => payloadOf(frame).length),
    sizes,
    'as long as they were',
  );
  t.ok(
    frames.every((frame, number) =>
      frame.equals(tcpSuperpacket(number, sizes[number] as number, SEGMENT).subarray(VNET_HDR_BYTES)),
    ),
    'byte for byte',
  );
  const after = await nic.atRest();
  t.equal(after.tx.packets - before.tx.packets, sizes.length, 'each counts once');
  t.ok(after.queue.largestFrame > 260_000, `the largest frame in the ring had ${after.queue.largestFrame} bytes`);
  checkAccounting(t, nic, after);
});

t.test('where the ring is too small for them the kernel cuts them up, and nothing is lost', { skip }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ['--addr', '10.77.0.1/24', '--ring-size', '1M']);
  const before = nic.stats();
  const sizes = [60_000, 100_000, 200_000];
  const pieces = [1, Math.ceil(100_000 / SEGMENT), Math.ceil(200_000 / SEGMENT)];
  const count = pieces.reduce((sum, each) => sum + each);
  const frames = await loop(t, nic, sizes, count);
  t.equal(frames.length, count, 'the first whole, of the others the segments');
  t.equal(payloadOf(frames[0] as Buffer).length, 60_000);
  const bytes = frames.map((frame) => payloadOf(frame).length).reduce((sum, each) => sum + each);
  t.equal(bytes, 360_000, 'with every byte of them');
  const after = await nic.atRest();
  t.equal(after.tx.packets - before.tx.packets, count, 'TX counts frames, as veth does');
  t.ok(after.queue.largestFrame < 65_576, `the largest frame in the ring had ${after.queue.largestFrame} bytes`);
  checkAccounting(t, nic, after);
});
