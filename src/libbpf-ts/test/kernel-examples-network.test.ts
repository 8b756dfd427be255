// SPDX-License-Identifier: MIT
// The examples that handle packets, as a user runs them.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

import t from 'tap';

import { attachXdp } from '../src/index';
import { startExample as start } from './helpers/examples';
import { Kinds } from './helpers/kinds';
import { compile, skipUnlessRoot, TestNetns } from './helpers/machine';

const CONGESTION = '/proc/sys/net/ipv4/tcp_congestion_control';

/** The MAC address of a device. */
function macOf(netns: TestNetns, device: string): string {
  const [link] = JSON.parse(netns.ip('-j', 'link', 'show', device)) as { address: string }[];
  return link!.address;
}

/** Sends datagrams of two bytes from a port each. */
function send(netns: TestNetns, address: string, port: number, count: number): void {
  const script = `for i in $(seq ${count}); do echo x >/dev/udp/${address}/${port}; done`;
  netns.inside(() => execFileSync('bash', ['-c', script]));
}

/** IPv4 packets that the network stack got to see. */
function received(netns: TestNetns): number {
  const snmp = netns.inside(() => readFileSync('/proc/thread-self/net/snmp', 'latin1'));
  const [names, values] = snmp
    .split('\n')
    .filter((line) => line.startsWith('Ip:'))
    .map((line) => line.split(' '));
  return Number(values?.[names?.indexOf('InReceives') ?? -1]);
}

/** What runs a command in the namespace. */
const inside = ({ name }: TestNetns): string[] => ['ip', 'netns', 'exec', name];

