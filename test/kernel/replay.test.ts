// SPDX-License-Identifier: MIT
/** Recordings are sent again as the same frames; captures of other tools, as a wire would have carried them. */
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { ethernet, ipv4, tcp } from '../../src/packet';
import { preparePartialChecksum } from '../../src/packet/offload';
import { Blocks } from '../helpers/capture-blocks';
import { attachedIn, attachmentOf, cli, cliOk, MAIN, SLOW } from '../helpers/cli';
import { eventually } from '../helpers/controller';
import { frameOf } from '../helpers/frames';
import { ADDRESSES, atRest, checkRest, exchange, stopped } from '../helpers/loop';
import { quietNetns } from '../helpers/netns';
import { OwnUdp } from '../helpers/own-sockets';
import { pcap } from '../helpers/pcap';
import { directoryOf, readRecording, startRecording } from '../helpers/recording';
import { cannotLoop } from '../helpers/supported';

t.setTimeout(300_000 * SLOW);

const COUNT = 600;

t.test('replayed', { skip: cannotLoop() }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ['--addr', '10.77.0.1/24', '--ring-size', '256K']);
  const udp = new OwnUdp(t, nic.netns, ADDRESSES[0], 1000);
  const recording = await startRecording(t, nic);
  await exchange(udp, 20);
  await stopped(nic, () => udp.offer(COUNT));
  await exchange(udp, 20 + COUNT);
  await checkRest(t, nic);
  await recording.end();
  const frames = await readRecording(recording.file);
  t.ok(frames.length > COUNT, `${frames.length} frames were recorded`);

  const other = attachedIn(t, quietNetns(t), ['--ring-size', '256K']);
  const again = await startRecording(t, other);
  t.match(
    cliOk(['replay', recording.file, '--into', other.iface, '--netns', other.netns]),
    `${frames.length} frames sent on vnet0 `,
  );
  await atRest(other);
  await again.end();
  const replayed = await readRecording(again.file);
  const asSent = (each: typeof frames): string[] =>
    each.map(({ bytes, header }) => `${header} ${bytes.toString('hex')}`);
  t.same(asSent(replayed), asSent(frames), 'identical byte for byte, with checksums as they were left to be done');
  await checkRest(t, other);
});

