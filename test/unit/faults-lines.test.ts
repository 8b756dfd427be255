// SPDX-License-Identifier: MIT
/** Lines of faults: their rate, their queues, CoDel against the pseudocode of RFC 8289, traces against mahimahi's way. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { readFaults } from '../../src/faults/document';
import { CodelLine, ConstantRate, type Queued, RecordedRate, TailDropLine } from '../../src/faults/line';
import { faultsIn, readWish, wishOf, writtenWish } from '../../src/faults/source';
import { Opportunities, packed, packedTrace, unpacked } from '../../src/faults/trace';
import { faultHook } from '../../src/hooks/fault-hook';
import type { LogWriter } from '../../src/faults/log-writer';
import type { Fault } from '../../src/faults/log';
import { fakeClock } from '../helpers/fake-clock';
import { FakeHookedNic } from '../helpers/fake-hooked-nic';
import { datagram } from '../helpers/fault-frames';
import { Random } from '../helpers/random';

interface Arrival {
  at: number;
  bytes: number;
}

/** When each frame has been sent; Infinity if CoDel drops it. The names are those of RFC 8289, section 5. */
function codelOfRfc(arrivals: readonly Arrival[], bytesPerMs: number, target: number, interval: number): number[] {
  const outcomes: number[] = [];
  const queue: number[] = [];
  let firstAboveTime = 0;
  let dropNext = 0;
  let count = 0;
  let lastcount = 0;
  let dropping = false;
  let okToDrop = false;
  let maxpacket = 1514;
  let now = 0;
  const at = (i: number): Arrival => arrivals[i] as Arrival;
  const dodequeue = (): number | null => {
    okToDrop = false;
    const packet = queue.shift();
    if (packet === undefined) {
      firstAboveTime = 0;
      return null;
    }
    maxpacket = Math.max(maxpacket, at(packet).bytes);
    const sojourn = now - at(packet).at;
    const bytes = queue.reduce((sum, i) => sum + at(i).bytes, 0);
    if (sojourn < target || bytes <= maxpacket) firstAboveTime = 0;
    else if (firstAboveTime === 0) firstAboveTime = now + interval;
    else if (now >= firstAboveTime) okToDrop = true;
    return packet;
  };
  const nextDrop = (time: number): number => time + interval / Math.sqrt(count);
  const dequeue = (): number | null => {
    let packet = dodequeue();
    if (dropping) {
      if (!okToDrop) dropping = false;
      while (now >= dropNext && dropping) {
        outcomes[packet as number] = Infinity;
        count++;
        packet = dodequeue();
        if (!okToDrop) dropping = false;
        else dropNext = nextDrop(dropNext);
      }
    } else if (okToDrop) {
      outcomes[packet as number] = Infinity;
      packet = dodequeue();
      dropping = true;
      const delta = count - lastcount;
      count = delta > 1 && now - dropNext < 16 * interval ? delta : 1;
      dropNext = nextDrop(now);
      lastcount = count;
    }
    return packet;
  };
  let free = 0;
  for (let next = 0; ;) {
    const arrival = arrivals[next]?.at ?? Infinity;
    const [head] = queue;
    const start = head === undefined ? Infinity : Math.max(free, at(head).at);
    if (arrival === Infinity && start === Infinity) return outcomes;
    if (arrival <= start) {
      queue.push(next++);
      continue;
    }
    now = start;
    const packet = dequeue();
    if (packet !== null) outcomes[packet] = free = now + at(packet).bytes / bytesPerMs;
  }
}

/** Loads below and above the rate, in phases. */
function load(random: Random, bytesPerMs: number): Arrival[] {
  const arrivals: Arrival[] = [];
  let at = 0;
  for (let phase = random.between(2, 5); phase > 0; phase--) {
    const ratio = random.between(3, 25) / 10;
    for (const end = at + random.between(50, 1500); at < end;) {
      const bytes = random.pick([66, 590, 1514, random.between(60, 1514)]);
      at += (bytes / bytesPerMs / ratio) * (random.between(1, 1999) / 1000) + 1e-7;
      arrivals.push({ at, bytes });
    }
  }
  return arrivals;
}

