// SPDX-License-Identifier: MIT
/** The debugger of the page of `vnet-bpf web`, without a browser: real frames are held. P5 and P8 of docs/SECURITY.md. */
import { once } from 'node:events';

import t, { type Test } from 'tap';

import type { DebuggerAction, DebuggerSeen } from '../../src/web/debugger-protocol';
import { Background } from '../helpers/background';
import {
  attachedIn,
  attachInBackground,
  type Attached,
  cannotRun,
  checkAccounting,
  cli,
  cliOk,
  cliStart,
  SLOW,
} from '../helpers/cli';
import { eventually, killController } from '../helpers/controller';
import { checkReceived, startFlood } from '../helpers/flood';
import { okIn, quietNetns, testNetns } from '../helpers/netns';
import { onesComplement } from '../helpers/ones-complement';
import { withoutTools } from '../helpers/traffic';
import { UdpPair } from '../helpers/udp-pair';
import { closed, type Opened, opened, startWeb, type WebAddress } from '../helpers/web-client';

t.setTimeout(180_000 * SLOW);

const ADDRESS = '10.77.0.1';
const ADDRESS6 = 'fd00:77::1';
const PAUSED_MS = 10_000;

/** Where the payload of UDP begins in a frame. */
const PAYLOAD = { v4: 42, v6: 62 };

const attachedHere = (t: Test, ...args: string[]): Attached =>
  attachedIn(t, quietNetns(t), ['--addr', `${ADDRESS}/24`, ...args]);

async function watching(from: WebAddress, name = 'vnet0'): Promise<Opened> {
  const page = await opened(from);
  page.say({ type: 'watch', interface: name, frames: null });
  await page.next('stats');
  return page;
}

/** Waits until what a page was told last about the debugger is so. */
async function shows(page: Opened, holds: (seen: DebuggerSeen) => boolean): Promise<DebuggerSeen> {
  for (const end = Date.now() + 20_000 * SLOW; ;) {
    const last = page.messages.filter((each) => each.type === 'debugger').at(-1);
    if (last && holds(last)) return last;
    if (Date.now() > end) throw new Error(`the debugger stays so: ${JSON.stringify(last)}`);
    await once(page.page, 'message');
  }
}

/** The frame that is held; `what` is in its summary. */
const holds = async (page: Opened, number: number, what: string): Promise<NonNullable<DebuggerSeen['held']>> =>
  (await shows(page, ({ held }) => held?.number === number && held.summary.includes(what))).held as NonNullable<
    DebuggerSeen['held']
  >;

/** Has the debugger do something that it does. */
async function does(t: Test, page: Opened, action: DebuggerAction): Promise<void> {
  t.equal(await page.act('vnet0', action), null, JSON.stringify(action));
}

const ping = (t: Test, { netns }: Attached, count: number): Background =>
  Background.start(t, netns, 'ping', ['-c', String(count), '-i', '0.2', '-W', '600', ADDRESS]);

/** What comes back to vnet0, as tcpdump sees it, checksums included. */
async function capture(t: Test, { netns }: Attached, filter: string): Promise<Background> {
  const args = ['-Z', 'root', '-i', 'vnet0', '-n', '-l', '-vv', '--immediate-mode', '-Q', 'in', filter];
  const tcpdump = Background.start(t, netns, 'tcpdump', args);
  await tcpdump.says(/listening on/);
  return tcpdump;
}

/** For a loop in which frames were dropped or injected: vnet0 did not receive what it has sent. */
const balances = (t: Test, { netns }: Attached): void =>
  void t.equal(cli(['stats', 'vnet0', '--netns', netns, '--check']).status, 0, 'the frame accounting balances');

const loops = ({ netns }: Attached): unknown =>
  okIn(netns, 'ping', ['-c', '2', '-i', '0.2', '-W', String(5 * SLOW), ADDRESS]);

