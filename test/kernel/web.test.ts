// SPDX-License-Identifier: MIT
/** `vnet-bpf web`: what its pages see and do, and what it costs. P5 to P7 of docs/SECURITY.md. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';

import t, { type Test } from 'tap';

import type { FrameSeen } from '../../src/web/protocol';
import {
  attachedIn,
  attachInBackground,
  type Attached,
  cannotRun,
  cli,
  cliOk,
  cliStart,
  MAIN,
  SLOW,
} from '../helpers/cli';
import { eventually, killController } from '../helpers/controller';
import { startFlood } from '../helpers/flood';
import { inside, okIn, quietNetns, run } from '../helpers/netns';
import { startRecording, tracePin } from '../helpers/recording';
import { closed, type Opened, opened, startWeb, type WebAddress } from '../helpers/web-client';

t.setTimeout(120_000 * SLOW);

const ADDRESS = '10.77.0.1';

const attachedHere = (t: Test): Attached => attachedIn(t, quietNetns(t), ['--addr', `${ADDRESS}/24`]);

const ping = ({ netns }: Attached, count: number, ...args: string[]): string => {
  const [nsenter, ...rest] = inside(netns) as [string, ...string[]];
  return run(nsenter, [...rest, 'ping', '-c', String(count), '-i', '0.1', '-W', String(SLOW), ...args, ADDRESS]).stdout;
};

/** Frames that the page gets, until there are `count`. */
async function framesOf(page: Opened, count: number): Promise<FrameSeen[]> {
  const frames: FrameSeen[] = [];
  while (frames.length < count) frames.push(...(await page.next('frames')).frames);
  return frames;
}

/** Opens a page that watches vnet0 and its frames, which are recorded from then on. */
async function watching(from: WebAddress, nic: Attached, filter = ''): Promise<Opened> {
  const page = await opened(from);
  page.say({ type: 'watch', interface: 'vnet0', frames: { filter } });
  await page.next('stats');
  await eventually(() => fs.existsSync(tracePin(nic)));
  await new Promise((resolve) => setTimeout(resolve, 100));
  return page;
}