t.test('CoDel drops what the RFC drops, and sends the rest when it does', async (t) => {
  const random = Random.announced(t);
  let drops = 0;
  let kept = 0;
  for (let run = 0; run < 60; run++) {
    const bytesPerMs = random.pick([12.5, 125, 1250, 12500]);
    const [target, interval] = random.pick([
      [5, 100],
      [1, 20],
      [20, 400],
    ] as const);
    const arrivals = load(random, bytesPerMs).slice(0, 900); // fewer than the queue takes
    const expected = codelOfRfc(arrivals, bytesPerMs, target, interval);
    const line = new CodelLine<Queued & { i: number }>(new ConstantRate(bytesPerMs), { target, interval });
    const outcomes: number[] = [];
    const decided = ({ i }: { i: number }, due: number): void => void (outcomes[i] = due);
    arrivals.forEach(({ at, bytes }, i) => {
      line.advance(at - 1e-8, decided);
      const frame = line.admit(at, bytes, (queued) => ({ ...queued, i }));
      if (frame === null) t.fail('the queue is full');
    });
    // In steps, as the thread does.
    for (let now = line.due; now < Infinity; now = line.due) line.advance(now + random.between(0, 3), decided);
    const different = expected.findIndex(
      (outcome, i) => !(outcome === outcomes[i] || Math.abs(outcome - (outcomes[i] ?? NaN)) < 1e-6),
    );
    if (different >= 0 || outcomes.length !== expected.length) {
      t.fail(`run ${run}, frame ${different}: ${outcomes[different]} for ${expected[different]}`);
      return;
    }
    drops += outcomes.filter((outcome) => outcome === Infinity).length;
    kept += outcomes.filter((outcome) => outcome < Infinity).length;
  }
  t.ok(drops > 200 && kept > 10_000, `${drops} dropped, ${kept} sent`);
});

t.test('CoDel: no frame waits much longer than planned when it came, and a short queue loses nothing', async (t) => {
  const line = new CodelLine<Queued>(new ConstantRate(125), { target: 5, interval: 100 });
  const outcomes: number[] = [];
  const planned: number[] = [];
  for (let at = 0; at < 1000; at += 4) {
    line.advance(at, (_, due) => outcomes.push(due));
    planned.push(line.admit(at, 500, (queued) => queued)?.due ?? NaN);
  }
  line.advance(Infinity, (_, due) => outcomes.push(due));
  t.same(outcomes, planned, 'a line that keeps up');
  const full = new CodelLine<Queued>(new ConstantRate(1), { target: 5, interval: 100 });
  const taken = Array.from({ length: 1200 }, () => full.admit(0, 1500, (queued) => queued)).filter(Boolean);
  t.equal(taken.length, 1000, 'a thousand frames at most');
});

/** When mahimahi delivers each frame (rationalize() in its link_queue.cc): opportunity by opportunity. */
function mahimahi(times: readonly number[], arrivals: readonly Arrival[]): number[] {
  const outcomes: number[] = [];
  const queue: number[] = [];
  let next = 0;
  let base = arrivals[0]?.at ?? 0;
  let inTransit = 0;
  const nextTime = (): number => base + (times[next] as number);
  const rationalize = (now: number): void => {
    while (nextTime() <= now) {
      const at = nextTime();
      let left = 1504;
      if (++next === times.length) {
        next = 0;
        base += times.at(-1) as number;
      }
      while (left > 0) {
        const [head] = queue;
        if (head === undefined) break;
        if (inTransit === 0) inTransit = (arrivals[head] as Arrival).bytes - 14 + 4;
        const part = Math.min(left, inTransit);
        left -= part;
        inTransit -= part;
        if (inTransit > 0) continue;
        outcomes[head] = at;
        queue.shift();
      }
    }
  };
  arrivals.forEach(({ at }, i) => {
    rationalize(at);
    queue.push(i);
  });
  while (queue.length > 0) rationalize(nextTime());
  return outcomes;
}

