// SPDX-License-Identifier: MIT
/** What tshark makes of a recording: of a file, and through extcap, as Wireshark records. */
import * as fs from 'node:fs';
import { spawn } from 'node:child_process';
import * as path from 'node:path';

import t from 'tap';

import { attachedIn, cannotRun, cli, cliOk, MAIN, SLOW } from '../../helpers/cli';
import { controllerPid, eventually, lives } from '../../helpers/controller';
import { hookDirectory } from '../../helpers/hook-file';
import { ok, okIn, quietNetns, run } from '../../helpers/netns';
import { directoryOf, startRecording, tracePin, withoutTshark } from '../../helpers/recording';

t.setTimeout(120_000 * SLOW);

const skip = cannotRun || withoutTshark();
const ARGUMENTS = ['--addr', '10.77.0.1/24'];
const ping = (netns: string): string => okIn(netns, 'ping', ['-q', '-c', '3', '-i', '0.1', '10.77.0.1']);

const fieldsOf = (file: string, ...fields: string[]): string[][] =>
  ok('tshark', ['-r', file, '-T', 'fields', ...fields.flatMap((field) => ['-e', field]), '-Y', 'icmp'])
    .trim()
    .split('\n')
    .map((line) => line.split('\t'));

t.test('tshark reads it, with comments', { skip }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ARGUMENTS);
  const recording = await startRecording(t, nic);
  ping(nic.netns);
  t.match(await recording.end(), /^\d+ frames? of vnet0 in /);
  const rows = fieldsOf(
    recording.file,
    'icmp.type',
    'frame.comment',
    'frame.interface_name',
    'frame.packet_flags_direction',
  );
  t.same(
    rows.map(([type]) => type),
    ['8', '0', '8', '0', '8', '0'],
    'requests and replies',
  );
  t.same(
    rows.filter(([, comment = '']) => !/^captured, reinjected after \d+\.\d{3} ms/.test(comment)),
    [],
    'each with what became of it',
  );
  t.ok(
    rows.every(([, , name, direction]) => name === 'vnet0' && Number(direction) === 2),
    'outbound on vnet0',
  );
  const info = ok('capinfos', ['-M', recording.file]);
  t.match(info, /nanoseconds/);
  t.match(info, /Capture application: +vnet-bpf \d/);
  t.match(info, /Number of stat entries = 1/);
});

t.test('-w - pipes; --count and --snaplen', { skip }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ARGUMENTS);
  const args = ['record', nic.iface, '--netns', nic.netns];
  const pipe = spawn(
    'sh',
    [
      '-c',
      `exec "$0" "$@" | tshark -l -r - -c 4 -T fields -e frame.len -e frame.cap_len`,
      process.execPath,
      MAIN,
      ...args,
      '-w',
      '-',
      '--snaplen',
      '64',
    ],
    { stdio: ['ignore', 'pipe', 'ignore'], env: { ...process.env, NODE_OPTIONS: '' } },
  );
  let output = '';
  pipe.stdout.on('data', (data: Buffer) => (output += data.toString()));
  const ended = new Promise((resolve) => pipe.once('close', resolve));
  t.ok(await eventually(() => fs.existsSync(tracePin(nic))), 'it has begun');
  okIn(nic.netns, 'ping', ['-q', '-c', '6', '-i', '0.2', '-s', '200', '10.77.0.1']);
  await ended; // tshark has seen enough, and so has the recorder, when it next writes
  t.same(output.trim().split('\n').at(-1)?.split('\t'), ['242', '64'], 'frames are cut to --snaplen');
  t.ok(await eventually(() => !fs.existsSync(tracePin(nic))), 'and nothing is recorded any more');

  const recording = await startRecording(t, nic, ['--count', '5']);
  ping(nic.netns);
  t.match(await recording.ended, { status: 0, output: /^5 frames of vnet0/ }, '--count ends it');
  const file = path.join(directoryOf(t), 'run.pcapng');
  t.match(cliOk([...args, '-w', file, '--duration', '0.5']), /^\d+ frames? of vnet0/, '--duration, too');
  t.match(ok('capinfos', ['-c', recording.file]), /Number of packets: +5$/m);
});

t.test('extcap: Wireshark finds it and records', { skip }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ARGUMENTS);
  const home = hookDirectory(t); // root's alone, as its home is
  const env = { ...process.env, HOME: home, XDG_CONFIG_HOME: path.join(home, '.config'), NODE_OPTIONS: '' };
  t.match(cliOk(['extcap', '--install'], env), /lets Wireshark see looping interfaces/);
  const name = `vnet-bpf-vnet0@${nic.netns}`;
  t.match(
    ok('tshark', ['-D'], { env }),
    new RegExp(`${name} \\(What vnet-bpf does to vnet0 in namespace ${nic.netns}\\)`),
  );
  t.match(ok('tshark', ['-L', '-i', name], { env }), /EN10MB/, 'with its link type');
  const tshark = spawn('tshark', ['-l', '-i', name, '-a', 'packets:6', '-T', 'fields', '-e', 'frame.comment'], {
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  t.teardown(() => tshark.exitCode === null && tshark.kill('SIGTERM'));
  let output = '';
  tshark.stdout.on('data', (data: Buffer) => (output += data.toString()));
  const ended = new Promise((resolve) => tshark.once('close', resolve));
  t.ok(await eventually(() => fs.existsSync(tracePin(nic))), 'it has begun');
  okIn(nic.netns, 'ping', ['-q', '-c', '5', '-i', '0.2', '10.77.0.1']);
  await ended;
  const lines = output.trim().split('\n');
  t.ok(lines.length >= 6, `${lines.length} frames`);
  t.same(
    lines.filter((line) => !/^captured, reinjected after/.test(line)),
    [],
    'with comments',
  );
  t.ok(await eventually(() => !fs.existsSync(tracePin(nic))), 'and nothing is recorded any more');
  t.ok(lives(controllerPid(nic.netns, nic.iface)), 'the loop goes on');

  const extcap = (...args: string[]) => cli(['extcap', ...args]);
  t.match(extcap('--extcap-interfaces', '--extcap-version=4.2').stdout, `interface {value=${name}}`);
  t.equal(
    extcap('--extcap-dlts', '--extcap-interface', name).stdout,
    'dlt {number=1}{name=EN10MB}{display=Ethernet}\n',
  );
  t.match(extcap('--extcap-config', '--extcap-interface', name).stdout, /^arg \{number=0\}\{call=--snaplen\}/);
  t.match(
    extcap('--extcap-interface', name, '--extcap-capture-filter', 'tcp porty').stdout,
    /^filter "tcp porty": .*syntax error, after "tcp": porty\n$/,
  );
  t.match(extcap('--extcap-interface', name, '--extcap-capture-filter', 'tcp'), { status: 0, stdout: '' });
  t.match(
    extcap('--extcap-interface', name, '--capture', '--fifo', '/dev/null', '--extcap-capture-filter', 'tcp porty'),
    { status: 2, stderr: /syntax error/ },
  );
  t.match(extcap('--extcap-interface', 'vnet-bpf-none', '--capture', '--fifo', '/dev/null'), {
    status: 1,
    stderr: /is not attached any more/,
  });
  t.match(extcap(), { status: 2, stderr: /is for Wireshark/ });
  t.equal(run('sh', ['-n', path.join(home, '.config', 'wireshark', 'extcap', 'vnet-bpf')]).status, 0);
});