t.test('captures of others', { skip: cannotLoop() }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ['--ring-size', '256K']);
  const into = ['--into', nic.iface, '--netns', nic.netns];
  const directory = directoryOf(t);
  const write = (name: string, ...parts: Buffer[]): string => {
    const file = path.join(directory, name);
    fs.writeFileSync(file, Buffer.concat(parts));
    return file;
  };
  /** Runs a shell command in that directory, in which V is the product. */
  const shell = (command: string, env: NodeJS.ProcessEnv = {}) =>
    spawn('bash', ['-c', `cd "$D"; V() { "$NODE" "$MAIN" "$@"; }; ${command}`], {
      env: { ...process.env, NODE_OPTIONS: '', D: directory, NODE: process.execPath, MAIN, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  const ended = async (
    child: ReturnType<typeof shell>,
  ): Promise<{ status: number | null; stdout: string; stderr: string }> => {
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
    child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
    return new Promise((resolve) => child.once('close', (status) => resolve({ status, stdout, stderr })));
  };

  await t.test('superpackets, unfinished checksums, other link types, a datagram that is too long', async (t) => {
    const superpacket = ethernet(
      { source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' },
      ipv4(
        { source: '10.77.0.1', destination: '10.77.0.2' },
        tcp({ sourcePort: 1, destinationPort: 2, sequence: 1, flags: 0x18 }, Buffer.alloc(14_600)),
      ),
    );
    preparePartialChecksum(superpacket);
    const blocks = new Blocks(true);
    const packet = (id: number, bytes: Uint8Array): Buffer =>
      blocks.odd(id, bytes.length, bytes.length, Buffer.from(bytes));
    const file = write(
      'mixed.pcapng',
      blocks.section(),
      blocks.interface(1),
      blocks.interface(101),
      packet(0, superpacket),
      packet(1, frameOf(60)),
      packet(0, frameOf(1514)),
    );
    const before = await atRest(nic);
    t.match(cli(['replay', file, ...into]), {
      status: 0,
      stdout:
        /^11 frames sent on vnet0 in .*, 10 of them segments of 1 superpacket, left out: 1 of link type 101 \(raw IP\)\n$/,
      stderr: '',
    });
    const rest = await atRest(nic);
    t.same([rest.tx.packets - before.tx.packets, rest.tx.bytes - before.tx.bytes], [11, 10 * (1460 + 54) + 1514]);
    t.match(cli(['replay', file, '--as-is', ...into]), {
      status: 1,
      stdout: /^1 frame sent/,
      stderr: /the kernel did not take 1 with EMSGSIZE/,
    });
    write('long.pcap', pcap([frameOf(3000)]));
    t.match(cli(['replay', path.join(directory, 'long.pcap'), ...into]), {
      status: 1,
      stderr: /1 longer than the MTU, and no superpacket\nhint: ip link set vnet0 mtu 2986\n$/,
    });
  });

  await t.test('standard input, odd names, packed, a directory, what it is not', async (t) => {
    write('-dash.pcap', pcap([frameOf(60), frameOf(61)]));
    const { stdout, stderr } = await ended(
      shell(
        `
      cat ./-dash.pcap | V replay - $I; cat ./-dash.pcap ./-dash.pcap | V replay $I -- -; V replay $I -- -dash.pcap; gzip -c ./-dash.pcap >x.gz; V replay x.gz $I
      V replay . $I; V replay - $I <.; printf BZhxxxxxxxx >'a b'; V replay 'a b' $I; V replay nowhere $I; V replay - $I <&-`,
        { I: into.join(' ') },
      ),
    );
    t.same(stdout.match(/^\d+ frames/gm), ['2 frames', '4 frames', '2 frames', '2 frames'], stderr);
    t.match(
      stderr,
      /^vnet-bpf: capture file \.: is a directory \(EISDIR\)\nhint: name a file in it.*cat \.\/\*\.pcap \| vnet-bpf replay - --into vnet0 --netns /m,
    );
    t.match(stderr, /^vnet-bpf: standard input: is a directory/m);
    t.match(
      stderr,
      /^vnet-bpf: capture file a b: is compressed by bzip2\nhint: bzip2 -dc 'a b' \| vnet-bpf replay - --into vnet0 --netns /m,
    );
    t.match(stderr, /^vnet-bpf: capture file nowhere: there is no such file \(ENOENT\)$/m);
    t.match(stderr, /^vnet-bpf: standard input: is empty$/m);
  });

  await t.test('Ctrl-C says how far it came, in a gap and before a stopped queue', async (t) => {
    const blocks = new Blocks(true);
    const apart = write(
      'apart.pcap',
      blocks.pcapHeader(0xa1b2c3d4, 1),
      blocks.pcapRecord(frameOf(60), { seconds: 0 }),
      blocks.pcapRecord(frameOf(60)),
    );
    t.match(cli(['replay', apart, ...into, '--timing', 'original', '--max-gap', '0.1']), {
      status: 0,
      stdout: /^2 frames sent/,
    });
    t.match(cliOk(['replay', apart, ...into, '--json']), /"seconds": \d+(\.\d{1,6})?\n/, 'in microseconds');
    const waiting = spawn(process.execPath, [MAIN, 'replay', apart, ...into, '--timing', 'original'], {
      env: { ...process.env, NODE_OPTIONS: '' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    waiting.stderr.once('data', () => waiting.kill('SIGINT'));
    const result = await ended(waiting);
    t.match(result, { status: 1, stdout: /^1 frame sent on vnet0 in / }, JSON.stringify(result));
    t.match(
      result.stderr,
      /^the next frame is due in 19676 days: --max-gap shortens gaps\nvnet-bpf: replay of .*apart\.pcap: ended by SIGINT after 2 frames of it, 100 % of the file\nhint: /,
    );

    const many = write('many.pcap', pcap(Array.from({ length: 3000 }, () => frameOf(1000))));
    const { pid } = attachmentOf(nic);
    const before = (await atRest(nic)).tx.packets;
    process.kill(pid, 'SIGSTOP');
    t.teardown(() => process.kill(pid, 'SIGCONT'));
    const blocked = spawn(process.execPath, [MAIN, 'replay', many, ...into], {
      env: { ...process.env, NODE_OPTIONS: '' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const end = ended(blocked);
    t.ok(await eventually(() => nic.stats().queue.stopped));
    blocked.kill('SIGINT');
    const stopped = await end;
    const [, sent, seen] =
      /^(\d+) frames sent [^]* ended by SIGINT after (\d+) frames/.exec(stopped.stdout + stopped.stderr) ?? [];
    t.ok(Number(sent) > 0 && Number(sent) < 3000 && Number(seen) >= Number(sent), JSON.stringify(stopped));
    process.kill(pid, 'SIGCONT');
    t.equal((await atRest(nic)).tx.packets - before, Number(sent), 'and nothing is lost or sent afterwards');
  });

  await t.test('record: a filter, and files that follow each other', async (t) => {
    const recording = await startRecording(
      t,
      nic,
      ['--filter', 'len = 1000', '--snaplen', '64', '--rotate-size', '64K', '--files', '2'],
      'run-00001.pcapng',
    );
    cliOk(['replay', path.join(directory, 'many.pcap'), ...into]);
    cliOk(['replay', path.join(directory, '-dash.pcap'), ...into]);
    await atRest(nic);
    t.match(
      await recording.end(),
      /^3000 frames of vnet0 in \d+ files, of which the latest are there: .*run-000\d\d.pcapng to .*run-000\d\d.pcapng, 2 others did not match the filter\n$/,
    );
    const names = fs.readdirSync(path.dirname(recording.file));
    t.equal(names.length, 2);
    for (const name of names) {
      const frames = await readRecording(path.join(path.dirname(recording.file), name));
      t.ok(
        frames.length > 0 && frames.every(({ length, bytes }) => length === 1000 && bytes.length === 64),
        `${name}: ${frames.length} frames`,
      );
    }
    t.match(cli(['record', nic.iface, '--netns', nic.netns, '-w', '-', '--rotate-size', '1M']), {
      status: 2,
      stderr: /-w -: is one stream/,
    });
    t.match(cli(['record', nic.iface, '--netns', nic.netns, '-w', 'x', '--files', '3']), {
      status: 2,
      stderr: /there is only one/,
    });
    t.match(cli(['record', nic.iface, '--netns', nic.netns, '-w', 'x', '--filter', 'tcp porty']), {
      status: 2,
      stderr: /^vnet-bpf: filter "tcp porty": .*syntax error, after "tcp": porty\nhint: /,
    });
  });
  await checkRest(t, nic);
});
