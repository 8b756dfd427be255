// SPDX-License-Identifier: MIT
/** Four TCP streams at once through a poller slowed ten times: whole, with few retransmissions. */
import t from 'tap';

import { cannotRun, checkAccounting, SLOW } from '../../helpers/cli';
import { slowNic } from '../../helpers/slow-nic';
import { snmpCounter } from '../../helpers/snmp';
import { scaled, tcpRun } from '../../helpers/traffic';

t.setTimeout(300_000 * SLOW);

const ADDRESS = '10.77.0.1';
const STREAMS = 4;

/** With a queue of a few frames and 3 ms between two looks at it, there are only some hundred frames a second. */
const CASES = [
  { args: ['--ring-size', '1M'], bytes: 16 << 20 },
  { args: ['--ring-size', '256K', '--queue-packets', '8'], bytes: 512 << 10 },
];

for (const { args, bytes: wanted } of CASES) {
  t.test(`four streams, ${args.join(' ')}`, { skip: cannotRun }, async (t) => {
    const nic = slowNic(t, { address: ADDRESS, delayUs: 3_000, args });
    const bytes = scaled(wanted);
    const start = performance.now();
    const results = await Promise.all(Array.from({ length: STREAMS }, () => tcpRun(t, nic.netns, ADDRESS, bytes)));
    const seconds = (performance.now() - start) / 1000;
    for (const [i, { sent, received }] of results.entries()) {
      t.equal(received.bytes, bytes, `stream ${i}: every byte arrived`);
      t.equal(received.sha256, sent.sha256, `stream ${i}: equal SHA-256`);
    }
    const after = await nic.atRest();
    const segments = snmpCounter(nic.netns, 'Tcp', 'OutSegs');
    t.comment(
      `${((STREAMS * bytes * 8) / seconds / 1e6).toFixed(0)} Mbit/s; ${snmpCounter(nic.netns, 'Tcp', 'RetransSegs')} of ${segments} segments retransmitted; ` +
        `${after.held.total} held, ${after.queue.stops} stops`,
    );
    t.equal(after.held.dropped, 0, 'the waiting room lost nothing');
    t.same(
      Object.entries(after.refused).filter(([, count]) => count > 0),
      [],
      'nothing was refused',
    );
    checkAccounting(t, nic, after);
  });
}
