// SPDX-License-Identifier: MIT
/** The examples reflect, firewall, counter and wire at work; host and chaos have tests of their own. */
import * as path from 'node:path';

import t from 'tap';
import { attach, frameAccounting } from 'vnet-bpf';
import { ethernet, icmp, ipv4, tcp, TCP_FLAG, udp } from 'vnet-bpf/hooks';
import { Lab } from 'vnet-bpf/testing';

import { cannotRun, cliOk, ROOT, SLOW } from '../../helpers/cli';
import { eventually } from '../../helpers/controller';
import { okIn, quietNetns, testNetns } from '../../helpers/netns';

t.setTimeout(300_000 * SLOW);

const example = (name: string): string => path.join(ROOT, 'dist', 'examples', `${name}.js`);
const within = 1000 * SLOW;
const LINK = { source: '02:00:00:00:00:01', destination: '02:00:00:00:00:99' };
const IP = { source: '10.77.0.8', destination: '10.77.0.9' };

t.test('reflect: any address of the subnet answers', { skip: cannotRun }, async (t) => {
  await using lab = await Lab.create({ addresses: ['10.77.0.1/24', 'fd77::1/64'], hook: example('reflect') });
  for (const address of ['10.77.0.2', '10.77.0.254', 'fd77::2', 'fd77::abcd']) {
    t.match(lab.run('ping', '-q', '-c', '3', '-W', String(5 * SLOW), address), ' 0% packet loss', address);
  }
  lab.forget();
  lab.send(ethernet(LINK, ipv4(IP, udp({ sourcePort: 1000, destinationPort: 7 }, Buffer.from('echo')))));
  const frame = await lab.expect(
    {
      ethernet: { source: LINK.destination, destination: LINK.source },
      ipv4: { source: IP.destination, destination: IP.source },
      udp: { sourcePort: 7, destinationPort: 1000 },
    },
    { within },
  );
  t.equal(Buffer.from(frame.udp?.payload ?? []).toString(), 'echo');
  t.equal(lab.nic.stats().hooks.errors, 0);
});

t.test('firewall: the first rule that fits decides', { skip: cannotRun }, async (t) => {
  await using lab = await Lab.create({ addresses: ['10.77.0.1/24'], hook: example('firewall') });
  t.match(lab.run('ping', '-q', '-c', '2', '-W', String(5 * SLOW), '10.77.0.1'), ' 0% packet loss');
  lab.forget();
  const frames = {
    dns: udp({ sourcePort: 999, destinationPort: 53 }),
    web: tcp({ sourcePort: 999, destinationPort: 443, sequence: 1, flags: TCP_FLAG.syn }),
    telnet: tcp({ sourcePort: 998, destinationPort: 23, sequence: 1, flags: TCP_FLAG.syn }),
    other: udp({ sourcePort: 998, destinationPort: 54 }),
  };
  for (const segment of Object.values(frames)) lab.send(ethernet(LINK, ipv4(IP, segment)));
  lab.send(ethernet(LINK, ipv4({ ...IP, destination: '10.77.0.66' }, icmp(8, 0, 1))));
  await lab.expect({ udp: { destinationPort: 53 } }, { within });
  await lab.expect({ tcp: { destinationPort: 443 } }, { within });
  await lab.expectNone({ tcp: { destinationPort: 23 } });
  await lab.expectNone({ udp: { destinationPort: 54 } });
  await lab.expectNone({ ipv4: { destination: '10.77.0.66' } });
  t.equal(lab.nic.stats().hooks.dropped, 3);
});

t.test('counter: the log says who talks most', { skip: cannotRun }, async (t) => {
  process.env['COUNTER_SECONDS'] = '1';
  t.teardown(() => delete process.env['COUNTER_SECONDS']);
  await using lab = await Lab.create({ hook: example('counter') });
  for (let i = 0; i < 30; i++)
    lab.send(ethernet(LINK, ipv4(IP, udp({ sourcePort: 1000, destinationPort: 7 }, Buffer.alloc(100)))));
  for (let i = 0; i < 10; i++)
    lab.send(ethernet(LINK, ipv4(IP, udp({ sourcePort: 1000, destinationPort: 8 }, Buffer.alloc(100)))));
  const log = (): string => cliOk(['log', lab.nic.name, '--netns', lab.netns]);
  t.ok(
    await eventually(
      () =>
        /counter: udp 10\.77\.0\.8:1000 > 10\.77\.0\.9:7: 30 packets, 4260 bytes in 1 s\n.*counter: udp .*:8: 10 packets/.test(
          log(),
        ),
      5000,
    ),
    log(),
  );
});

t.test('wire: two namespaces, a line of 20 ms between them', { skip: cannotRun }, async (t) => {
  process.env['WIRE_DELAY_MS'] = '20';
  t.teardown(() => delete process.env['WIRE_DELAY_MS']);
  const [left, right] = [quietNetns(t), testNetns(t)];
  await using a = await attach('eth0', { netns: left, addresses: ['10.77.0.1/24'], hook: example('wire') });
  await using b = await attach('eth0', { netns: right, addresses: ['10.77.0.2/24'], hook: example('wire') });
  const output = okIn(left, 'ping', ['-c', '5', '-i', '0.2', '-W', String(5 * SLOW), '10.77.0.2']);
  t.match(output, ' 0% packet loss');
  const fastest = Number(/= ([\d.]+)\//.exec(output)?.[1]);
  t.ok(fastest >= 40, `there and back takes ${fastest} ms at least`);
  await new Promise((resolve) => setTimeout(resolve, 100 * SLOW));
  for (const nic of [a, b]) {
    const stats = nic.stats();
    t.equal(frameAccounting(stats).out, frameAccounting(stats).in, 'the frame accounting balances');
    t.equal(stats.hooks.errors, 0);
    t.ok(stats.hooks.dropped >= 5 && stats.hooks.injected >= 5, 'nothing loops, everything crosses');
  }
});
