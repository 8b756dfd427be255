// SPDX-License-Identifier: MIT
/** The tables of refusals and of counters, and what the docs say of each row: held against each other. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { worded } from '../../src/datapath/counter-words';
import { OUTCOME, POLLER_REFUSALS, REFUSALS } from '../../src/datapath/outcomes';
import { COUNTERS } from '../../src/datapath/stats';
import { CONTROL, REFUSALS as TX_REFUSALS } from '../../src/layout';
import { METRICS } from '../../src/metrics/prometheus';
import { errnoOf } from '../../src/native/libc';
import { ROOT } from '../helpers/cli';
import { numbersOf } from '../helpers/prometheus';
import { sampleStats } from '../helpers/sample-stats';

const read = (file: string): string => fs.readFileSync(path.join(ROOT, file), 'utf8');
/** The cells of each row of the table after a line that begins so, without the table's head. */
function tableBehind(file: string, line: string): string[][] {
  const lines = read(file).split('\n');
  const from = lines.findIndex((each) => each.startsWith(line));
  const table = lines.slice(lines.findIndex((each, i) => i > from && each.startsWith('| ')));
  const end = table.findIndex((each) => !each.startsWith('| '));
  return table.slice(2, end).map((row) => row.slice(2, -2).split(' | '));
}

const ROW = /^\| `([\w.]+)` \| (.+) \| `([^`]+)`: `([^`]+)` \| `([^`]+)` \|$/gm;

t.test('every number of a reading has its event, its place in the code and its test', async (t) => {
  const section = read('docs/metrics.md').split('## Which event counts')[1] ?? '';
  const rows = [...section.matchAll(ROW)].map(([, field = '', , file = '', symbol = '', test = '']) => ({
    field,
    file,
    symbol,
    test,
  }));
  const fields = numbersOf(sampleStats())
    .map(([name]) => name)
    .sort();
  t.same(rows.map(({ field }) => field).sort(), fields, 'each once');
  for (const { field, file, symbol, test } of rows) {
    t.ok(read(file).includes(symbol), `${field}: ${file} has ${symbol}`);
    const name = field.split('.').at(-1) as string;
    t.ok(new RegExp(name, 'i').test(read(test)), `${field}: ${test} looks at it`);
  }
});

/** The numbers as the docs call them. */
const FIELDS = Object.keys(COUNTERS).map((field) => (field === 'refused' ? 'refused.*' : field));

t.test('every metric is in docs/metrics.md, with its type, its field and what it means, and no other', async (t) => {
  const expected = Object.values(METRICS).map(({ name, kind, reason }, i) => [
    reason === undefined ? name : `${name}{reason="${reason}"}`,
    kind,
    FIELDS[i],
  ]);
  const [info, state, ...rows] = tableBehind('docs/metrics.md', '## Names').map(
    ([name = '', type, field = '', meaning = '']) => ({
      row: [name.replaceAll('`', ''), type, field.replaceAll('`', '')],
      meaning,
    }),
  );
  t.same([info?.row[0], state?.row[0]], ['vnet_bpf_info', 'vnet_bpf_state']);
  t.same(
    rows.map(({ row }) => row),
    expected,
  );
  t.same(
    rows.filter(({ meaning }) => meaning === ''),
    [],
  );
});

t.test('fields of a reading and their order are a contract', async (t) => {
  const fields = Object.entries(sampleStats()).map(([name, value]) =>
    typeof value === 'object' && value !== null ? `${name}: ${Object.keys(value).join(' ')}` : name,
  );
  t.same(fields, [
    'interface',
    'netns',
    'backend',
    'attach',
    'state',
    'pid',
    'impairedBy',
    'tx: packets bytes',
    'rx: packets bytes',
    'queue: queues capacityBytes usedBytes packets capacityPackets lowWatermarkBytes stopped stops wakes largestFrame',
    'held: now total dropped again grants',
    'refused: full oversize runt gso unreadable unholdable toolong invalid down backlog error',
    'hooks: dropped injected errors delayed waiting lost',
    'poll: polls budgetExhausted sleeps wakeups lostWakeups merged',
    'reinject: retries errors',
    'impair: waiting lost duplicated',
    'behind: missing copies lost',
    'stray',
  ]);
});

t.test('numbers and their words', async (t) => {
  const stats = sampleStats();
  stats.held = { now: 1, total: 2, dropped: 3, again: 4, grants: 5 };
  stats.poll = { polls: 1, budgetExhausted: 2, sleeps: 3, wakeups: 4, lostWakeups: 5, merged: 6 };
  t.same(worded(stats, 'held', 'stats'), ['1 packets', '2 in all', '3 lost']);
  t.same(worded(stats, 'held', 'top'), ['1 now', '2 in all', '3 lost']);
  t.same(
    worded(stats, 'poll', 'stats'),
    ['1 polls', '2 used the budget up', '3 sleeps, 4 wake-ups'],
    'two in one column',
  );
  t.same(
    worded(stats, 'poll', 'top', ['polls', 'merged']),
    ['1 polls', '6 merged', '2 over budget', '3 sleeps', '4 wake-ups', '5 lost wake-ups'],
    'some come first',
  );
  t.same(worded(stats, 'reinject', 'stats'), [], 'not shown there');
});

t.test('every reason of refusals is explained, in order, and no other', async (t) => {
  const explained = tableBehind('docs/metrics.md', '## Reasons of refusals').map(([name = '', text = '']) => ({
    name: name.replaceAll('`', ''),
    text,
  }));
  t.same(
    explained.map(({ name }) => name),
    Object.keys(REFUSALS),
  );
  for (const { name, text } of explained)
    t.ok(text.startsWith(REFUSALS[name as keyof typeof REFUSALS].help), `${name}: ${text}`);
});

t.test('refusals of the programs are those of enum refusal', async (t) => {
  t.same(Object.keys(REFUSALS).slice(0, TX_REFUSALS.length), TX_REFUSALS);
});

t.test('refusals of the poller do not share a counter, an outcome or an errno', async (t) => {
  const counters = POLLER_REFUSALS.map(({ counter }) => counter);
  t.same(
    [...counters].sort(),
    Object.entries(CONTROL)
      .flatMap(([name, offset]) => (name.startsWith('refused') ? [offset] : []))
      .sort(),
    'each counter has a row',
  );
  const outcomes = [...Object.values(OUTCOME), ...POLLER_REFUSALS.map(({ outcome }) => outcome)];
  t.equal(new Set(outcomes).size, outcomes.length);
  t.ok(
    outcomes.every((outcome) => outcome > 0 && outcome < 256),
    'an outcome is a byte',
  );
  const errnos = POLLER_REFUSALS.flatMap((row) => row.errnos);
  t.equal(new Set(errnos).size, errnos.length);
  t.same(
    errnos.filter((name) => !Number.isInteger(errnoOf[name])),
    [],
    'the machine knows them',
  );
});