t.test('examples', { skip: skipUnlessRoot }, async (t) => {
  t.test('xdp-drop', async (t) => {
    using netns = new TestNetns('drop');
    netns.ip('addr', 'add', '192.0.2.1/24', 'dev', 'p0');
    netns.ip('neigh', 'add', '192.0.2.9', 'lladdr', macOf(netns, 'd0'), 'dev', 'p0');
    await using example = start('xdp-drop', ['d0', '9999'], inside(netns));
    await example.prints(/^link \d+ drops UDP to port 9999 on d0$/m);
    const before = received(netns);
    send(netns, '192.0.2.9', 9999, 5);
    t.equal(received(netns), before, 'dropped before the stack');
    send(netns, '192.0.2.9', 9998, 3);
    t.equal(received(netns), before + 3, 'another port is let through');
    t.equal(await example.end('SIGINT'), 0);
    t.match(example.output, /^dropped 5 packets$/m);
    send(netns, '192.0.2.9', 9999, 2);
    t.equal(received(netns), before + 5, 'nothing is dropped any more');
  });

  t.test('xdp-counter', async (t) => {
    using netns = new TestNetns('counter');
    netns.ip('addr', 'add', '192.0.2.1/24', 'dev', 'p0');
    netns.ip('neigh', 'add', '192.0.2.9', 'lladdr', macOf(netns, 'd0'), 'dev', 'p0');
    await using example = start('xdp-counter', ['d0'], inside(netns));
    await example.prints(/^counting on d0$/m);
    send(netns, '192.0.2.9', 9999, 5);
    // 14 + 20 + 8 + 2 bytes each; whatever CPU sent them.
    await example.prints(/^udp: 5 packets, 220 bytes$/m);
    t.equal(await example.end('SIGINT'), 0);
    t.notMatch(example.output, /^tcp|Error/m);
  });

  t.test('xdp-balancer', async (t) => {
    const SERVICE = '192.0.2.100';
    // The client's namespace has a bridge with the balancer, d0, and both servers behind it.
    using netns = new TestNetns('balancer');
    using one = new TestNetns('server');
    using two = new TestNetns('server');
    netns.ip('link', 'add', 'br0', 'type', 'bridge');
    // A veth takes what its peer sends with XDP_TX only while it has a program itself. Devices with drivers do not care.
    using kinds = new Kinds(compile('kinds'), 'xdp');
    using passes = kinds.program('xdp');
    using _passing = netns.inside(() => attachXdp(passes, { ifindex: netns.ifindex('p0') }));
    // A packet that XDP has sent on brings its checksum along, as one from a wire does.
    netns.inside(() => execFileSync('ethtool', ['-K', 'p0', 'tx', 'off'], { stdio: 'ignore' }));
    netns.ip('link', 'set', 'p0', 'master', 'br0');
    for (const [i, server] of [one, two].entries()) {
      server.ip('link', 'set', 'p0', 'netns', netns.name, 'name', `s${i}`);
      netns.ip('link', 'set', `s${i}`, 'master', 'br0', 'up');
      server.ip('link', 'set', 'lo', 'up');
      server.ip('addr', 'add', `${SERVICE}/32`, 'dev', 'lo');
      server.ip('addr', 'add', `192.0.2.1${i}/24`, 'dev', 'd0');
    }
    netns.ip('addr', 'add', '192.0.2.1/24', 'dev', 'br0');
    netns.ip('link', 'set', 'br0', 'up');
    netns.ip('neigh', 'add', SERVICE, 'lladdr', macOf(netns, 'd0'), 'dev', 'br0');
    const macs = [macOf(one, 'd0'), macOf(two, 'd0')];

    await using example = start('xdp-balancer', ['d0', `${SERVICE}:5000`, ...macs], inside(netns));
    await example.prints(/ on d0: 2 servers$/m);
    const datagrams = (server: TestNetns): number => Number(/^Udp: \d+ (\d+)/m.exec(snmpOf(server))?.[1]);
    const snmpOf = (server: TestNetns): string =>
      server.inside(() => readFileSync('/proc/thread-self/net/snmp', 'latin1'));
    send(netns, SERVICE, 5000, 40);
    send(netns, SERVICE, 5001, 3);
    // Nobody listens: the servers count the datagrams that came for no port.
    const [first, second] = [datagrams(one), datagrams(two)];
    t.equal(first + second, 40, `${first} and ${second}`);
    t.ok(first >= 5 && second >= 5, 'both have their share');
    t.equal(await example.end('SIGINT'), 0);
    t.match(example.output, `${macs[0]}: ${first} packets\n${macs[1]}: ${second} packets\n`);
  });

  t.test('congestion', async (t) => {
    using netns = new TestNetns('congestion');
    netns.ip('link', 'set', 'lo', 'up');
    const use = (name: string): void => netns.inside(() => writeFileSync(CONGESTION, name));
    t.throws(() => use('bpf_fixed'), { code: 'ENOENT' });
    const before = netns.inside(() => readFileSync(CONGESTION, 'utf8'));
    await using example = start('congestion', ['7']);
    await example.prints(/^bpf_fixed has a window of 7 segments$/m);
    use('bpf_fixed');
    // The sender's socket says what its window is.
    const windows = execFileSync(
      'ip',
      [
        ...inside(netns).slice(1),
        process.execPath,
        '-e',
        `const net = require('node:net');
        const server = net.createServer((socket) => socket.resume()).listen(5000, '127.0.0.1', () => {
          const client = net.connect(5000, '127.0.0.1', () => client.write(Buffer.alloc(4_000_000), () => {
            console.log(require('node:child_process').execFileSync('ss', ['-tinH', 'dport = :5000'], { encoding: 'utf8' }));
            client.destroy();
            server.close();
          }));
        });`,
      ],
      { encoding: 'utf8' },
    );
    t.match(windows, /\bbpf_fixed\b.*\bcwnd:7\b/s);
    use(before);
    t.equal(await example.end('SIGINT'), 0);
    const [, segments] = /^(\d+) segments acknowledged, \d+ losses$/m.exec(example.output) ?? [];
    t.ok(Number(segments) > 50, `${segments} segments`);
    t.throws(() => use('bpf_fixed'), { code: 'ENOENT' });
  });
});