t.test('a frame is dropped, another is edited, and the ping shows both', { skip: cannotRun || withoutTools('tcpdump') }, async (t) => {
  const nic = attachedHere(t);
  const page = await watching(await startWeb(t, '--netns', nic.netns));
  const back = await capture(t, nic, 'icmp[icmptype] == icmp-echoreply');
  await does(t, page, { kind: 'pause', filter: 'icmp' });
  t.match(await shows(page, ({ paused }) => paused), { you: 'page 1', steering: 'page 1', held: null, filter: 'icmp' });
  const pinging = ping(t, nic, 2);
  await holds(page, 1, 'echo request, id');
  await does(t, page, { kind: 'drop', frame: 1, count: 1 });
  const request = await holds(page, 2, 'sequence 2');
  t.match(await page.act('vnet0', { kind: 'drop', frame: 1, count: 1 }), { message: /frame 1: is not held any more/ });
  t.match(request, { edited: false, superpacket: false, length: 98 });
  await does(t, page, { kind: 'pass', frame: 2, count: 1 });
  await holds(page, 3, 'echo reply');
  t.match(await page.act('vnet0', { kind: 'edit', frame: 3, field: 'ttl', value: '256' }), {
    message: /is no value of this field/,
    hint: /from 0 to 255/,
  });
  await does(t, page, { kind: 'edit', frame: 3, field: 'ttl', value: '7' });
  t.match(await holds(page, 3, 'ttl 7'), { edited: true });
  await does(t, page, { kind: 'pass', frame: 3, count: 1 });
  t.match(await shows(page, ({ held }) => held === null), { counts: { passed: 2, dropped: 1, injected: 0 } });
  await does(t, page, { kind: 'resume' });
  t.match(await shows(page, ({ paused }) => !paused), { steering: null, ended: null });
  await pinging.says(/icmp_seq=2/);
  await pinging.stop();
  t.match(pinging.output, /icmp_seq=2 ttl=7 /);
  t.match(pinging.output, /2 packets transmitted, 1 received/);
  await back.says(/ttl 7, [^]*echo reply/);
  await back.stop();
  t.notMatch(back.output, /bad cksum|wrong/, 'the checksums are right');
  const stats = await nic.atRest();
  t.match(stats.hooks, { dropped: 1, errors: 0 });
  t.match(cliOk(['log', 'vnet0', '--netns', nic.netns]), /VNET: the debugger has ended: vnet0 loops again/);
  balances(t, nic);
}); // prettier-ignore

t.test('a datagram whose checksum was left to the NIC arrives as it was edited', { skip: cannotRun || withoutTools('tcpdump') }, async (t) => {
  const nic = attachedIn(t, testNetns(t), ['--addr', `${ADDRESS}/24`, '--addr', `${ADDRESS6}/64`]);
  const page = await watching(await startWeb(t, '--netns', nic.netns));
  await does(t, page, { kind: 'pause', filter: 'udp' });
  const back = await capture(t, nic, 'udp');
  let number = 0;
  for (const [family, address, written] of [
    ['v4', ADDRESS, 'ttl 3,'],
    ['v6', ADDRESS6, 'hlim 3,'],
  ] as const) {
    const pair = UdpPair.open(t, nic.netns, address);
    const sent = pair.send(300);
    const { bytes } = await holds(page, ++number, 'udp port');
    t.equal(onesComplement(Buffer.from(bytes, 'base64')), 0xffff, `${family}: pages see a complete checksum`);
    await does(t, page, { kind: 'edit', frame: number, field: 'ttl', value: '3' });
    await does(t, page, { kind: 'write', frame: number, at: PAYLOAD[family] + 10, bytes: '68 65:6c6c 6f' });
    await does(t, page, { kind: 'inject', bytes: null, fix: false });
    const edited = Buffer.from(sent);
    edited.write('hello', 10);
    t.same(await pair.receive(1), [edited], 'a copy is received at once, while the frame is still held');
    t.equal((await holds(page, number, 'udp port')).number, number);
    await does(t, page, { kind: 'pass', frame: number, count: 1 });
    t.same(await pair.receive(1), [edited], 'and so is the frame');
    await back.says(new RegExp(`${written}[^]*${written}[^]*udp sum ok`));
  }
  await back.stop();
  t.notMatch(back.output, /bad udp cksum|bad cksum/);
  const pair = UdpPair.open(t, nic.netns, ADDRESS);
  pair.send(100);
  await holds(page, 3, 'udp port');
  await does(t, page, { kind: 'edit', frame: 3, field: 'ttl', value: '9' });
  await does(t, page, { kind: 'resume' });
  t.equal((await pair.receive(1)).length, 1, 'a frame that is held when the loop resumes is not lost');
  const stats = await nic.atRest();
  t.match(stats.hooks, { injected: 2, dropped: 0, errors: 0 });
  balances(t, nic);
}); // prettier-ignore

