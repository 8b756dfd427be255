// SPDX-License-Identifier: MIT
/** The log of an interface goes on whatever becomes of its file. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';
import type { Test } from 'tap';

import { inTurn } from '../../src/cli/log';
import { LogFile, QueueAnnouncer, type QueueReading } from '../../src/controller/event-log';
import { clock } from '../../src/native/clock';

t.test('lines that could not be written are counted, and said with the first that can be', async (t) => {
  const file = path.join(t.testdir(), 'log');
  const log = new LogFile(file);
  log.append('one');
  fs.renameSync(file, `${file}.kept`);
  fs.mkdirSync(file);
  log.append('two');
  log.append('three');
  fs.rmdirSync(file);
  fs.renameSync(`${file}.kept`, file);
  log.append('four');
  log.append('five');
  const [one, gap, ...rest] = fs.readFileSync(file, 'utf8').trimEnd().split('\n');
  t.equal(one, 'one');
  t.match(gap, /^\d{4}-.*Z VNET: 2 lines are missing here, which could not be written \(EISDIR\)$/);
  t.same(rest, ['four', 'five']);
});

t.test('a log that has grown to a megabyte keeps its newer half, in whole lines', async (t) => {
  const file = path.join(t.testdir(), 'log');
  const log = new LogFile(file);
  const line = (i: number): string => `${String(i).padStart(5, '0')} ${'x'.repeat(120)}`;
  for (let i = 0; i < 12_000; i++) log.append(line(i));
  const lines = fs.readFileSync(file, 'utf8').trimEnd().split('\n');
  t.ok(fs.statSync(file).size <= (1 << 20) + 200, 'it stays below that');
  const first = Number((lines[0] as string).slice(0, 5));
  t.same(
    lines,
    Array.from({ length: 12_000 - first }, (_, i) => line(first + i)),
    'the last lines, none lost and none torn',
  );
});

t.test('a symbolic link in its place is not followed, and a FIFO does not block', async (t) => {
  const directory = t.testdir({ victim: 'untouched\n' });
  const file = path.join(directory, 'log');
  fs.symlinkSync(path.join(directory, 'victim'), file);
  const log = new LogFile(file);
  log.append('one');
  t.equal(fs.readFileSync(path.join(directory, 'victim'), 'utf8'), 'untouched\n');
  fs.unlinkSync(file);
  log.append('two');
  t.match(fs.readFileSync(file, 'utf8'), /1 line is missing here, .*\(ELOOP\)\ntwo\n$/);
});

t.test(
  'the lines of one log stay in their order when the clock went back, those of several are merged by time',
  async (t) => {
    t.same(
      inTurn(
        [
          ['12:00 a', '11:00 b', '11:01 c'],
          ['11:30 d', '12:30 e'],
        ],
        (line) => line,
      ),
      ['11:30 d', '12:00 a', '11:00 b', '11:01 c', '12:30 e'],
    );
    t.same(
      inTurn<string>([[], []], (line) => line),
      [],
    );
  },
);

// Stops and wakes are announced, and storms of them added up: the kernel log takes ten lines in five seconds.

interface Setting {
  announcer: QueueAnnouncer;
  reading: QueueReading;
  lines: string[];
  /** Lets time pass, and runs the timers that are due. */
  pass: (ms: number) => void;
}

/** An announcer in a world where time passes when the test says so. */
function setting(t: Test): Setting {
  let now = 1_000_000;
  let timers: { due: number; run: () => void }[] = [];
  const real = { setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout };
  clock.now = () => now;
  globalThis.setTimeout = ((run: () => void, ms: number) => {
    const timer = { due: now + ms, run, unref: () => timer };
    timers.push(timer);
    return timer;
  }) as unknown as typeof setTimeout;
  globalThis.clearTimeout = ((timer: object) => {
    timers = timers.filter((other) => other !== timer);
  }) as unknown as typeof clearTimeout;
  t.teardown(() => {
    delete (clock as Partial<typeof clock>).now; // that of the prototype is back
    globalThis.setTimeout = real.setTimeout;
    globalThis.clearTimeout = real.clearTimeout;
  });
  const reading: QueueReading = { stops: 0, wakes: 0, stopped: false };
  const lines: string[] = [];
  const announcer = new QueueAnnouncer(
    () => 'vnet0',
    () => ({ ...reading }),
    (line) => lines.push(line),
  );
  const pass = (ms: number): void => {
    now += ms;
    const due = timers.filter((timer) => timer.due <= now);
    timers = timers.filter((timer) => timer.due > now);
    for (const timer of due) timer.run();
  };
  return { announcer, reading, lines, pass };
}

t.test('nothing new, nothing said', async (t) => {
  const { announcer, lines } = setting(t);
  announcer.update();
  announcer.flush();
  t.same(lines, []);
});

t.test('a stop and a wake are said at once', async (t) => {
  const { announcer, reading, lines } = setting(t);
  reading.stops = 1;
  announcer.update();
  reading.wakes = 1;
  announcer.update();
  t.same(lines, ['queue stopped on vnet0: ring full', 'queue woken on vnet0: drained to the low watermark']);
});

t.test('a storm is added up, nothing of it is lost', async (t) => {
  const { announcer, reading, lines, pass } = setting(t);
  const seconds = 60;
  for (let i = 0; i < seconds * 100; i++) {
    reading.stops++;
    reading.wakes++;
    announcer.update();
    pass(10);
  }
  announcer.flush();
  const said = (what: string): number =>
    lines
      .filter((line) => line.startsWith(`queue ${what}`))
      .reduce((sum, line) => sum + Number(/, (\d+) times/.exec(line)?.[1] ?? 1), 0);
  t.equal(said('stopped'), seconds * 100);
  t.equal(said('woken'), seconds * 100);
  t.ok(
    lines.length <= (seconds / 5) * 10,
    `${lines.length} lines in ${seconds} s: the kernel log takes ten in five seconds`,
  );
});

t.test('what could not be said is said later, without another event', async (t) => {
  const { announcer, reading, lines, pass } = setting(t);
  for (let i = 0; i < 5; i++) {
    reading.stops++;
    announcer.update();
  }
  t.equal(lines.length, 2, 'two at once');
  pass(2500);
  t.same(lines.slice(2), ['queue stopped on vnet0: ring full, 3 times']);
});

t.test('flush says what is left, and no timer says it again', async (t) => {
  const { announcer, reading, lines, pass } = setting(t);
  for (let i = 0; i < 4; i++) {
    reading.stops++;
    announcer.update();
  }
  announcer.flush();
  t.equal(lines.at(-1), 'queue stopped on vnet0: ring full, 2 times');
  pass(10_000);
  t.equal(lines.length, 3);
});

t.test('what happened before it began is no news', async (t) => {
  const lines: string[] = [];
  const announcer = new QueueAnnouncer(
    () => 'vnet0',
    () => ({ stops: 7, wakes: 6, stopped: true }),
    (line) => lines.push(line),
  );
  announcer.update();
  t.same(lines, []);
});

t.test('when somebody sets the clock back an hour, stops and wakes are said as before', async (t) => {
  const { announcer, reading, lines, pass } = setting(t);
  const { now } = Date;
  t.teardown(() => (Date.now = now));
  announcer.update();
  Date.now = () => now() - 3_600_000;
  for (let i = 0; i < 10; i++) {
    pass(2500);
    reading.stops++;
    reading.wakes++;
    announcer.update();
  }
  t.equal(lines.length, 20, 'each at once');
});
