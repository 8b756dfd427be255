// SPDX-License-Identifier: MIT
/**
 * Recording under load and abuse: whatever the recorder misses is counted in its file, and whatever happens to it, the
 * loop loses nothing.
 */
import * as fs from 'node:fs';
import { spawn } from 'node:child_process';
import * as path from 'node:path';

import t, { type Test } from 'tap';

import { frameAccounting } from '../../../src/datapath/stats';
import {
  attachedIn,
  attachmentOf,
  cannotRun,
  checkAccounting,
  cli,
  cliOk,
  MAIN,
  SLOW,
  type Attached,
} from '../../helpers/cli';
import { eventually } from '../../helpers/controller';
import { checkReceived, startFlood, startFloodReceiver, type FloodSent } from '../../helpers/flood';
import { frameOf } from '../../helpers/frames';
import { hookFile } from '../../helpers/hook-file';
import { okIn, quietNetns } from '../../helpers/netns';
import { pcap } from '../../helpers/pcap';
import { RawSocket } from '../../helpers/raw-socket';
import {
  directoryOf,
  kindsOf,
  pause,
  readRecording,
  startRecording,
  summaryOf,
  tracePin,
} from '../../helpers/recording';
import { startTool } from '../../helpers/tool-process';
import { tcpRun, withoutArp } from '../../helpers/traffic';
import { UdpPair } from '../../helpers/udp-pair';

t.setTimeout(300_000 * SLOW);

/** `make soak` records a million. */
const FRAMES = Number(process.env['VNET_BPF_TEST_FRAMES'] ?? 30_000);
const ADDRESS = '10.77.0.1';
const ARGUMENTS = ['--addr', `${ADDRESS}/24`];

/** Datagrams at full speed; resolves when all have come back. */
async function flood(t: Test, nic: Attached, packets: number, bytes: number): Promise<void> {
  const { receiver, port } = await startFloodReceiver(t, nic.netns, { address: ADDRESS, bytes });
  const { sent } = await startTool<FloodSent>(t, nic.netns, 'flood-tool', 'send', {
    address: ADDRESS,
    port,
    bytes,
    packets,
  }).result;
  t.equal(sent, packets);
  await nic.atRest();
  checkReceived(t, await receiver.stop(), packets);
}

t.test('full speed: frames that were missed are counted in the file', { skip: cannotRun }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ARGUMENTS);
  withoutArp(nic, ADDRESS);
  // With space for all frames, and with hardly any.
  for (const [count, buffer] of [
    [FRAMES, '128M'],
    [100_000, '256K'],
  ] as const) {
    const before = await nic.atRest();
    const recording = await startRecording(t, nic, ['--buffer', buffer]);
    await flood(t, nic, count, 64);
    const rest = await nic.atRest();
    const printed = await recording.end();
    const { missed, text } = summaryOf(recording.file);
    let frames = 0;
    let told = 0;
    for (const [kind, number] of Object.entries(kindsOf(await readRecording(recording.file)))) {
      frames += number;
      if (/reinjected/.test(kind)) told += number;
    }
    t.comment(`${count} with ${buffer}: ${printed.trim()}; ${text}`);
    t.equal(frames + missed, rest.tx.packets - before.tx.packets, `${frames} in the file and ${missed} missed are all`);
    t.equal(parseInt(printed, 10), frames, 'it prints as many');
    const untold = Number(/of (\d+) more the end was missed/.exec(text)?.[1] ?? 0);
    t.equal(told + untold, frames, 'of each of the others the end is known, or counted as missed');
    if (missed > 0) t.match(printed, `${missed} missed`);
    checkAccounting(t, nic, rest);
  }
});