t.test(`a pause of ${PAUSED_MS / 1000} s under load loses nothing`, { skip: cannotRun }, async (t) => {
  const nic = attachedHere(t, '--ring-size', '256K');
  const page = await watching(await startWeb(t, '--netns', nic.netns));
  const { sender, receiver } = await startFlood(t, nic.netns, { address: ADDRESS, bytes: 200, flows: 3 });
  await does(t, page, { kind: 'pause', filter: '' });
  await holds(page, 1, 'udp port');
  await new Promise((resolve) => setTimeout(resolve, PAUSED_MS));
  t.ok(nic.stats().held.now > 0, 'the ring is full, and frames wait behind it');
  await does(t, page, { kind: 'pass', frame: 1, count: 500 });
  t.match(await holds(page, 2, 'udp port'), { number: 2 });
  t.match(await shows(page, () => true), { counts: { passed: 500 } });
  await does(t, page, { kind: 'resume' });
  await new Promise((resolve) => setTimeout(resolve, 500));
  const { sent } = await sender.stop();
  const after = await nic.atRest();
  checkReceived(t, await receiver.stop(), sent);
  t.ok(sent > 1000, `${sent} sent`);
  checkAccounting(t, nic, after);
});

t.test('several pages watch, one steers', { skip: cannotRun }, async (t) => {
  const nic = attachedHere(t);
  const from = await startWeb(t, '--netns', nic.netns);
  const [one, two] = [await watching(from), await watching(from)] as const;
  await does(t, one, { kind: 'pause', filter: 'icmp' });
  const pinging = ping(t, nic, 1);
  const frame = { frame: 1 };
  t.match(await holds(two, 1, 'echo request'), await holds(one, 1, 'echo request'), 'both see the same frame');
  t.match(await shows(two, () => true), { you: 'page 2', steering: 'page 1', paused: true });
  for (const action of [
    { kind: 'pause', filter: '' },
    { kind: 'resume' },
    { kind: 'let-go' },
    { kind: 'hold' },
    { kind: 'pass', ...frame, count: 1 },
    { kind: 'drop', ...frame, count: 1 },
    { kind: 'edit', ...frame, field: 'ttl', value: '1' },
    { kind: 'write', ...frame, at: 0, bytes: '00' },
    { kind: 'undo', ...frame },
    { kind: 'inject', bytes: null, fix: true },
    { kind: 'inject', bytes: '00'.repeat(60), fix: true },
  ] as const)
    t.match(await two.act('vnet0', action), { message: 'the debugger of vnet0: page 1 steers' }, action.kind);

  await does(t, one, { kind: 'edit', ...frame, field: 'ttl', value: '9' });
  await does(t, one, { kind: 'let-go' });
  t.match(await shows(two, ({ steering }) => steering === null), { paused: true, held: { edited: true } });
  t.match(await two.act('vnet0', { kind: 'pass', ...frame, count: 1 }), { message: /does not steer/, hint: /control/ });
  await does(t, two, { kind: 'pause', filter: 'icmp' });
  t.match(await shows(one, ({ steering }) => steering === 'page 2'), { held: { number: 1, edited: true } });
  t.match(await one.act('vnet0', { kind: 'drop', ...frame, count: 1 }), { message: /page 2 steers/ });
  const late = await watching(from);
  t.match(await holds(late, 1, 'ttl 9'), {}, 'a page that comes later sees it, too');

  two.page.terminate();
  t.match(await shows(one, ({ paused }) => !paused), { steering: null }, 'the page that steers is gone');
  await pinging.ended;
  t.match(pinging.output, /1 received, 0% packet loss/, 'and the frame that it held arrives');

  await does(t, late, { kind: 'pause', filter: '' });
  await does(t, late, { kind: 'let-go' });
  one.page.close();
  t.equal((await shows(late, ({ steering }) => steering === null)).paused, true, 'another page can still take it');
  late.page.close();
  await closed(late.page);
  loops(nic);
  const stats = await nic.atRest();
  t.match(stats.hooks, { dropped: 0, errors: 0 });
  checkAccounting(t, nic, stats);
});

