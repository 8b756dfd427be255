// SPDX-License-Identifier: MIT
/**
 * The example `host`: addresses that exist only in TypeScript answer like those of any machine.
 * VNET_BPF_TEST_PINGS=10000 for the full run.
 */
import * as path from 'node:path';

import t from 'tap';

import { attachedIn, cannotRun, cliOk, ROOT, SLOW } from '../../helpers/cli';
import { EchoClient } from '../../helpers/echo-client';
import { okIn, testNetns } from '../../helpers/netns';
import { scaled, withoutTools } from '../../helpers/traffic';

const PINGS = Number(process.env['VNET_BPF_TEST_PINGS'] ?? scaled(5_000));
const HOST = path.join(ROOT, 'dist', 'examples', 'host.js');
const V4 = '10.77.0.2';
const V6 = 'fd77::2';

t.setTimeout(300_000 * SLOW);

t.test('host', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  okIn(netns, 'ip', ['link', 'set', 'lo', 'up']);
  const nic = attachedIn(t, netns, ['--addr', '10.77.0.1/24', '--addr', 'fd77::1/64', '--hook', HOST]);
  const where = [nic.iface, '--netns', netns];

  for (const address of [V4, V6]) {
    t.test(`${PINGS} pings to ${address}`, async (t) => {
      const output = okIn(netns, 'ping', ['-q', '-c', String(PINGS), '-i', '0.0005', '-W', String(5 * SLOW), address]);
      t.match(output, `${PINGS} packets transmitted, ${PINGS} received, 0% packet loss`, 'none is lost');
    });

    t.test(`UDP echo of ${address}`, async (t) => {
      for (const bytes of [0, 1, 1000, 1400])
        t.ok(await EchoClient.udp(t, netns, address, bytes), `${bytes} bytes come back as they were`);
    });

    t.test(`TCP echo of ${address}: 10 MB both ways`, async (t) => {
      const bytes = scaled(10 << 20);
      const { received, equal } = await EchoClient.tcp(t, netns, address, bytes);
      t.equal(received, bytes);
      t.ok(equal, 'with the same hash');
    });

    t.test(`DNS of ${address}`, { skip: withoutTools('dig') }, async (t) => {
      const dig = (type: string): string =>
        okIn(netns, 'dig', ['+short', `+time=${2 * SLOW}`, `@${address}`, 'host.test', type]).trim();
      t.equal(dig('A'), V4);
      t.equal(dig('AAAA'), V6);
      t.equal(dig('TXT'), '', 'there is nothing else');
    });
  }

  t.test('what is for others still loops', async (t) => {
    t.match(okIn(netns, 'ping', ['-c', '3', '-i', '0.1', '-W', String(2 * SLOW), '10.77.0.1']), '3 received');
    const stats = await nic.atRest();
    t.equal(stats.hooks.errors, 0);
    t.match(cliOk(['stats', ...where, '--check']), 'balanced', 'the frame accounting balances');
  });
});