t.test('a trace delivers what mahimahi delivers, when it does', async (t) => {
  const random = Random.announced(t);
  for (let run = 0; run < 200; run++) {
    let time = random.pick([0, 0, 1, 50]);
    const times = Array.from(
      { length: random.between(1, 60) },
      () => (time += random.pick([0, 0, 1, 1, 2, 7, 40, 300])),
    );
    if (time === 0) times.push(5);
    let at = 1000 * random.between(0, 5);
    const arrivals = Array.from({ length: random.between(1, 150) }, () => {
      at += random.pick([0, 0.25, 1, 3, 20, 500]);
      return { at, bytes: random.pick([60, 66, 1514, 1514, random.between(60, 1514)]) };
    });
    const service = new RecordedRate(new Opportunities(Float64Array.from(times)));
    const outcomes = arrivals.map(({ at: from, bytes }) => service.send(from, bytes));
    const expected = mahimahi(times, arrivals);
    if (expected.some((outcome, i) => Math.abs(outcome - (outcomes[i] ?? NaN)) > 1e-6)) {
      t.same(outcomes, expected, `run ${run}: times ${times.join()}, arrivals ${JSON.stringify(arrivals)}`);
      return;
    }
  }
});

t.test('the short form of a trace', async (t) => {
  const random = Random.announced(t);
  for (let run = 0; run < 200; run++) {
    let time = 0;
    const times = Array.from({ length: random.between(1, 500) }, () => (time += random.pick([0, 1, 9, 35, 36, 1000])));
    times.push(time + 1);
    const short = packed(times);
    t.same([...unpacked(short)], times);
    t.equal(packedTrace(`${times.join('\n')}\n`), short);
  }
  t.equal(packedTrace('0\n0\n2\n40\n41\n'), '002(38)1');
  t.equal(packedTrace('1\r\n2'), '11', 'lines of another system, and no end of the last line');
  const wrong: [string, RegExp][] = [
    ['', /has no times/],
    ['0\n0\n', /ends at 0 ms/],
    ['5\n4\n', /goes back in time in line 2: from 5 to 4/],
    ['5\nabc\n', /no number of milliseconds in line 2: "abc"/],
    ['5\n\n6\n', /in line 2: ""/],
    ['-5\n', /in line 1: "-5"/],
    ['1.5\n', /in line 1: "1.5"/],
    ['1e3\n', /in line 1: "1e3"/],
    ['99999999999999999999\n', /in line 1: "99999999999999999999"/],
    ['999999999\n', /up to a day in line 1/],
    [`${'x'.repeat(1e6)}\n`, /in line 1: "xxxxxxxxxxxxxxxxxxxx"/],
    ['1\n'.repeat(600_001), /more than 600000 lines/],
    ['\u0000\u001b[31m\n', /in line 1: "\\u0000\\u001b\[31m"/],
  ];
  for (const [text, message] of wrong) t.throws(() => packedTrace(text), { message }, text.slice(0, 20));
  // As many as can be, far apart: longer than an order may be.
  t.throws(() => packed(Array.from({ length: 200_000 }, (_, i) => i * 100)), { message: /is too long/ });
});

t.test('a queue in milliseconds or in bytes', async (t) => {
  const bytes = new TailDropLine(new ConstantRate(1000), { bytes: 1500 });
  t.same(
    [0, 0, 0, 0.5, 1.5].map((now) => bytes.admit(now, 1000)),
    [1, 2, Infinity, Infinity, 3],
  );
  const ms = new TailDropLine(new ConstantRate(1000), { ms: 2 });
  t.same(
    [0, 0, 0, 0, 1].map((now) => ms.admit(now, 1000)),
    [1, 2, 3, Infinity, 4],
  );
  const trace = new TailDropLine(new RecordedRate(new Opportunities(Float64Array.of(10))), { ms: 20 });
  t.same(
    [5, 5, 5, 5, 16].map((now) => trace.admit(now, 1514)),
    [15, 25, 35, Infinity, 45],
  );
  for (let i = 0; i < 5000; i++) bytes.admit(100 + i, 1000);
  t.equal(bytes.admit(6000, 1000), 6001, 'and it forgets what it has sent');
});