t.test('vnet-bpf step and a page do not steer at the same time', { skip: cannotRun }, async (t) => {
  const nic = attachedHere(t);
  const from = await startWeb(t, '--netns', nic.netns);
  const page = await watching(from);
  await does(t, page, { kind: 'pause', filter: '' });
  t.match(cli(['step', 'vnet0', '--netns', nic.netns]), {
    status: 1,
    stderr:
      /^vnet-bpf: the loop of vnet0: somebody is stepping through it already\nhint: a page of vnet-bpf web has paused it: [^\n]+\n$/,
  });
  const other = await watching(await startWeb(t, '--netns', nic.netns));
  t.match(await other.act('vnet0', { kind: 'pause', filter: '' }), { hint: /a page of vnet-bpf web has paused it/ });
  await does(t, page, { kind: 'resume' });

  const step = cliStart(t, ['step', 'vnet0', '--netns', nic.netns]);
  const lines = [step.stdout, step.stderr].map((stream) => once(stream as NodeJS.ReadableStream, 'data'));
  t.match(String(await Promise.any(lines)), 'the loop is paused');
  t.match(await page.act('vnet0', { kind: 'pause', filter: '' }), {
    message: 'the loop of vnet0: somebody is stepping through it already',
    hint: /vnet-bpf step has paused it/,
  });
  t.equal((await shows(page, () => true)).paused, false);
  step.stdin?.end('edit ttl 5\nresume\n');
  await once(step, 'close');
  await does(t, page, { kind: 'pause', filter: '' });
  await does(t, page, { kind: 'resume' });
  loops(nic);
});

t.test('P8: whatever ends, the loop resumes', { skip: cannotRun }, async (t) => {
  const nic = attachedHere(t);
  attachInBackground(['vnet1', '--netns', nic.netns]);
  t.teardown(() => cli(['detach', 'vnet1', '--netns', nic.netns]));
  const from = await startWeb(t, '--netns', nic.netns);
  const resumed = (): Promise<boolean> =>
    eventually(() => cliOk(['log', 'vnet0', '--netns', nic.netns]).trimEnd().endsWith('vnet0 loops again'));
  const paused = async (): Promise<Opened> => {
    const page = await watching(from);
    await does(t, page, { kind: 'pause', filter: '' });
    t.match(cliOk(['log', 'vnet0', '--netns', nic.netns]), /a debugger has paused the loop of vnet0\n$/);
    return page;
  };
  for (const [what, leave] of [
    ['the page is closed', (page) => page.page.close()],
    ['its connection breaks', (page) => page.page.terminate()],
    ['it watches another interface', (page) => page.say({ type: 'watch', interface: 'vnet1', frames: null })],
    ['it watches none', (page) => page.say({ type: 'watch', interface: null, frames: null })],
    ['it sends what no page sends', (page) => page.page.send('{}')],
  ] as [string, (page: Opened) => void][]) {
    leave(await paused());
    t.ok(await resumed(), what);
  }
  const page = await watching(from);
  t.match(await page.act('vnet1', { kind: 'pause', filter: '' }), { message: /does not watch vnet1/ });

  const steering = await paused();
  await killController(nic);
  t.match(await shows(steering, (seen) => !seen.paused), { ended: { message: /^the controller: has ended/ } });
  attachInBackground(['vnet0', '--netns', nic.netns, '--addr', `${ADDRESS}/24`]);
  await steering.next('stats', ({ stats }) => stats.state === 'running');
  loops(nic);
  await does(t, steering, { kind: 'pause', filter: '' });
  t.equal((await shows(steering, (seen) => seen.paused)).ended, null, 'it can be paused again');
  from.server.kill('SIGKILL');
  t.ok(await resumed(), 'the server is killed');

  const last = await startWeb(t, '--netns', nic.netns);
  const lastPage = await watching(last);
  await does(t, lastPage, { kind: 'pause', filter: '' });
  const exit = once(last.server, 'close');
  last.server.kill('SIGINT');
  t.equal((await exit)[0], 0);
  t.ok(await resumed(), 'the server ends');
  loops(nic);
  checkAccounting(t, nic, await nic.atRest());
});

