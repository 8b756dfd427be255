// SPDX-License-Identifier: MIT
/** The usual network tools see in vnet0 what they expect. */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

import t from 'tap';

import { Background } from '../helpers/background';
import { attached, attachedIn, BACK_END, checkAccounting, SLOW } from '../helpers/cli';
import { differences, frameOf, from, macOf } from '../helpers/frames';
import { ok, okIn, quietNetns, run } from '../helpers/netns';
import { pcap } from '../helpers/pcap';
import { RawSocket } from '../helpers/raw-socket';
import { cannotCarry } from '../helpers/supported';
import { withoutTools } from '../helpers/traffic';

t.setTimeout(300_000 * SLOW);

const SOURCE = '02:00:00:00:0e:01';

t.test('tcpdump -i vnet0 sees both directions', { skip: cannotCarry() || withoutTools('tcpdump') }, async (t) => {
  const nic = attached(t, ['--addr', '10.77.0.1/24']);
  const capture = (direction: string): Background =>
    // -Z root: a small system has no user tcpdump.
    Background.start(t, nic.netns, 'tcpdump', [
      '-Z',
      'root',
      '-i',
      nic.iface,
      '-n',
      '-l',
      '--immediate-mode',
      '-Q',
      direction,
      'icmp',
    ]);
  const out = capture('out');
  const back = capture('in');
  for (const one of [out, back]) await one.says(/listening on/);
  okIn(nic.netns, 'ping', ['-c', '3', '-i', '0.2', '10.77.0.1']);
  for (const [name, one] of [
    ['transmitted', out],
    ['received', back],
  ] as const) {
    await one.says(/(echo request[^]*echo reply[^]*){3}/);
    t.pass(`three requests and replies were ${name}`);
    await one.stop();
    t.match(one.output, /\n0 packets dropped by kernel/, 'nothing was dropped on the way to tcpdump');
  }
  checkAccounting(t, nic, await nic.atRest());
});

t.test('ethtool and ip -d link', { skip: cannotCarry() || withoutTools('ethtool') }, async (t) => {
  const nic = attached(t);
  t.match(
    okIn(nic.netns, 'ethtool', ['-i', nic.iface]),
    new RegExp(`^driver: ${BACK_END}$`, 'm'),
    'ethtool -i: the driver',
  );
  // dummy_ethtool_ops (drivers/net/dummy.c) has neither a link nor statistics to show.
  if (BACK_END === 'veth')
    t.match(okIn(nic.netns, 'ethtool', [nic.iface]), /Link detected: yes/, 'ethtool: the link is there');
  t.match(okIn(nic.netns, 'ethtool', ['-k', nic.iface]), /tcp-segmentation-offload: on/, 'ethtool -k: features');
  if (BACK_END === 'veth')
    t.match(okIn(nic.netns, 'ethtool', ['-S', nic.iface]), /statistics/i, 'ethtool -S: statistics');

  const [link] = JSON.parse(ok('ip', ['-n', nic.netns, '-d', '-json', 'link', 'show', 'dev', nic.iface])) as [
    { linkinfo: { info_kind: string }; flags: string[]; operstate: string; address: string },
  ];
  t.equal(link.linkinfo.info_kind, BACK_END, `ip -d link: a ${BACK_END}`);
  t.ok(link.flags.includes('UP') && link.flags.includes('LOWER_UP'), 'UP, and its other end too');
  // A dummy does not report its state (operstate is IFF_UNKNOWN until a driver sets it).
  t.equal(link.operstate, BACK_END === 'veth' ? 'UP' : 'UNKNOWN', 'operational');
  t.equal(parseInt(link.address, 16) & 3, 2, 'with a unicast address of local administration');
  checkAccounting(t, nic, await nic.atRest());
});

t.test('bpftool shows tx on vnet0', { skip: cannotCarry() || withoutTools('bpftool') }, async (t) => {
  interface BpfLink {
    id: number;
    prog_id: number;
  }
  const bpftool = (...args: string[]): unknown => JSON.parse(ok('bpftool', [...args, '--json']));
  const before = (bpftool('link', 'list') as BpfLink[]).map(({ id }) => id);
  const nic = attached(t);
  const { version } = bpftool('version') as { version: string };
  const [major = 0, minor = 0] = version.replace('v', '').split('.').map(Number);
  const knowsTcx = major > 7 || (major === 7 && minor >= 3); // came with Linux 6.6
  if (knowsTcx || nic.stats().attach === 'clsact') {
    const [net] = JSON.parse(okIn(nic.netns, 'bpftool', ['net', 'list', 'dev', nic.iface, '--json'])) as [
      { tc: { devname: string; kind: string; name: string }[] },
    ];
    const programs = net.tc.filter(({ devname }) => devname === nic.iface);
    t.equal(programs.length, 1, 'bpftool net: one program');
    t.match(programs[0], { name: /tx/, kind: /^(tcx|clsact)\/egress$/ }, 'tx, on egress');
  } else {
    // An older `bpftool net` does not show tcx (Debian 12 has 7.1), but shows links and programs.
    const links = (bpftool('link', 'list') as BpfLink[]).filter(({ id }) => !before.includes(id));
    // Other people's programs come and go meanwhile: run, not ok.
    const names = links.map(({ prog_id }) => run('bpftool', ['prog', 'show', 'id', String(prog_id)]).stdout);
    for (const name of BACK_END === 'veth' ? ['tx', 'sink'] : ['tx'])
      t.ok(
        names.some((text) => text.includes(` name ${name} `)),
        `bpftool link and prog: ${name} is attached`,
      );
  }
  checkAccounting(t, nic, await nic.atRest());
});

t.test('a pcap replayed with tcpreplay comes back', { skip: cannotCarry() || withoutTools('tcpreplay') }, async (t) => {
  const nic = attachedIn(t, quietNetns(t));
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'vnet-pcap-'));
  t.teardown(() => fs.rmSync(directory, { recursive: true }));
  const own = macOf(nic.netns, nic.iface);
  const frames = Array.from({ length: 500 }, (_, i) => frameOf(60 + ((i * 37) % 1455), { destination: own }));
  const file = path.join(directory, 'frames.pcap');
  fs.writeFileSync(file, pcap(frames));
  const socket = RawSocket.open(t, nic.netns, nic.iface);
  const output = okIn(nic.netns, 'tcpreplay', ['--intf1', nic.iface, '--topspeed', file]);
  t.match(output, /Successful packets:\s+500\b/, 'tcpreplay sent them');
  t.match(output, /Failed packets:\s+0\b/, 'and none failed');
  const back = await socket.received(frames.length, from(SOURCE));
  t.same(
    differences(
      frames,
      back.map(({ frame }) => frame),
    ),
    [],
    'all come back, byte for byte, in order',
  );
  checkAccounting(t, nic, await nic.atRest());
});
