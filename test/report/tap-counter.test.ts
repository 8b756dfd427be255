// SPDX-License-Identifier: MIT
/** What the closing line counts, on TAP as tap prints it. */
import t from 'tap';

import { add, closingLine, nothing } from './tally';
import { TapCounter, type FileResult } from './tap-counter';

async function count(...lines: string[]): Promise<{ line: string; files: FileResult[]; failures: string[] }> {
  const counter = new TapCounter();
  const files: FileResult[] = [];
  counter.on('file', (file) => files.push(file));
  counter.write(['TAP version 14', ...lines, ''].join('\n'));
  const sum = await counter.end();
  return { line: closingLine(sum), files, failures: sum.failures.map(({ name }) => name) };
}

const file = (name: string, ok: boolean, ...lines: string[]): string[] => [
  `# Subtest: ${name}`,
  ...lines.map((line) => `    ${line}`),
  `${ok ? 'ok' : 'not ok'} 1 - ${name} # time=12.5ms`,
];

t.test('assertions are counted, not the lines that sum them up', async (t) => {
  const nested = ['# Subtest: a', '    ok 1 - x', '    ok 2 - y', '    1..2', 'ok 1 - a', 'ok 2 - z', '1..2'];
  const { line, files } = await count(...file('one.test.ts', true, ...nested), '1..1');
  t.equal(line, '3 passed, 0 failed');
  t.match(files, [{ file: 'one.test.ts', passed: 3, milliseconds: 12.5 }]);
});

t.test('a failure is counted once and named from the file down', async (t) => {
  const nested = [
    '# Subtest: a',
    '    not ok 1 - x',
    '      ---',
    '      found: 1',
    '      ...',
    '    1..1',
    'not ok 1 - a',
    '1..1',
  ];
  const { line, failures } = await count(...file('one.test.ts', false, ...nested), '1..1');
  t.equal(line, '0 passed, 1 failed');
  t.match(failures, [/one\.test\.ts > a > x/]);
});

t.test('skips and their reasons', async (t) => {
  const { line, files } = await count(
    ...file('one.test.ts', true, 'ok 1 - x', 'ok 2 - y # SKIP needs root', 'ok 3 - z # TODO', '1..3'),
    '1..1',
  );
  t.equal(line, '1 passed, 0 failed, 2 skipped');
  t.same([...(files[0]?.reasons ?? [])], ['needs root']);
});

t.test('what ends too early fails though every assertion passed', async (t) => {
  for (const lines of [
    [...file('plan.test.ts', true, 'ok 1 - x', '1..2'), '1..1'],
    [...file('timeout.test.ts', false, 'ok 1 - x', '1..1'), '1..1'],
    [...file('few.test.ts', true, 'ok 1 - x', '1..1'), '1..2'],
    [...file('cut.test.ts', true, 'ok 1 - x', '1..1')],
    ['# Subtest: gone.test.ts', '    ok 1 - x'],
    ['ok 1 - x', 'Bail out! no more'],
  ]) {
    const { line } = await count(...lines);
    t.match(line, /^[01] passed, [1-9] failed$/, lines.join('; '));
  }
});

t.test('groups add up', async (t) => {
  const sum = add({ passed: 2, failed: 1, skipped: 0 }, { ...nothing(), skipped: 4 });
  t.equal(closingLine(sum), '2 passed, 1 failed, 4 skipped');
});