t.test('what may happen to a recorder', { skip: cannotRun }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ARGUMENTS);
  withoutArp(nic, ADDRESS);
  const args = ['record', nic.iface, '--netns', nic.netns];
  const { sender, receiver } = await startFlood(t, nic.netns, { address: ADDRESS, bytes: 200, rate: 20_000 });

  await t.test('a second one is refused', async (t) => {
    const first = await startRecording(t, nic);
    const file = path.join(directoryOf(t), 'second.pcapng');
    t.match(cli([...args, '-w', file]), {
      status: 1,
      stderr: /^vnet-bpf: interface vnet0: somebody records it already\nhint: /,
    });
    t.notOk(fs.existsSync(file), 'and makes no file');
    await first.end();
    const next = await startRecording(t, nic);
    await next.end();
  });

  await t.test('killed again and again', async (t) => {
    for (let i = 0; i < 5; i++) {
      const recording = await startRecording(t, nic);
      await pause(20 * i);
      recording.child.kill('SIGKILL');
      t.ok(await eventually(() => !fs.existsSync(tracePin(nic))), 'the recording ends with it');
    }
  });

  await t.test('standing still, and slow to be read', async (t) => {
    const recording = await startRecording(t, nic, ['--buffer', '256K']);
    recording.child.kill('SIGSTOP');
    await pause(500);
    recording.child.kill('SIGCONT');
    await recording.end();
    t.ok(summaryOf(recording.file).missed > 0, 'what it missed is counted');
    // No process reads the pipe: the recorder still ends when it is asked to.
    const blocked = spawn(process.execPath, [MAIN, ...args, '-w', '-'], {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    t.teardown(() => blocked.kill('SIGKILL'));
    t.ok(await eventually(() => fs.existsSync(tracePin(nic))));
    await pause(500);
    blocked.kill('SIGINT');
    t.ok(await eventually(() => !fs.existsSync(tracePin(nic)), 10_000), 'and the recording is over');
  });

  await t.test('a hook comes and goes meanwhile', async (t) => {
    const recording = await startRecording(t, nic);
    const hook = hookFile(t, 'pass.mjs', `export default () => 'pass';`);
    for (let i = 0; i < 3; i++) {
      cliOk(['hook', nic.iface, '--netns', nic.netns, hook]);
      await pause(100);
      cliOk(['hook', nic.iface, '--netns', nic.netns, '--none']);
    }
    await recording.end();
    const kinds = kindsOf(await readRecording(recording.file));
    const told = Object.entries(kinds)
      .filter(([kind]) => kind.includes('reinjected'))
      .reduce((sum, [, count]) => sum + count, 0);
    t.ok(told > 1000, JSON.stringify(kinds));
  });

  const { sent } = await sender.stop();
  await nic.atRest();
  checkReceived(t, await receiver.stop(), sent);
  checkAccounting(t, nic, await nic.atRest());
});

t.test('what becomes of the interface', { skip: cannotRun }, async (t) => {
  const netns = quietNetns(t);
  const nic = attachedIn(t, netns, ARGUMENTS);
  const detached = await startRecording(t, nic);
  okIn(netns, 'ping', ['-q', '-c', '3', '-i', '0.05', ADDRESS]);
  cliOk(['detach', nic.iface, '--netns', netns]);
  t.match(await detached.ended, { status: 0, output: /^\d+ frames? of vnet0/ }, 'detached: the file is complete');
  t.equal(summaryOf(detached.file).missed, 0);
  const frames = await readRecording(detached.file);
  t.ok(
    frames.length >= 6 && frames.every(({ comment }) => comment.startsWith('captured, reinjected')),
    `${frames.length} frames`,
  );

  const again = attachedIn(t, netns, ARGUMENTS);
  const crashed = await startRecording(t, again);
  process.kill(attachmentOf(again).pid, 'SIGKILL');
  t.match(await crashed.ended, { status: 0 }, 'its controller was killed: the file is complete');
  cliOk(['attach', again.iface, '--netns', netns, '--daemon', ...ARGUMENTS]);
  t.notOk(fs.existsSync(tracePin(again)), 'the next controller takes away what was left of it');
  const last = await startRecording(t, again);
  okIn(netns, 'ping', ['-q', '-c', '3', '-i', '0.05', ADDRESS]);
  await last.end();
  t.ok((await readRecording(last.file)).length >= 6, 'and it can be recorded again');
  checkAccounting(t, again, await again.atRest());
});

