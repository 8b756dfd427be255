// SPDX-License-Identifier: MIT
/** The fixture `vnet-bpf/testing`, with tap. */
import { spawn, spawnSync } from 'node:child_process';
import * as path from 'node:path';

import t from 'tap';
import { ethernet, icmp, ipv4, udp } from 'vnet-bpf/hooks';
import { cannotRun, Lab } from 'vnet-bpf/testing';

import { ROOT, SLOW } from '../../helpers/cli';
import { eventually } from '../../helpers/controller';
import { hookFile } from '../../helpers/hook-file';
import { ok } from '../../helpers/netns';
import { namespaces } from '../../helpers/run-command';

t.setTimeout(300_000 * SLOW);

const skip = cannotRun();
const LINK = { source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' };
const IP = { source: '10.77.0.8', destination: '10.77.0.9' };
const within = 1000 * SLOW;
const datagram = (port: number, text = ''): Uint8Array =>
  ethernet(LINK, ipv4(IP, udp({ sourcePort: 9, destinationPort: port }, Buffer.from(text))));

t.test('what is sent comes back, and is found by its fields', { skip }, async (t) => {
  await using lab = await Lab.create();
  for (const port of [1, 2, 3]) lab.send(datagram(port, 'hello'));
  const frame = await lab.expect(
    {
      ethernet: LINK,
      ipv4: { source: /^10\./, ttl: (ttl) => ttl > 60 },
      udp: { destinationPort: 2, payload: Buffer.from('hello') },
      tcp: null,
    },
    { within },
  );
  t.equal(frame.udp?.destinationPort, 2);
  await lab.expect((other) => other.udp?.destinationPort === 3, { within });
  await t.rejects(
    lab.expect({ udp: { destinationPort: 2 } }, { within: 50 }),
    /did not come/,
    'each frame is found once',
  );
  await t.rejects(lab.expectNone({ udp: { destinationPort: 1 } }), { code: 'EXPECTATION' });
  lab.forget();
  await lab.expectNone({ udp: { destinationPort: 1 } });
});

t.test('VLAN tags are where they were', { skip }, async (t) => {
  await using lab = await Lab.create();
  const tagged = ethernet(
    { ...LINK, vlan: { id: 77, priority: 3 } },
    ipv4(IP, udp({ sourcePort: 9, destinationPort: 5 })),
  );
  lab.send(tagged);
  const frame = await lab.expect({ vlan: { id: 77, priority: 3 }, udp: { destinationPort: 5 } }, { within });
  t.ok(Buffer.from(frame.bytes).equals(tagged));
});

t.test('a failure says what came instead, and what differs', { skip }, async (t) => {
  await using lab = await Lab.create();
  lab.send(datagram(7));
  lab.send(ethernet(LINK, ipv4(IP, icmp(8, 0, 1))));
  await lab.expect({ icmp: { type: 8 } }, { within });
  const error = await lab
    .expect({ ipv4: { source: '10.77.0.8', ttl: 1 }, udp: { destinationPort: 8 } }, { within: 50 })
    .then(
      () => null,
      (reason: Error) => reason.message,
    );
  t.match(error, /did not come within 50 ms/);
  t.match(
    error,
    'udp       port 9 > 7, 0 bytes\n- ipv4.ttl: wanted 1, found 64\n- udp.destinationPort: wanted 8, found 7',
  );
  await t.rejects(lab.expect({ tcp: { syn: true } }, { within: 50 }), /- tcp: wanted, but there is none/);
});

t.test('a hook, the stack, and programs in the namespace', { skip }, async (t) => {
  const hook = hookFile(
    t,
    'answer.mjs',
    `import { neighbourReply, echoReply } from 'vnet-bpf/hooks';
    export default (frame) => neighbourReply(frame, '02:00:00:00:00:99') ?? echoReply(frame) ?? 'pass';`,
  );
  await using lab = await Lab.create({ addresses: ['10.77.0.1/24'], hook });
  t.match(lab.run('ping', '-c', '2', '-W', String(2 * SLOW), '10.77.0.5'), ' 0% packet loss');
  await lab.expect({ arp: { operation: 2, senderIp: '10.77.0.5', senderMac: '02:00:00:00:00:99' } }, { within });
  await lab.expect({ icmp: { type: 0, sequence: 2 }, ipv4: { source: '10.77.0.5' } }, { within });
  await lab.nic.inject(datagram(4242));
  await lab.expect({ udp: { destinationPort: 4242 } }, { within });
  t.equal(lab.nic.stats().hooks.errors, 0);
});

const state = (netns: string): string => ok('sh', ['-c', `grep -ls '"${netns}"' /run/vnet-bpf/*/state.json || true`]);

t.test('nothing is left, whatever happens', { skip }, async (t) => {
  let name = '';
  {
    await using lab = await Lab.create();
    name = lab.netns;
    t.ok(namespaces().includes(name));
  }
  t.notOk(namespaces().includes(name), 'after its block');
  await t.rejects(Lab.create({ addresses: ['not one'] }), { code: 'USAGE' }, 'an attach that fails');
  const script = `require('vnet-bpf/testing').Lab.create().then((lab) => { console.log(lab.netns); END })`;
  for (const [how, end] of [
    ['an exit', 'process.exit(0)'],
    ['an error', `throw new Error('test failed')`],
    ['a kill', `process.kill(process.pid, 'SIGKILL')`],
  ] as const) {
    const { stdout } = spawnSync(process.execPath, ['-e', script.replace('END', end)], {
      cwd: ROOT,
      encoding: 'utf8',
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    const made = stdout.trim();
    t.match(made, /^vl[0-9a-f]{8}$/);
    t.ok(await eventually(() => !namespaces().includes(made) && state(made) === '', 10_000), `after ${how}`);
  }
});

t.test("with Node's own test runner", { skip }, async (t) => {
  const file = path.join(ROOT, 'test', 'kernel', 'node-runner', 'lab.mjs');
  const child = spawn(process.execPath, ['--test', '--test-reporter=tap', file], {
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  let output = '';
  child.stdout.on('data', (data: Buffer) => (output += data.toString()));
  const status = await new Promise((resolve) => child.on('close', resolve));
  t.equal(status, 0, output);
  t.match(output, /# pass [1-9]/);
  t.match(output, '# fail 0');
});