t.test('a page sees readings and frames, and changes what happens to them', { skip: cannotRun }, async (t) => {
  const nic = attachedHere(t);
  const from = await startWeb(t, '--netns', nic.netns);
  const page = await watching(from, nic, 'icmp');
  t.match(await page.next('stats', () => true), {
    interface: 'vnet0',
    stats: { interface: 'vnet0', netns: nic.netns, state: 'running' },
    faults: null,
    hook: null,
    impairment: null,
    carrier: 'up',
    latency: null,
  });
  t.match(page.messages[0], { type: 'hello', readOnly: false, interfaces: [{ name: 'vnet0', netns: nic.netns }] });

  const begun = Date.now();
  ping(nic, 2, '-p', Buffer.from('<img src=x>').toString('hex'));
  const frames = await framesOf(page, 4);
  t.same(
    frames.map(({ number }) => number),
    [1, 2, 3, 4],
  );
  for (const { time, length, summary, outcome, kind, bytes } of frames) {
    t.ok(time > begun - 1000 && time < Date.now() + 1000, 'when it was sent');
    t.equal(length, 98);
    t.match(summary, /^ipv4 10\.77\.0\.1 > 10\.77\.0\.1, ttl 64, protocol 1; icmp echo (request|reply)/);
    t.match(outcome, /^captured, reinjected after \d+\.\d{3} ms/);
    t.equal(kind, 'passed');
    t.equal(Buffer.from(bytes, 'base64').length, 98);
    t.match(Buffer.from(bytes, 'base64').toString('latin1'), '<img src=x>', 'all its bytes');
    t.notMatch(JSON.stringify({ summary, outcome, bytes }), /[<>]img/, 'P6: and no markup');
  }
  const { stats, latency } = await page.next('stats', (seen) => seen.latency !== null);
  t.equal(stats.tx.packets, stats.rx.packets);
  t.ok(latency && latency.p50 > 0 && latency.p50 <= latency.p99, `round trips: ${JSON.stringify(latency)}`);
  const first = await page.next('stats');
  const tenth = await page.next('stats', ({ time }) => time >= first.time + 900);
  const between = page.messages.filter(
    (each) => each.type === 'stats' && each.time > first.time && each.time <= tenth.time,
  );
  t.ok(between.length >= 5 && between.length <= 12, `${between.length} readings in a second`);

  t.equal(await page.act('vnet0', { kind: 'faults', rules: 'icmp from client nth 2: drop', seed: 7 }), null);
  t.ok(await page.next('stats', ({ faults }) => faults === 'icmp from client nth 2: drop'));
  t.match(cliOk(['faults', 'vnet0', '--show', '--netns', nic.netns]), 'with the seed 7');
  t.notMatch(ping(nic, 2), 'icmp_seq=2');
  const faulted = await framesOf(page, 3);
  t.match(faulted.at(-1), {
    kind: 'dropped',
    outcome: /dropped by faults after .*; rule 1: icmp from client nth 2: drop/,
  });
  t.match(await page.act('vnet0', { kind: 'faults', rules: 'icmp nth 0: drop', seed: null }), {
    message: /nth/,
    hint: /./,
  });
  t.match(
    await page.act('vnet0', { kind: 'faults', rules: '/etc/passwd', seed: null }),
    { message: /not rules in words/ },
    'a page names no file',
  );
  for (const rules of ['all: trace /etc/passwd', '["all: trace /etc/passwd"]', 'udp: drop; ip: trace ./nothing'])
    t.match(
      await page.act('vnet0', { kind: 'faults', rules, seed: null }),
      { message: /^trace "[^"]*": is the name of a file, and a page names none$/ },
      `P3: nor a trace: ${rules}`,
    );
  t.equal(await page.act('vnet0', { kind: 'faults', rules: 'udp port 9: trace 0,2,40', seed: null }), null);
  t.equal(await page.act('vnet0', { kind: 'clear-faults' }), null);
  t.ok(await page.next('stats', ({ faults }) => faults === null));

  t.match(await page.act('vnet0', { kind: 'impair', words: 'delay --help' }), { message: /./ });
  t.equal(await page.act('vnet0', { kind: 'impair', words: 'delay 20ms' }), null);
  t.ok(await page.next('stats', ({ impairment }) => impairment === 'delay 20ms'));
  t.equal(await page.act('vnet0', { kind: 'impair', words: '' }), null);
  t.ok(await page.next('stats', ({ impairment }) => impairment === null));

  t.equal(await page.act('vnet0', { kind: 'carrier', state: 'down', forMs: null }), null);
  t.ok(await page.next('stats', ({ carrier }) => carrier === 'down'));
  t.match(okIn(nic.netns, 'ip', ['link', 'show', 'vnet0']), 'NO-CARRIER');
  t.equal(await page.act('vnet0', { kind: 'carrier', state: 'up', forMs: null }), null);
  t.ok(await page.next('stats', ({ carrier }) => carrier === 'up'));

  t.equal(await page.act('vnet0', { kind: 'cut', ms: 60_000 }), null);
  t.notMatch(ping(nic, 2), 'ttl=');
  t.match((await framesOf(page, 2)).at(-1), { kind: 'dropped' });
  t.equal(await page.act('vnet0', { kind: 'cut', ms: 0 }), null);
  t.match(ping(nic, 1), 'ttl=', 'the cut is over');
  t.match(await page.act('vnet0', { kind: 'cut', ms: 1e9 }), { message: /ms/ });
  t.match(await page.act('vnet9', { kind: 'clear-faults' }), { message: /vnet9: is not attached/ });

  page.say({ type: 'watch', interface: 'vnet0', frames: { filter: 'nonsense here' } });
  t.match(await page.next('frames', ({ unavailable }) => unavailable !== null), {
    unavailable: { message: /filter "nonsense here"/ },
  });

  const exit = once(from.server, 'close');
  const code = closed(page.page);
  from.server.kill('SIGINT');
  t.same([(await exit)[0], await code], [0, 1001], 'Ctrl-C ends it, and pages are told');
  await nic.atRest();
  t.notOk(fs.existsSync(tracePin(nic)), 'no recording is left');
});

t.test('the controller is killed, adopted and replaced while a page is open', { skip: cannotRun }, async (t) => {
  const nic = attachedHere(t);
  const from = await startWeb(t, 'vnet0', '--netns', nic.netns);
  const page = await watching(from, nic);
  await killController(nic);
  t.ok(await page.next('stats', ({ stats }) => stats.state === 'crashed'), 'the page shows that it has crashed');
  t.match(await page.next('frames', ({ unavailable }) => unavailable !== null), {
    unavailable: { message: 'the controller: has ended: no process loops the interface', hint: /vnet-bpf attach/ },
  });
  t.match(await page.act('vnet0', { kind: 'cut', ms: 1 }), { message: /controller/ });
  attachInBackground(['vnet0', '--netns', nic.netns, '--addr', `${ADDRESS}/24`]);
  t.ok(await page.next('stats', ({ stats }) => stats.state === 'running'), 'and that it runs again');
  await page.next('frames', ({ unavailable }) => unavailable === null);
  t.ok(await eventually(() => fs.existsSync(tracePin(nic))));
  ping(nic, 1);
  t.ok((await framesOf(page, 2)).length >= 2, 'frames are seen again');

  cliOk(['detach', 'vnet0', '--netns', nic.netns]);
  t.match(await page.next('gone'), { interface: 'vnet0' });
  attachInBackground(['vnet0', '--netns', nic.netns, '--addr', `${ADDRESS}/24`]);
  t.ok(await page.next('stats', ({ stats }) => stats.state === 'running'), 'another vnet0 takes its place');
  t.equal(page.messages.filter(({ type }) => type === 'gone').length, 1, 'it is told once');
  t.equal(from.server.exitCode, null);
});

/** Voluntary context switches of a process: each is a time that it has waited for something to do. */
const wakeUps = ({ pid }: ChildProcess): number =>
  Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);

