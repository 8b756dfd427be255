// SPDX-License-Identifier: MIT
// A WebSocket connection is reset in the middle of its messages.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Lab } from 'vnet-bpf/testing';

const program = fileURLToPath(new URL('websocket-reconnect.mjs', import.meta.url));
const ALL = Array.from({ length: 20 }, (_, i) => i + 1);

async function received(client) {
  const output = await lab.run(process.execPath, [program, client], { timeoutMs: 20_000 });
  return [...output.matchAll(/\d+/g)].map(Number);
}

let lab;
before(async () => (lab = await Lab.create({ addresses: ['10.77.0.1/24'] })));
// The answer to the upgrade has some 130 bytes, each message some 22.
beforeEach(() => lab.faults('tcp port 8080 from server connection 1 at-byte 300: reset'));
after(() => lab.close());

test('a client that does not connect again misses the rest', async () => {
  const numbers = await received('careless');
  assert.ok(numbers.length < 20);
  assert.deepEqual(numbers, ALL.slice(0, numbers.length));
  assert.match((await lab.faultLog())[0].effect, /reset/);
});

test('a client that connects again has each message once, in order', async () => {
  assert.deepEqual(await received('careful'), ALL);
  assert.match((await lab.faultLog())[0].effect, /reset/);
});

test('without the fault, one connection is enough', async () => {
  await lab.faults(null);
  assert.deepEqual(await received('careless'), ALL);
});
