// SPDX-License-Identifier: MIT
/** The log of an interface goes on whatever becomes of its file. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { inTurn } from '../../src/cli/log';
import { LogFile } from '../../src/controller/event-log';

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
  t.same(lines, Array.from({ length: 12_000 - first }, (_, i) => line(first + i)), 'the last lines, none lost and none torn');
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

t.test('the lines of one log stay in their order when the clock went back, those of several are merged by time', async (t) => {
  t.same(inTurn([['12:00 a', '11:00 b', '11:01 c'], ['11:30 d', '12:30 e']], (line) => line), ['11:30 d', '12:00 a', '11:00 b', '11:01 c', '12:30 e']);
  t.same(inTurn<string>([[], []], (line) => line), []);
});
