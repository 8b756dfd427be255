// SPDX-License-Identifier: MIT
/** What was recorded, sent once more: the same frames. */
import t from 'tap';

import { attachedIn, cliOk, SLOW } from '../helpers/cli';
import { ADDRESSES, atRest, checkRest, exchange, stopped } from '../helpers/loop';
import { quietNetns } from '../helpers/netns';
import { OwnUdp } from '../helpers/own-sockets';
import { readRecording, startRecording } from '../helpers/recording';
import { cannotLoop } from '../helpers/supported';

t.setTimeout(300_000 * SLOW);

const COUNT = 600;

t.test('replayed', { skip: cannotLoop() }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ['--addr', '10.77.0.1/24', '--ring-size', '256K']);
  const udp = new OwnUdp(t, nic.netns, ADDRESSES[0], 1000);
  const recording = await startRecording(t, nic);
  await exchange(udp, 20);
  await stopped(nic, () => udp.offer(COUNT));
  await exchange(udp, 20 + COUNT);
  await checkRest(t, nic);
  await recording.end();
  const frames = await readRecording(recording.file);
  t.ok(frames.length > COUNT, `${frames.length} frames were recorded`);

  const other = attachedIn(t, quietNetns(t), ['--ring-size', '256K']);
  const again = await startRecording(t, other);
  t.match(cliOk(['replay', recording.file, '--into', other.iface, '--netns', other.netns]), `${frames.length} frames sent on vnet0 `);
  await atRest(other);
  await again.end();
  const replayed = await readRecording(again.file);
  const asSent = (each: typeof frames): string[] => each.map(({ bytes, header }) => `${header} ${bytes.toString('hex')}`);
  t.same(asSent(replayed), asSent(frames), 'identical byte for byte, with checksums as they were left to be done');
  await checkRest(t, other);
});
