// SPDX-License-Identifier: MIT
/** Two pages that stream over WebRTC, on wires of several kinds. `make test-playwright` runs it. */
import { chromium, type Page } from 'playwright-core';
import t from 'tap';
import { Wire } from 'vnet-bpf/playwright';

import { frameAccounting } from '../../src/datapath/stats';
import { SLOW } from '../helpers/cli';
import { eventually } from '../helpers/controller';
import { peersServer } from './peers';
import { CHROMIUM, cut, skip, streams, streamsUntil } from './stream';

t.setTimeout(300_000 * SLOW);

const numbersSentOnce = (page: Page): Promise<number[]> => page.evaluate('numbersSentOnce');

t.test('two pages that stream over WebRTC', { skip }, async (t) => {
  await using wire = await Wire.create({ wire: '3g' });
  // Chromium only has candidates for the address of the default route.
  wire.lab.run('ip', 'route', 'add', 'default', 'dev', wire.lab.nic.name);
  // An address of the wire in place of a name that only multicast DNS knows.
  const args = ['--disable-features=WebRtcHideLocalIpsWithMdns'];
  const browser = await wire.launch(chromium, { executablePath: CHROMIUM, args });
  const at = await wire.listen(peersServer());
  const [sender, receiver] = [await browser.newPage(), await browser.newPage()];
  await Promise.all([receiver.goto(`http://${at}/receiver`), sender.goto(`http://${at}/sender`)]);

  await t.test('3g, handshake included', async (t) => {
    await streams(t, receiver, 20);
    await sender.waitForFunction('roundTrip().then((ms) => ms >= 120)', null, { timeout: 60_000 * SLOW, polling: 100 });
    t.pass('75 ms less 15 ms of jitter each way');
  });
  await wire.set(null);
  await t.test('cut(2000): the stream goes on by the same connection', async (t) => {
    await cut(t, wire, receiver);
    await receiver.waitForFunction('peer.connectionState === "connected"');
  });
  await t.test('every 10th datagram is dropped: only the reliable channel sends it again', async (t) => {
    await wire.faults('udp every 10: drop', { seed: 7 });
    const log = await streamsUntil(t, wire, receiver, 5);
    t.ok(log.every(({ rule, effect, n }) => rule === 1 && effect === 'drop' && n % 10 === 0));
    await wire.faults(null);
  });
  const once = await numbersSentOnce(receiver);
  t.ok(once.length > 20, `${once.length} numbers arrived on the channel that does not send again`);
  t.equal(new Set(once).size, once.length, 'none of them twice');
  t.ok(Math.max(...once) + 1 > once.length, `and of ${Math.max(...once) + 1} some did not`);
  await browser.close();
  t.ok(await eventually(() => frameAccounting(wire.lab.nic.stats()).balanced, 5000), 'the frame accounting balances');
});
