// SPDX-License-Identifier: MIT
// The second datagram of a QUIC handshake, which is the server's first, is lost.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Lab } from 'vnet-bpf/testing';

const program = fileURLToPath(new URL('quic-handshake.mjs', import.meta.url));
const fetchPage = (client) => lab.run(process.execPath, [program, client], { timeoutMs: 20_000 });

let lab;
before(async () => (lab = await Lab.create({ addresses: ['10.77.0.1/24'] })));
beforeEach(() => lab.faults('udp port 4433 connection 1 nth 2: drop'));
after(() => lab.close());

test('0.8 s are not enough for a handshake', async () => {
  await assert.rejects(fetchPage('careless'), /the handshake has not ended in time/);
  assert.equal((await lab.faultLog()).length, 1);
});

test('with more time, QUIC sends it again', async () => {
  assert.equal(await fetchPage('careful'), 'a page over HTTP/3\n');
  assert.deepEqual(
    (await lab.faultLog()).map(({ from, n, effect }) => [from, n, effect]),
    [['server', 2, 'drop']],
  );
});
