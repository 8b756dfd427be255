// SPDX-License-Identifier: MIT
/** `record`, once, on any kernel: each frame with its outcome. */
import * as fs from 'node:fs';

import t from 'tap';

import { attachedIn, SLOW } from '../helpers/cli';
import { eventually } from '../helpers/controller';
import { ADDRESSES, atRest, checkRest, delay, exchange, look, stopped } from '../helpers/loop';
import { okIn, quietNetns } from '../helpers/netns';
import { OwnUdp } from '../helpers/own-sockets';
import { kindsOf, readRecording, startRecording, summaryOf, tracePin } from '../helpers/recording';
import { cannotLoop } from '../helpers/supported';

t.setTimeout(300_000 * SLOW);

const COUNT = 600;

t.test('recorded', { skip: cannotLoop() }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ['--addr', '10.77.0.1/24', '--ring-size', '256K']);
  const udp = new OwnUdp(t, nic.netns, ADDRESSES[0], 1000);
  okIn(nic.netns, 'ping', ['-q', '-c', '1', '-W', String(2 * SLOW), ADDRESSES[0]]);
  const before = await atRest(nic);
  const recording = await startRecording(t, nic);
  okIn(nic.netns, 'ping', ['-q', '-c', '3', '-i', '0.2', '-W', String(2 * SLOW), ADDRESSES[0]]);
  await exchange(udp, 20);
  // The poller is stopped: the ring fills, and the rest is held.
  await stopped(nic, () => udp.offer(COUNT));
  await exchange(udp, 20 + COUNT);
  const rest = await checkRest(t, nic);
  t.match(await recording.end(), /^\d+ frames? of vnet0 in /);
  const sent = rest.tx.packets - before.tx.packets;
  const frames = await readRecording(recording.file);
  t.equal(frames.length, sent, 'every frame is in the file');
  t.equal(summaryOf(recording.file).missed, 0);
  t.ok(
    frames.every(({ bytes, length }) => bytes.length === length),
    'whole',
  );
  const kinds = kindsOf(frames);
  const reinjected = Object.entries(kinds).filter(([kind]) =>
    /^captured, (held for T, )?reinjected (with others )?after T$/.test(kind),
  );
  t.equal(
    reinjected.reduce((sum, [, count]) => sum + count, 0),
    sent,
    `all were reinjected: ${JSON.stringify(kinds)}`,
  );
  const held = reinjected.filter(([kind]) => kind.includes('held')).reduce((sum, [, count]) => sum + count, 0);
  t.equal(held, rest.held.total - before.held.total, 'as many were held as are counted');
  t.ok(held > 0, `${held} were`);
  t.notOk(fs.existsSync(tracePin(nic)), 'nothing is left of the recording');

  await t.test('a recorder is killed', async (t) => {
    const killed = await startRecording(t, nic);
    t.ok(fs.existsSync(tracePin(nic)));
    killed.child.kill('SIGKILL');
    t.ok(await eventually(() => !fs.existsSync(tracePin(nic))), 'the recording ends');
    await exchange(udp, udp.sent + 100);
    const { tx } = await atRest(nic);
    await delay(10);
    t.equal(look(nic).tx.packets, tx.packets, 'and the loop goes on');
    await checkRest(t, nic);
  });
});
