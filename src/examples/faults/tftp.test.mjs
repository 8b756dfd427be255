// SPDX-License-Identifier: MIT
// The network duplicates a single acknowledgment, or loses it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Lab } from 'vnet-bpf/testing';

const program = fileURLToPath(new URL('tftp.mjs', import.meta.url));
const ACK = 'udp[8:2] = 4'; // the operation is in the first two bytes of the payload

/** The number of datagrams that the server sent. The file has 21 blocks. */
async function datagrams(server) {
  const output = await lab.run(process.execPath, [program, server], { timeoutMs: 20_000 });
  assert.match(output, /complete$/m);
  return Number(/in (\d+) datagrams/.exec(output)[1]);
}

let lab;
before(async () => (lab = await Lab.create({ addresses: ['10.77.0.1/24'] })));
after(() => lab.close());

test('one duplicated ACK, and a careless server sends the rest of the file twice', async () => {
  await lab.faults(`${ACK} nth 3: duplicate`);
  assert.ok((await datagrams('careless')) > 35);
});

test('a careful server sends each block once', async () => {
  await lab.faults(`${ACK} nth 3: duplicate`);
  assert.ok((await datagrams('careful')) < 25); // few are sent again if the machine is slow
  assert.equal((await lab.faultLog()).length, 1);
});

test('a lost ACK costs one more datagram', async () => {
  await lab.faults(`${ACK} nth 3: drop`);
  const sent = await datagrams('careful');
  assert.ok(sent > 21 && sent < 25, `${sent} datagrams`);
});