t.test('words and JSON of traces', async (t) => {
  const directory = fs.mkdtempSync('/root/.vnet-bpf-test-');
  t.teardown(() => fs.rmSync(directory, { recursive: true }));
  const write = (name: string, text: string): string => {
    const file = path.join(directory, name);
    fs.writeFileSync(file, text, { mode: 0o644 });
    return file;
  };
  const file = write('a.trace', '1\n2\n40\n');
  const absolute = (name: string): string => path.resolve(directory, name);
  const inPlace = (wish: ReturnType<typeof wishOf>): unknown =>
    'document' in wish ? faultsIn(wish.document).rules[0]?.effects[0] : null;
  const whole = {
    kind: 'trace',
    trace: { file, opportunities: '11(38)' },
    queue: { codel: true },
    targetMs: 3,
    intervalMs: null,
  };
  t.same(inPlace(readWish('udp: trace a.trace queue codel target 3ms', null, absolute)), whole);
  t.same(
    inPlace(readWish(write('r.rules', 'udp: trace a.trace queue codel target 3ms'), null)),
    whole,
    'beside a file',
  );
  t.same(inPlace(readWish(write('r.json', '["udp: trace a.trace queue codel target 3ms"]'), null)), whole);
  const json = (trace: unknown): unknown => readFaults([{ effects: [{ kind: 'trace', trace }] }]);
  t.same(inPlace(wishOf(json([1, 2, 40]) as never, null)), {
    kind: 'trace',
    trace: { file: null, opportunities: '11(38)' },
    queue: { ms: 100 },
    targetMs: null,
    intervalMs: null,
  });
  t.same(inPlace(readWish('all: trace 1,2,40', null)), inPlace(wishOf(json([1, 2, 40]) as never, null)), 'in words');
  for (const wrong of [
    [],
    [3, 2],
    ['a'],
    [0],
    {},
    { file: '' },
    { opportunities: '1?' },
    { opportunities: '00' },
    7,
    null,
  ])
    t.throws(
      () => json(wrong),
      { code: 'USAGE', message: /faults, the rules\[0\]\.effects\[0\]\.trace: / },
      JSON.stringify(wrong),
    );
  t.throws(() => readWish('all: trace nothing.trace', null, absolute), {
    code: 'USAGE',
    message: /^trace "nothing.trace": there is no such file$/,
  });
  write('b.trace', '5\n4\n');
  t.throws(() => readWish('all: trace b.trace', null, absolute), {
    code: 'USAGE',
    message: /^trace "b.trace": goes back in time in line 2: from 5 to 4$/,
  });
  fs.chmodSync(file, 0o666);
  t.throws(() => readWish('all: trace a.trace', null, absolute), { code: 'HOOK', message: /can be written by others/ });
  fs.truncateSync(write('big.trace', ''), 9 << 20);
  t.throws(() => readWish('all: trace big.trace', null, absolute), {
    code: 'USAGE',
    message: /more than 8388608 bytes/,
  });
  t.throws(() => readWish('all: trace .', null, absolute), { code: 'USAGE', message: /is not a file/ });
  t.throws(() => writtenWish('["all: trace a.trace"]'), { code: 'USAGE', message: /its content is missing/ });
  t.throws(() => readWish('all: rate 1mbit target 5ms', null), {
    code: 'USAGE',
    message: /target and interval are those of "queue codel"/,
  });
});

t.test('frames that CoDel drops while they wait are counted, and logged', async (t) => {
  const time = fakeClock(t);
  const log: Fault[] = [];
  const writer = { add: (each: Fault) => log.push(each), begin: () => undefined, flush: () => undefined, missed: 0 };
  const hook = faultHook(readFaults('udp: rate 1mbit queue codel'), null, writer as unknown as LogWriter);
  const nic = new FakeHookedNic();
  nic.host.onError = 'drop';
  nic.host.use(hook);
  let put = 0;
  // Twice what the line takes.
  for (const end = time.now + 700; time.now < end; time.now += 1) {
    for (let i = 0; i < 2; i++, put++) nic.put(datagram({}, 'client', 125 - 42 + i));
    if (put % 3 > 0 || nic.poller.due <= time.now) nic.poller.poll();
    const { in: entered, out } = nic.accounting();
    if (entered !== out) t.fail(`${entered} in, ${out} out`);
  }
  t.ok(nic.sent.length > 500 && nic.counter('hooksDropped') > 5, `${nic.sent.length} sent so far`);
  for (let i = 0; i < 3000 && (nic.waits > 0 || nic.poller.due < Infinity); i++) {
    time.now += 1;
    nic.poller.poll();
  }
  const dropped = nic.counter('hooksDropped');
  t.equal(dropped + nic.sent.length, put, 'each is sent or dropped');
  t.equal(nic.waits, 0);
  t.same([...new Set(log.map(({ effect }) => effect))], ['rate: codel']);
  t.equal(log.length, dropped);
  t.equal(hook.report().rules[0]?.applied, dropped);
  t.same(nic.accounting().in, nic.accounting().out);
});
