// SPDX-License-Identifier: MIT
// The FIN with which a server closes an idle connection does not arrive before the client's next request.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Lab } from 'vnet-bpf/testing';

const program = fileURLToPath(new URL('http-keep-alive.mjs', import.meta.url));
const twoRequests = (client) => lab.run(process.execPath, [program, client], { timeoutMs: 20_000 });

let lab;
before(async () => (lab = await Lab.create({ addresses: ['10.77.0.1/24'] })));
// With its retransmissions. A later connection is closed as usual.
beforeEach(() => lab.faults('tcp port 8080 and tcp[tcpflags] & tcp-fin != 0 from server connection 1: drop'));
after(() => lab.close());

test('a client without a second attempt fails', async () => {
  await assert.rejects(twoRequests('careless'), /ECONNRESET/);
});

test('a client that repeats the request has both pages', async () => {
  assert.equal(await twoRequests('careful'), 'this is /first\nthis is /second\n');
  assert.notEqual((await lab.faultLog()).length, 0);
});

test('without the fault, the client notices that the connection is closed', async () => {
  await lab.faults(null);
  assert.equal(await twoRequests('careless'), 'this is /first\nthis is /second\n');
});
