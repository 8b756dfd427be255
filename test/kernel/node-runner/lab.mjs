// SPDX-License-Identifier: MIT
// The fixture with Node's own test runner, from an ES module; started by testing-lab.test.ts.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { ethernet, ipv4, udp } from 'vnet-bpf/hooks';
import { Lab } from 'vnet-bpf/testing';

let lab;
before(async () => {
  lab = await Lab.create({ addresses: ['10.77.0.1/24'] });
});
after(() => lab.close());

test('a datagram comes back', async () => {
  lab.send(
    ethernet(
      { source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' },
      ipv4(
        { source: '10.77.0.8', destination: '10.77.0.9' },
        udp({ sourcePort: 9, destinationPort: 53 }, Buffer.from('hello')),
      ),
    ),
  );
  const frame = await lab.expect({ udp: { destinationPort: 53 } }, { within: 10_000 });
  assert.equal(Buffer.from(frame.udp.payload).toString(), 'hello');
});

test('a ping of its own address passes the loop', () => {
  assert.match(lab.run('ping', '-c', '1', '-W', '10', '10.77.0.1'), / 0% packet loss/);
});