t.test('P5: with --read-only nothing is paused or injected', { skip: cannotRun }, async (t) => {
  const nic = attachedHere(t);
  const page = await watching(await startWeb(t, '--netns', nic.netns, '--read-only'));
  for (const action of [
    { kind: 'pause', filter: '' },
    { kind: 'resume' },
    { kind: 'let-go' },
    { kind: 'hold' },
    { kind: 'pass', frame: 1, count: 1 },
    { kind: 'drop', frame: 1, count: 1 },
    { kind: 'edit', frame: 1, field: 'ttl', value: '1' },
    { kind: 'write', frame: 1, at: 0, bytes: '00' },
    { kind: 'undo', frame: 1 },
    { kind: 'inject', bytes: '00'.repeat(60), fix: true },
  ] as const)
    t.match(await page.act('vnet0', action), { message: /only shows/ }, `P5: read-only refuses ${action.kind}`);
  loops(nic);
  t.match((await nic.atRest()).hooks, { injected: 0, dropped: 0 });
});

t.test('what is not paused is not stepped through, and frames can be injected all the same', { skip: cannotRun }, async (t) => {
  const nic = attachedHere(t);
  const page = await watching(await startWeb(t, '--netns', nic.netns));
  t.match(await page.act('vnet0', { kind: 'pass', frame: 1, count: 1 }), { message: /the loop is not paused/, hint: /pause/ });
  t.match(await page.act('vnet0', { kind: 'inject', bytes: null, fix: true }), { message: /the loop is not paused/ });
  t.match(await page.act('vnet0', { kind: 'inject', bytes: '00', fix: true }), { message: /a frame of 1 bytes/ });
  t.match(await page.act('vnet0', { kind: 'inject', bytes: 'xy', fix: true }), { message: /not bytes in hexadecimal/ });
  t.match(await page.act('vnet0', { kind: 'pause', filter: 'nonsense here' }), { message: /filter "nonsense here"/ });
  await does(t, page, { kind: 'inject', bytes: 'ffffffffffff 020000000009 88b5'.padEnd(140, '0'), fix: true });
  t.ok(await eventually(() => nic.stats().hooks.injected === 1), 'an injected frame is received');
  await does(t, page, { kind: 'pause', filter: '' });
  await does(t, page, { kind: 'inject', bytes: 'ffffffffffff 020000000009 88b5'.padEnd(140, '0'), fix: true });
  t.ok(await eventually(() => nic.stats().hooks.injected === 2), 'also while the loop is paused and no frame waits');
  await does(t, page, { kind: 'resume' });
  loops(nic);

  const queues = attachedIn(t, quietNetns(t), ['--queues', '2']);
  const many = await watching(await startWeb(t, '--netns', queues.netns));
  t.match(await many.act('vnet0', { kind: 'pause', filter: '' }), { message: /it has 2 queues, and step takes one/ });
}); // prettier-ignore
