// SPDX-License-Identifier: MIT
// The first answer of a name server is lost.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Lab } from 'vnet-bpf/testing';

const program = fileURLToPath(new URL('dns-retry.mjs', import.meta.url));
const lookUp = (client) => lab.run(process.execPath, [program, client], { timeoutMs: 3000 });

let lab;
before(async () => (lab = await Lab.create({ addresses: ['10.77.0.1/24'] })));
beforeEach(() => lab.faults('udp port 53 from server connection 1 nth 1: drop'));
after(() => lab.close());

test('a client without a time limit hangs', async () => {
  await assert.rejects(lookUp('careless'), /has not ended within 3000 ms/);
  assert.equal((await lab.faultLog()).length, 1);
});

test('a client that asks again has its answer', async () => {
  assert.equal(await lookUp('careful'), '192.0.2.1\n');
  assert.equal((await lab.faultLog()).length, 1);
});

test('without the fault, both have it', async () => {
  await lab.faults(null);
  for (const client of ['careless', 'careful']) assert.equal(await lookUp(client), '192.0.2.1\n');
});
