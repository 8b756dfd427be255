// SPDX-License-Identifier: MIT
// What the comparison of both interfaces calls a failure, and how results are read.
import t from 'tap';

import { judge, type Exception, type Run } from '../compare';
import { resultsOf, type Result, type Verdict } from '../output';
import { countsOf, summary } from '../report';

const result = (name: string, verdict: Verdict): Result => ({ name, verdict, detail: `about ${name}` });
const run = (control: [string, Verdict][], vnet0: [string, Verdict][], unbalanced?: string): Run => ({
  test: 'csum',
  control: control.map(([name, verdict]) => result(name, verdict)),
  vnet0: vnet0.map(([name, verdict]) => result(name, verdict)),
  unbalanced,
});
const exception: Exception = { test: 'csum', result: /^udp/, reason: 'as documented' };

t.test('what fails on vnet0 and passes on the control is a failure', async (t) => {
  const { passed, failed, problems } = judge(
    [
      run(
        [
          ['a', 'pass'],
          ['b', 'pass'],
        ],
        [
          ['a', 'pass'],
          ['b', 'fail'],
        ],
      ),
    ],
    [],
  );
  t.same([passed, failed], [1, 1]);
  t.match(problems, [/^csum, b: fails on vnet0 and passes on the control: about b$/]);
});

t.test('what fails or skips on the control as well is no failure', async (t) => {
  const { passed, failed, skipped } = judge(
    [
      run(
        [
          ['a', 'pass'],
          ['b', 'fail'],
          ['c', 'skip'],
        ],
        [
          ['a', 'pass'],
          ['b', 'fail'],
          ['c', 'skip'],
        ],
      ),
    ],
    [],
  );
  t.same([passed, failed, skipped], [1, 0, 2]);
});

t.test('what passes on vnet0 alone passes', async (t) => {
  t.match(judge([run([['a', 'fail']], [['a', 'pass']])], []), { passed: 1, failed: 0 });
});

t.test('what is skipped or missing on vnet0 and passes on the control is a failure', async (t) => {
  const { failed, problems } = judge(
    [
      run(
        [
          ['a', 'pass'],
          ['b', 'pass'],
          ['c', 'pass'],
        ],
        [
          ['a', 'pass'],
          ['b', 'skip'],
        ],
      ),
    ],
    [],
  );
  t.equal(failed, 2);
  t.match(problems, [/b: skipped on vnet0/, /c: did not run on vnet0/]);
});

t.test('an exception excuses a failure and names its reason', async (t) => {
  const { failed, skipped, excused } = judge(
    [
      run(
        [
          ['a', 'pass'],
          ['udp 1', 'pass'],
        ],
        [
          ['a', 'pass'],
          ['udp 1', 'fail'],
        ],
      ),
    ],
    [exception],
  );
  t.same([failed, skipped], [0, 1]);
  t.same(excused, ['csum, udp 1: as documented']);
});

t.test('an exception that no longer fails is a failure, unless its selftest did not run', async (t) => {
  t.match(judge([run([['udp 1', 'pass']], [['udp 1', 'pass']])], [exception]), {
    failed: 1,
    problems: [/no longer fails/],
  });
  t.match(
    judge(
      [
        run(
          [['udp 1', 'fail']],
          [
            ['udp 1', 'fail'],
            ['a', 'pass'],
          ],
        ),
      ],
      [exception],
    ),
    { failed: 1 },
    'nor one that fails on both',
  );
  t.match(judge([run([['a', 'pass']], [['a', 'pass']])], [{ ...exception, test: 'gro' }]), { failed: 0 });
});

t.test('frame accounting that does not balance is a failure', async (t) => {
  t.match(judge([run([['a', 'pass']], [['a', 'pass']], '3 frames are missing')], []), {
    failed: 1,
    problems: [/3 frames are missing/],
  });
});

t.test('nothing run is not success', async (t) => {
  t.match(judge([], []), { failed: 1 });
  t.match(judge([run([], [['a', 'skip']])], []), { failed: 1 });
});

t.test('exit codes', async (t) => {
  const verdicts = [0, 1, 4, null].map((exit) => resultsOf('x', 'exit', exit, 'one\n\ntwo\n')[0]);
  t.same(
    verdicts.map((one) => one?.verdict),
    ['pass', 'fail', 'skip', 'fail'],
  );
  t.same(
    verdicts.map((one) => one?.detail),
    ['one; two; exit code 0', 'one; two; exit code 1', 'one; two; exit code 4', 'one; two; ran out of time'],
  );
});

t.test('TAP', async (t) => {
  const output = 'TAP version 13\n1..4\n# Starting\nok 1 a.b\nnot ok 2 - c d\nok 3 e # SKIP no root\nok 4 a.b\n';
  t.same(
    resultsOf('x', 'tap', 1, output).map(({ name, verdict }) => [name, verdict]),
    [
      ['x: a.b', 'pass'],
      ['x: c d', 'fail'],
      ['x: e', 'skip'],
      ['x: a.b (2)', 'pass'],
    ],
  );
});

t.test('lines of PASS, FAIL and SKIP, without the name of the interface', async (t) => {
  const output =
    'PASS: vnet0: set interface up\nnoise\nFAIL: vnet0: ethtool dump\nSKIP: vnet0: set IP address\nXFAIL: vnet0: later\n';
  t.same(
    resultsOf('x', 'lines', 1, output).map(({ name, verdict }) => [name, verdict]),
    [
      ['x: set interface up', 'pass'],
      ['x: ethtool dump', 'fail'],
      ['x: set IP address', 'skip'],
      ['x: later', 'skip'],
    ],
  );
});

t.test('a run that fails without a line that says so fails all the same, and so does silence', async (t) => {
  t.same(
    resultsOf('x', 'lines', 1, 'PASS: vnet0: a\n').map(({ verdict }) => verdict),
    ['pass', 'fail'],
  );
  t.same(
    resultsOf('x', 'tap', null, 'ok 1 a\n').map(({ verdict }) => verdict),
    ['pass', 'fail'],
  );
  t.same(
    resultsOf('x', 'tap', 0, 'nothing\n').map(({ verdict }) => verdict),
    ['fail'],
  );
  t.same(
    resultsOf('x', 'lines', 4, '').map(({ verdict }) => verdict),
    ['skip'],
  );
});

t.test('the table of results', async (t) => {
  const counts = countsOf([result('a', 'pass'), result('b', 'fail'), result('c', 'skip')]);
  t.equal(counts, '1 of 2 (1 skipped)');
  t.match(
    summary([{ test: 'csum', control: '2 of 2', vnet0: counts, seconds: 12.4 }]),
    /^\| selftest .*\n\| --- .*\n\| csum \| 2 of 2 \| 1 of 2 \(1 skipped\) \| 12 s \|$/,
  );
});
