// SPDX-License-Identifier: MIT
/** The debugger of the page of `vnet-bpf web` on a made-up loop, and which messages about it are taken. */
import { setImmediate as turn } from 'node:timers/promises';

import t, { type Test } from 'tap';

import { ethernet, Frame, icmp, ipv4, udp } from '../../src/packet';
import type { ShownFrame, SteppedLoop } from '../../src/step/debugger';
import { isDebuggerAction } from '../../src/web/debugger-messages';
import type { DebuggerSeen } from '../../src/web/debugger-protocol';
import { messageOf } from '../../src/web/messages';
import { Model } from '../../src/web/page/model';
import { withoutSuperpackets } from '../../src/web/page/superpacket';
import { Stepping, typedFrame } from '../../src/web/stepping';
import { onesComplement } from '../helpers/ones-complement';

const LINK = { source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' };
const IP = { source: '10.77.0.1', destination: '10.77.0.2' };
const ping = (sequence: number): Uint8Array => ethernet(LINK, ipv4(IP, icmp(8, 0, sequence)));
const DATAGRAM = ethernet(LINK, ipv4(IP, udp({ sourcePort: 1, destinationPort: 53 }, Buffer.from('hello'))));

/** A loop whose frames are in a list, and what became of them. */
class FakeLoop implements SteppedLoop {
  readonly ring: ShownFrame[] = [];
  readonly happened: (string | Uint8Array)[] = [];
  looks = 0;
  broken = false;

  add(...frames: Uint8Array[]): void {
    this.ring.push(...frames.map((bytes) => ({ bytes: Uint8Array.from(bytes), superpacket: false })));
  }
  async peek(): Promise<ShownFrame | null> {
    if (this.broken) throw new Error('the loop is gone');
    this.looks++;
    return this.ring[0] ?? null;
  }
  async step(verdict: 'pass' | 'drop' | Uint8Array): Promise<void> {
    if (this.ring.shift() === undefined) throw new Error('there was no frame');
    this.happened.push(verdict);
  }
  async inject(frame: Uint8Array): Promise<void> {
    this.happened.push(`injected ${frame.length}`);
  }
}

interface Started {
  loop: FakeLoop;
  stepping: Stepping;
  /** Errors with which the loop has failed. */
  failures: unknown[];
  told: () => number;
}

function started(t: Test, filter = '', ...frames: Uint8Array[]): Started {
  const loop = new FakeLoop();
  const failures: unknown[] = [];
  let told = 0;
  const stepping = new Stepping(
    loop,
    () => told++,
    (error) => failures.push(error),
  );
  t.teardown(() => stepping[Symbol.dispose]());
  loop.add(...frames);
  stepping.setFilter(filter);
  stepping.start();
  return { loop, stepping, failures, told: () => told };
}

async function until(holds: () => boolean): Promise<void> {
  for (const end = performance.now() + 10_000; !holds();) {
    if (performance.now() > end) throw new Error('it never came to hold');
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

const held = async ({ stepping }: Started, number: number): Promise<void> =>
  until(() => stepping.seen.held?.number === number);

t.test('one frame after the other is held, passed and dropped', async (t) => {
  const it = started(t, '', ping(1), ping(2), ping(3));
  const { stepping, loop } = it;
  await held(it, 1);
  t.match(stepping.seen, {
    filter: '',
    held: {
      number: 1,
      length: 42,
      superpacket: false,
      edited: false,
      summary: /^ipv4 10\.77\.0\.1 > 10\.77\.0\.2, ttl 64, protocol 1; icmp echo request, id 0, sequence 1$/,
      bytes: Buffer.from(ping(1)).toString('base64'),
    },
    repeat: null,
    counts: { passed: 0, dropped: 0, injected: 0, unseen: 0 },
  });
  t.ok(stepping.seen.held?.fields.some(({ name, value }) => name === 'ttl' && value === '64'));
  await stepping.decide('pass', 1, 1);
  t.equal(stepping.seen.held?.number, 2, 'the next one is there with the answer');
  await t.rejects(stepping.decide('drop', 1, 1), { code: 'STATE', message: 'frame 1: is not held any more' });
  await stepping.decide('drop', 2, 1);
  await stepping.decide('pass', 3, 1);
  t.same(loop.happened, ['pass', 'drop', 'pass']);
  t.match(stepping.seen, { held: null, counts: { passed: 2, dropped: 1 } });
  const { looks } = loop;
  loop.add(ping(4));
  await held(it, 4);
  t.ok(loop.looks > looks, 'it looks again while none waits');
});

t.test('many at once, until the next is to be held', async (t) => {
  const it = started(t, '', ...Array.from({ length: 300 }, (_, i) => ping(i)));
  const { stepping, loop } = it;
  await held(it, 1);
  await stepping.decide('drop', 1, 200);
  await held(it, 2);
  t.equal(loop.happened.length, 200);
  t.match(stepping.seen, { counts: { dropped: 200 }, repeat: null });
  await stepping.decide('pass', 2, 1000);
  await until(() => loop.ring.length === 0);
  t.match(stepping.seen, { held: null, repeat: { verdict: 'pass', left: 900 } });
  await stepping.hold();
  loop.add(ping(1));
  await held(it, 3);
  t.match(stepping.seen, { repeat: null, counts: { passed: 100, dropped: 200 } });
});

t.test('edits: the checksums follow, and can be undone', async (t) => {
  const it = started(t, '', DATAGRAM);
  const { stepping, loop } = it;
  await held(it, 1);
  await stepping.edit(1, 'ttl', '7');
  await stepping.write(1, 42, '48 45:4c4c 4f');
  t.match(stepping.seen.held, { edited: true, summary: /ttl 7/, length: DATAGRAM.length });
  await stepping.undo(1);
  t.match(stepping.seen.held, { edited: false, bytes: Buffer.from(DATAGRAM).toString('base64') });
  await stepping.edit(1, 'destination', '10.77.0.9');
  await stepping.write(1, 42, '48454c4c4f');
  for (const wrong of [
    () => stepping.edit(1, 'ttl', '300'),
    () => stepping.edit(1, 'window', '1'),
    () => stepping.write(1, 42, '4'),
    () => stepping.write(1, 42, ''),
    () => stepping.write(1, DATAGRAM.length, '00'),
    () => stepping.write(1, Number.MAX_SAFE_INTEGER, '00'),
  ])
    await t.rejects(wrong(), { code: 'USAGE', hint: /./ });
  await t.rejects(stepping.edit(2, 'ttl', '1'), { code: 'STATE' });
  await stepping.inject(null);
  await stepping.decide('pass', 1, 1);
  const [injected, sent] = loop.happened as [string, Uint8Array];
  t.equal(injected, `injected ${DATAGRAM.length}`);
  const { ipv4: header, udp: segment } = Frame.of(sent);
  t.same([header?.destination, Buffer.from(segment?.payload ?? []).toString()], ['10.77.0.9', 'HELLO']);
  t.equal(onesComplement(sent), 0xffff);
  await t.rejects(stepping.inject(null), { code: 'STATE' }, 'no frame is held that could be copied');
});

t.test('an edit that leaves the frame as it was lets it pass unchanged', async (t) => {
  const it = started(t, '', DATAGRAM);
  await held(it, 1);
  await it.stepping.edit(1, 'ttl', '63');
  await it.stepping.edit(1, 'ttl', '64');
  await it.stepping.decide('pass', 1, 1);
  t.same(it.loop.happened, ['pass']);
});

t.test('a superpacket passes or is dropped', async (t) => {
  const it = started(t);
  it.loop.ring.push({ bytes: Uint8Array.from({ length: 60_000 }, (_, i) => DATAGRAM[i] ?? 1), superpacket: true });
  await held(it, 1);
  const frame = it.stepping.seen.held;
  t.match(frame, { superpacket: true, length: 60_000, fields: [] });
  t.equal(Buffer.from(frame?.bytes ?? '', 'base64').length, 2048, 'pages get its beginning');
  await t.rejects(it.stepping.edit(1, 'ttl', '7'), { code: 'USAGE', hint: /ethtool -K/ });
  await it.stepping.decide('drop', 1, 1);
  t.same(it.loop.happened, ['drop']);
});

t.test('with a filter, frames that it does not match pass unseen, and others have their turn meanwhile', async (t) => {
  const it = started(t, 'udp', ...Array.from({ length: 1000 }, () => ping(1)));
  const { stepping, loop, told } = it;
  await turn();
  await stepping.inject(DATAGRAM);
  t.ok(loop.ring.length > 0, 'an order does not wait until all of them have passed');
  loop.add(DATAGRAM);
  await held(it, 1);
  t.match(stepping.seen, { filter: 'udp', counts: { unseen: 1000, passed: 0 } });
  t.ok(told() < 50, `pages are told ${told()} times`);
  t.throws(() => stepping.setFilter('nonsense here'), { code: 'USAGE' });
});

t.test('a loop that is gone is told of once, and not looked at again', async (t) => {
  const { stepping, loop, failures } = started(t);
  await until(() => loop.looks > 0);
  loop.broken = true;
  await until(() => failures.length > 0);
  stepping[Symbol.dispose]();
  await new Promise((resolve) => setTimeout(resolve, 150));
  t.equal(failures.length, 1);
});

t.test('the page says by which command frames come that can be edited', async (t) => {
  const off = 'ethtool -K vnet0 tso off gso off';
  t.equal(withoutSuperpackets({ name: 'vnet0', netns: null }), off);
  t.equal(withoutSuperpackets({ name: 'vnet0 (1f3)', netns: null }), off);
  t.equal(withoutSuperpackets({ name: 'vnet0 in lab', netns: 'lab' }), `ip netns exec lab ${off}`);
});

t.test('typed frames', async (t) => {
  const broken = Uint8Array.from(DATAGRAM);
  broken[41] = 1 ^ (broken[41] as number);
  const hex = Buffer.from(broken).toString('hex');
  t.same(Buffer.from(typedFrame(hex, false)), Buffer.from(broken), 'as they are');
  t.same(Buffer.from(typedFrame(hex, true)), Buffer.from(DATAGRAM), 'or with right checksums');
  t.same(Buffer.from(typedFrame(hex.replace(/../g, '$& ').trim().replace(' ', '\n'), true)), Buffer.from(DATAGRAM));
  for (const wrong of ['', '0', 'xyz!', '0x00']) t.throws(() => typedFrame(wrong, true), { code: 'USAGE' }, wrong);
});

t.test('the page keeps what it was told about the interface that it watches, while it is connected', async (t) => {
  const model = new Model(() => true);
  const told = (name: string): DebuggerSeen => ({
    type: 'debugger',
    interface: name,
    you: 'page 1',
    paused: true,
    steering: 'page 2',
    filter: '',
    held: null,
    repeat: null,
    counts: { passed: 0, dropped: 0, injected: 0, unseen: 0 },
    ended: null,
  });
  model.opened();
  model.choose('vnet0');
  model.received(told('vnet1'));
  t.equal(model.debug, null);
  model.received(told('vnet0'));
  t.equal(model.debug?.steering, 'page 2');
  model.choose('vnet1');
  t.equal(model.debug, null, 'another interface has a debugger of its own');
  model.received(told('vnet1'));
  model.closed(true);
  t.equal(model.debug, null, 'nothing is known without a connection');
});

t.test('P3: actions of the debugger that no page sends', async (t) => {
  const of = (action: unknown): unknown => messageOf(JSON.stringify({ type: 'do', id: 1, interface: 'vnet0', action }));
  const right = [
    { kind: 'pause', filter: 'icmp' },
    { kind: 'resume' },
    { kind: 'let-go' },
    { kind: 'hold' },
    { kind: 'pass', frame: 1, count: 1 },
    { kind: 'drop', frame: 7, count: 1_000_000 },
    { kind: 'edit', frame: 1, field: 'ttl', value: '1' },
    { kind: 'write', frame: 1, at: 0, bytes: 'ff' },
    { kind: 'undo', frame: 1 },
    { kind: 'inject', bytes: null, fix: false },
    { kind: 'inject', bytes: 'ff', fix: true },
  ];
  for (const action of right) {
    t.match(of(action), { action }, action.kind);
    t.ok(isDebuggerAction(action));
  }
  t.match(of({ kind: 'resume', more: '__proto__' }), { action: { kind: 'resume' } });
  t.notOk(isDebuggerAction({ kind: 'cut' }));
  for (const wrong of [
    { kind: 'pause' },
    { kind: 'pause', filter: 7 },
    { kind: 'pause', filter: 'x'.repeat(5000) },
    { kind: 'pass', frame: 0, count: 1 },
    { kind: 'pass', frame: 1 },
    { kind: 'pass', frame: 1, count: 0 },
    { kind: 'pass', frame: 1, count: 1_000_001 },
    { kind: 'drop', frame: 1.5, count: 1 },
    { kind: 'drop', frame: '1', count: 1 },
    { kind: 'edit', frame: 1, field: 'ttl', value: 1 },
    { kind: 'edit', frame: 1, field: null, value: '1' },
    { kind: 'edit', frame: 1, field: 'ttl', value: '1'.repeat(300) },
    { kind: 'write', frame: 1, at: -1, bytes: 'ff' },
    { kind: 'write', frame: 1, at: 1e300, bytes: 'ff' },
    { kind: 'write', frame: 1, at: 0, bytes: ['ff'] },
    { kind: 'write', frame: 1, at: 0, bytes: 'f'.repeat(50_000) },
    { kind: 'undo', frame: null },
    { kind: 'inject', bytes: 'ff' },
    { kind: 'inject', bytes: 7, fix: true },
    { kind: 'inject', bytes: 'f'.repeat(50_000), fix: true },
    { kind: 'step' },
  ])
    t.equal(of(wrong), null, JSON.stringify(wrong).slice(0, 60));
});