t.test('what a hook does is in the file', { skip: cannotRun }, async (t) => {
  const hook = hookFile(
    t,
    'every.mjs',
    `let n = 0;
export default (frame) => {
  if (frame.udp?.destinationPort !== 7777) return 'pass';
  return ['pass', 'drop', frame.bytes][n++ % 3];
};`,
  );
  const netns = quietNetns(t);
  const nic = attachedIn(t, netns, [...ARGUMENTS, '--hook', hook]);
  okIn(netns, 'ping', ['-q', '-c', '1', ADDRESS]);
  const recording = await startRecording(t, nic);
  const before = await nic.atRest();
  // No process listens, and the replies to that are not UDP.
  okIn(netns, 'bash', ['-c', 'for i in 1 2 3 4 5 6 7 8 9; do echo $i >/dev/udp/10.77.0.1/7777; done']);
  const rest = await nic.atRest();
  await recording.end();
  const kinds = kindsOf(await readRecording(recording.file));
  t.equal(kinds['captured, dropped by the hook after T'], rest.hooks.dropped - before.hooks.dropped);
  t.equal(kinds['captured, dropped by the hook after T'], 3);
  t.equal(kinds['captured, changed by the hook and reinjected after T'], 3);
  t.ok(frameAccounting(rest).balanced, 'the frame accounting balances');
});

t.test('superpackets and tags: replayed, they are the same', { skip: cannotRun }, async (t) => {
  const netns = quietNetns(t);
  const nic = attachedIn(t, netns, ARGUMENTS);
  const socket = RawSocket.open(t, netns, nic.iface);
  const recording = await startRecording(t, nic);
  const { sent, received } = await tcpRun(t, netns, ADDRESS, 4 << 20);
  t.equal(received.bytes, sent.bytes);
  const pair = UdpPair.open(t, netns, ADDRESS);
  for (const segment of [100, 1400])
    t.equal(pair.trySend(segment * 20 + 7, { segment }).error, null, 'UDP superpackets');
  for (const tags of [
    [[0x8100, 5]],
    [
      [0x88a8, 100],
      [0x8100, 5],
    ],
  ] as const)
    for (const bytes of [60, 1514]) socket.send(frameOf(bytes, { tags }));
  await nic.atRest();
  await recording.end();
  const frames = await readRecording(recording.file);
  const superpackets = frames.filter(({ comment }) => /superpacket of \d+ segments of \d+ bytes/.test(comment));
  t.ok(superpackets.length > 2, `${superpackets.length} superpackets`);
  t.match(superpackets.at(-1)?.comment, 'superpacket of 21 segments of 1400 bytes');
  t.ok(
    frames.some(({ bytes }) => bytes.readUInt16BE(12) === 0x8100) &&
      frames.some(({ bytes }) => bytes.readUInt16BE(12) === 0x88a8),
    'and tags',
  );

  const there = attachedIn(t, quietNetns(t), []);
  const again = await startRecording(t, there);
  t.match(
    cliOk(['replay', recording.file, '--into', there.iface, '--netns', there.netns, '--timing', 'original']),
    `${frames.length} frames sent`,
  );
  const rest = await there.atRest();
  await again.end();
  const replayed = await readRecording(again.file);
  const asSent = (each: typeof frames): string[] =>
    each.map(({ bytes, header }) => `${header} ${bytes.toString('hex')}`);
  t.ok(JSON.stringify(asSent(replayed)) === JSON.stringify(asSent(frames)), 'byte for byte');
  const span = (each: typeof frames): number => Number((each.at(-1)?.time ?? 0n) - (each[0]?.time ?? 0n)) / 1e6;
  t.ok(span(replayed) >= span(frames) * 0.9, `as far apart: ${span(frames)} ms, ${span(replayed)} ms again`);
  checkAccounting(t, there, rest);
});

t.test('what cannot be replayed is said', { skip: cannotRun }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ['--when-full', 'drop', '--ring-size', '256K']);
  const into = ['--into', nic.iface, '--netns', nic.netns];
  const file = path.join(directoryOf(t), 'small.pcap');
  const frames = [60, 1514, 3000].map((bytes) => frameOf(bytes));
  fs.writeFileSync(file, pcap(frames));
  t.match(cli(['replay', file, ...into]), {
    status: 1,
    stdout: /^2 frames sent/,
    stderr: /1 longer than the MTU, and no superpacket/,
  });
  fs.writeFileSync(file, pcap(frames).subarray(0, 200));
  t.match(cli(['replay', file, ...into]), {
    status: 1,
    stdout: /^1 frame sent/,
    stderr: /ends at byte 200, in the middle of a frame/,
  });
  t.match(cli(['replay', path.join(path.dirname(file), 'none'), ...into]), { status: 1, stderr: /ENOENT/ });
  t.match(cli(['replay', file, '--into', 'lo']), { status: 1, stderr: /is not attached/ });
});
