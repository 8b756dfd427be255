// SPDX-License-Identifier: MIT
/** Faults in the loop: what the engine decides is what is sent, counted and logged. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { type Fault, lineOf } from '../../src/faults/log';
import { LogWriter, readLog } from '../../src/faults/log-writer';
import { faultsIn, readWish, wishOf } from '../../src/faults/source';
import { readFaults } from '../../src/faults/document';
import { OUTCOME, type OutcomeWriter } from '../../src/datapath/outcomes';
import { faultHook } from '../../src/hooks/fault-hook';
import { ethernet, Frame, ipv4, tcp } from '../../src/packet';
import { fakeClock } from '../helpers/fake-clock';
import { FakeHookedNic } from '../helpers/fake-hooked-nic';
import { ACK, datagram, LINK, segment, SYN } from '../helpers/fault-frames';

const fault = (n: number): Fault => ({
  time: 1764480000.1234567,
  rule: 1,
  connection: 'udp 10.77.0.1 > 10.77.0.2:53 #1',
  from: 'client',
  n,
  frame: 'udp 29 bytes',
  effect: 'drop',
});

function made(rules: string): {
  nic: FakeHookedNic;
  log: Fault[];
  hook: ReturnType<typeof faultHook>;
  clock: { now: number };
} {
  const log: Fault[] = [];
  const writer = {
    add: (each: Fault) => log.push(each),
    begin: () => undefined,
    flush: () => undefined,
    missed: 0,
  } as unknown as LogWriter;
  const hook = faultHook(readFaults(rules), null, writer);
  const nic = new FakeHookedNic();
  nic.host.onError = 'drop';
  nic.host.use(hook);
  return { nic, log, hook, clock: { now: 0 } };
}

t.test('drop, duplicate, delay, reorder and answers', async (t) => {
  const time = fakeClock(t);
  const { nic, log, hook } = made(
    'udp port 53 nth 2: drop; udp port 53 nth 3: duplicate; udp port 54: delay 5ms; udp port 55 nth 1: reorder 2; udp port 56: unreachable',
  );
  for (let i = 0; i < 3; i++) nic.put(datagram());
  nic.put(datagram({ serverPort: 54 }));
  for (let i = 0; i < 4; i++) nic.put(datagram({ serverPort: 55 }, 'client', 10 + i));
  nic.put(datagram({ serverPort: 56 }));
  t.equal(nic.poller.poll(), 9);
  const shown = (): (string | number)[] =>
    nic.sent.map(
      ({ frame }) =>
        Frame.of(frame).icmp?.type ?? `${Frame.of(frame).udp?.destinationPort} ${Frame.of(frame).udp?.payload.length}`,
    );
  t.same(
    shown(),
    ['53 20', '53 20', '53 20', '55 11', '55 12', '55 10', '55 13', 3],
    'what waits for two others comes right behind them',
  );
  time.now += 5;
  nic.poller.poll();
  t.same(shown().at(-1), '54 20');
  t.same(nic.accounting(), { in: nic.accounting().out, out: nic.accounting().in });
  t.same(
    [nic.counter('hooksDropped'), nic.counter('hooksInjected'), nic.counter('hooksDelayed'), nic.waits],
    [2, 2, 2, 0],
  );
  t.same(
    log.map(({ rule, n, effect }) => `${rule} ${n} ${effect}`),
    ['1 2 drop', '2 3 duplicate', '3 1 delay 5.000 ms', '4 1 reorder 2', '5 1 unreachable port'],
  );
  t.same(
    hook.report().rules.map(({ matched, applied }) => [matched, applied]),
    [
      [1, 1],
      [1, 1],
      [1, 1],
      [1, 1],
      [1, 1],
    ],
  );
});

t.test('a frame that waits for others that never come leaves in the end', async (t) => {
  const time = fakeClock(t);
  const { nic } = made('udp nth 1: reorder 2 within 50ms');
  nic.put(datagram());
  nic.poller.poll();
  time.now += 49;
  nic.poller.poll();
  t.equal(nic.sent.length, 0);
  time.now += 1;
  nic.poller.poll();
  t.equal(nic.sent.length, 1);
});

t.test('superpackets that no rule is about pass whole, others in segments', async (t) => {
  const superpacket = (port: number): Uint8Array =>
    ethernet(
      LINK,
      ipv4(
        { source: '10.77.0.1', destination: '10.77.0.2' },
        tcp({ sourcePort: 40000, destinationPort: port, sequence: 1, flags: ACK }, new Uint8Array(5000)),
      ),
    );
  const vnet = Buffer.alloc(10);
  vnet.set([1, 1]);
  vnet.writeUInt16LE(1000, 4);
  vnet.writeUInt16LE(34, 6);
  vnet.writeUInt16LE(16, 8);
  const { nic, hook } = made('tcp port 80 at-byte 2500: drop; udp: drop');
  nic.put(segment({ sequence: 0, flags: SYN }));
  nic.put(superpacket(443), vnet);
  nic.put(superpacket(80), vnet);
  nic.poller.poll();
  t.same(
    nic.sent.map(({ frame }) => frame.length - 54),
    [0, 5000, 1000, 1000, 1000, 1000],
  );
  t.same(hook.report().rules[0]?.matched, 1);
  const all = made('udp nth 1: cut 100ms; tcp port 81: drop');
  all.nic.put(superpacket(80), vnet);
  all.nic.put(datagram());
  all.nic.put(superpacket(80), vnet);
  all.nic.poller.poll();
  t.same(
    all.nic.sent.map(({ frame }) => frame.length - 54),
    [5000],
    'but nothing passes while all is cut',
  );
  t.same(all.nic.accounting(), { in: all.nic.accounting().out, out: all.nic.accounting().in });
});

t.test('the carrier is taken away once', async (t) => {
  const { nic, log } = made('udp nth 2: carrier 250ms');
  for (let i = 0; i < 4; i++) nic.put(datagram());
  nic.poller.poll();
  t.same(nic.carrierLosses, [250]);
  t.equal(nic.sent.length, 1);
  t.equal(log.length, 3);
});

t.test('a recorder is told of each rule that did something to a frame, before its outcome', async (t) => {
  const { nic } = made('udp: duplicate; udp nth 2: drop; tcp from client: ecn; udp nth 2: delay 5ms');
  const told: string[] = [];
  nic.poller.outcomes = {
    now: () => 0,
    publish: () => undefined,
    note: (position: number, _stamp: number, outcome: number, detail: number) =>
      told.push(`${position} ${outcome === OUTCOME.fault ? `rule ${detail}` : `outcome ${outcome}`}`),
  } as unknown as OutcomeWriter;
  for (let i = 0; i < 3; i++) nic.put(datagram());
  nic.answers = [1];
  nic.poller.poll();
  nic.poller.poll();
  t.same(told, [
    '0 rule 0',
    `0 outcome ${OUTCOME.reinjected}`,
    '1 rule 0',
    '1 rule 1',
    `1 outcome ${OUTCOME.dropped}`,
    '2 rule 0',
    `2 outcome ${OUTCOME.reinjected}`,
  ]);
  told.length = 0;
  nic.put(segment({ sequence: 0, flags: SYN }));
  nic.poller.poll();
  t.same(told, [`3 outcome ${OUTCOME.reinjected}`], 'a rule that does nothing to a frame is not named');
});

t.test('the log has the latest faults, in two files', async (t) => {
  t.equal(
    lineOf(fault(2)),
    '{"time":1764480000.123457,"rule":1,"connection":"udp 10.77.0.1 > 10.77.0.2:53 #1","from":"client","n":2,"frame":"udp 29 bytes","effect":"drop"}',
  );
  const directory = t.testdir();
  const files = ['a', 'b'].map((name) => path.join(directory, name));
  const fds = files.map((file) => fs.openSync(file, 'a'));
  t.teardown(() => fds.forEach((fd) => fs.closeSync(fd)));
  const size = lineOf(fault(100)).length + 1;
  const log = new LogWriter(fds, 10 * size);
  let asked = 0;
  log.soon = () => asked++;
  log.begin();
  for (let n = 100; n < 135; n++) {
    log.add({ ...fault(n), time: n });
    log.flush();
  }
  t.equal(asked, 35, 'once for each line that is the first to wait');
  const kept = readLog(files).map((line) => (JSON.parse(line) as Fault).n);
  t.ok(kept.length >= 10 && kept.length <= 20);
  t.same(
    kept,
    Array.from({ length: kept.length }, (_, i) => 135 - kept.length + i),
    'in their order, up to the last',
  );
  for (let n = 0; n < 5; n++) log.add(fault(n));
  t.equal(readLog(files).length, kept.length, 'lines wait');
  log.flush();
  t.equal(readLog(files).length, kept.length + 5);
  log.begin();
  t.same(readLog([...files, path.join(directory, 'missing')]), []);
  const full = new LogWriter([fs.openSync('/dev/full', 'w')]);
  full.add(fault(1));
  full.flush();
  t.equal(full.missed, 1, 'a full disk costs lines');
});

t.test('where rules come from', async (t) => {
  const directory = fs.mkdtempSync('/root/.vnet-bpf-test-');
  t.teardown(() => fs.rmSync(directory, { recursive: true }));
  const write = (name: string, text: string): string => {
    fs.writeFileSync(path.join(directory, name), text, { mode: 0o644 });
    return path.join(directory, name);
  };
  const absolute = (file: string): string => path.resolve(directory, file);
  const rulesIn = (textOrFile: string, seed: number | null = null): unknown => {
    const wish = readWish(textOrFile, seed, absolute);
    if (!('document' in wish)) return wish;
    const { seed: is, rules } = faultsIn(wish.document);
    return [is, rules.map(({ match }) => match.filter)];
  };
  t.same(rulesIn('udp: drop; tcp: drop'), [1, ['udp', 'tcp']]);
  t.same(rulesIn('udp: drop', 9), [9, ['udp']]);
  write('a.json', '{"seed": 4, "rules": ["udp: drop"]}');
  write('a.rules', '# a comment\nudp: drop\ntcp: drop\n');
  t.same(rulesIn('a.json'), [4, ['udp']]);
  t.same(rulesIn('a.json', 5), [5, ['udp']]);
  t.same(rulesIn('a.rules'), [1, ['udp', 'tcp']]);
  t.same(rulesIn('rules.ts', 6), { file: path.join(directory, 'rules.ts'), seed: 6 });
  write('broken.json', '{');
  t.throws(() => rulesIn('broken.json'), { code: 'USAGE', message: /broken\.json: is not JSON/ });
  t.throws(() => rulesIn('nothing'), {
    code: 'USAGE',
    message: /^faults "nothing": is neither the name of a file nor rules/,
  });
  t.throws(() => rulesIn('drop'), { code: 'USAGE', hint: /udp port 53 nth 2: drop/ });
  fs.chmodSync(write('open.json', '["udp: drop"]'), 0o666);
  t.throws(() => rulesIn('open.json'), { code: 'HOOK', message: /can be written by others/ });
  t.throws(() => wishOf(readFaults('udp port 53: reset'), null), { code: 'USAGE', message: /never take effect/ });
});