t.test('nothing runs while no page is open, and one recording serves all pages', { skip: cannotRun }, async (t) => {
  const nic = attachedHere(t);
  const from = await startWeb(t, '--netns', nic.netns, '--read-only');
  const isIdle = async (): Promise<boolean> => {
    const before = wakeUps(from.server);
    await new Promise((resolve) => setTimeout(resolve, 500));
    return wakeUps(from.server) - before <= 5;
  };
  await new Promise((resolve) => setTimeout(resolve, 500));
  t.ok(await isIdle(), 'before the first page');
  const plain = await opened(from);
  plain.say({ type: 'watch', interface: 'vnet0', frames: null });
  await plain.next('stats');
  t.notOk(fs.existsSync(tracePin(nic)), 'readings need no recording');

  const pages = [await watching(from, nic, 'icmp[0] == 8'), await watching(from, nic, 'icmp[0] == 0')] as const;
  ping(nic, 2);
  const [requests, replies] = [await framesOf(pages[0], 2), await framesOf(pages[1], 2)];
  t.ok(requests.every(({ summary }) => summary.includes('echo request')));
  t.ok(replies.every(({ summary }) => summary.includes('echo reply')));

  for (const action of [
    { kind: 'faults', rules: 'icmp: drop', seed: null },
    { kind: 'clear-faults' },
    { kind: 'impair', words: 'delay 1s' },
    { kind: 'carrier', state: 'down', forMs: null },
    { kind: 'cut', ms: 1000 },
  ] as const)
    t.match(await plain.act('vnet0', action), { message: /only shows/ }, `P5: read-only refuses ${action.kind}`);
  t.match(ping(nic, 1), 'ttl=', 'P5: and nothing has changed');

  for (const { page } of pages) page.close();
  t.ok(await eventually(() => !fs.existsSync(tracePin(nic))), 'the recording ends with the last page that shows it');
  const recording = await startRecording(t, nic);
  const late = await opened(from);
  late.say({ type: 'watch', interface: 'vnet0', frames: { filter: '' } });
  t.match(await late.next('frames', ({ unavailable }) => unavailable !== null), {
    unavailable: { message: /records it already/ },
  });
  await recording.end();
  t.ok(await late.next('frames', ({ unavailable }) => unavailable === null), 'its turn comes');

  for (const { page } of [plain, late]) page.terminate();
  t.ok(await eventually(() => !fs.existsSync(tracePin(nic))));
  await new Promise((resolve) => setTimeout(resolve, 500));
  t.ok(await isIdle(), 'after the last page');
});

const residentBytes = ({ pid }: ChildProcess): number =>
  Number(/^VmRSS:\s*(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;

t.test('P7: a page that does not read, under load', { skip: cannotRun }, async (t) => {
  const nic = attachedHere(t);
  const from = await startWeb(t, '--netns', nic.netns);
  const [slow, quick] = [await watching(from, nic), await watching(from, nic)];
  slow.page.pause();
  const flood = await startFlood(t, nic.netns, { address: ADDRESS, bytes: 200, rate: 30_000 });
  const grows = async (): Promise<number> => {
    const before = residentBytes(from.server);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    return (residentBytes(from.server) - before) / 2 ** 20;
  };
  await grows();
  const grown = await grows();
  t.ok(grown < 64, `memory grows by ${grown.toFixed(1)} MiB`);
  const { sent } = await flood.sender.stop();
  await flood.receiver.stop();
  const messages = quick.messages.filter((each) => each.type === 'frames');
  const most = Math.max(...messages.map(({ frames }) => frames.length));
  const missed = messages.reduce((sum, each) => sum + each.missed, 0);
  t.ok(most <= 50, `at most ${most} frames in a message`);
  t.ok(missed > sent / 2, `${missed} of ${sent} frames are counted, not sent`);
  slow.page.resume();
  const { time } = await slow.next('stats', (seen) => seen.time > Date.now() - 1000);
  t.ok(time, 'a page that reads again sees the present');
  t.match(ping(nic, 1), 'ttl=');
});

t.test('addresses that others reach', { skip: cannotRun }, async (t) => {
  t.match(cli(['web', '--listen', '0.0.0.0:0']), {
    status: 2,
    stderr: /--listen 0\.0\.0\.0:0: other machines reach that address\nhint: .*--allow-remote/,
  });
  t.match(cli(['web', '--listen', 'vnet0']), { status: 2, stderr: /is not an address and a port/ });
  t.match(cli(['web', 'vnet9']), { status: 1, stderr: /vnet9/ });
  t.match(run('sh', ['-c', `NODE_OPTIONS= '${process.execPath}' '${MAIN}' web >/dev/full`]), {
    status: 1,
    stderr: /^vnet-bpf: standard output: cannot be written: [^\n]+\n$/,
  });
  const child = cliStart(t, ['web', '--listen', '0.0.0.0:0', '--allow-remote']);
  const [warning] = (await once(child.stderr as NodeJS.ReadableStream, 'data')) as [Buffer];
  t.match(warning.toString(), /^warning: http:\/\/0\.0\.0\.0:\d+\/ is open to the network, unencrypted: /);
  t.notMatch(warning.toString(), '#', 'the token is in one place');
});
