// SPDX-License-Identifier: MIT
/** What the benchmark reads: its command line, and what V8 prints. */
import t from 'tap';

import { pauses } from '../measures/gc';
import { parseOptions, type Options } from '../options';

const options = (...args: string[]): Options => parseOptions(args, '/root-of-project') as Options;

t.test('a whole run writes to docs, a quick one beside the build, a part of one nowhere', async (t) => {
  t.equal(options().out, 'docs');
  t.equal(options('--quick').out, 'dist-test/bench-quick');
  t.equal(options('--only', 'udp').out, null);
  t.equal(options('--systems', 'ours').out, null);
  t.equal(options('--only', 'udp', '--out', 'here').out, 'here');
});

t.test('other checkouts and variants have names', async (t) => {
  t.same(options('--ours', '/a', '--ours', 'before=/b').others, [
    ['/a', '/a'],
    ['before', '/b'],
  ]);
  t.same(options('--variant', 'big=--ring-size 64M').variants, [['big', ['--ring-size', '64M']]]);
  t.same(options('--variant', 'small=--budget 8  --ring-size 1M').variants, [
    ['small', ['--budget', '8', '--ring-size', '1M']],
  ]);
});

t.test('what makes no sense is refused', async (t) => {
  for (const rounds of ['0', '1.5', 'many']) t.throws(() => options('--rounds', rounds), { message: /--rounds/ });
  t.throws(() => options('--unknown'));
  t.equal(parseOptions(['--help'], '/'), 'help');
});

t.test('pauses are found in what V8 prints, old and new', async (t) => {
  const trace = [
    '[12362:0x1fe5ad10]       91 ms: Scavenge 4.4 (4.5) -> 3.8 (5.5) MB, 7.57 / 0.00 ms  (average mu = 1.000, current mu = 1.000) allocation failure; ',
    '[9:0x1]      250 ms: Mark-Compact (reduce) 12.0 (20.1) -> 10.9 (18.0) MB, 3.25 / 0.01 ms  (+ 1.2 ms in 3 steps since start of marking) external',
    '[9:0x1]      300 ms: Scavenge 5.2 (6.0) -> 4.9 (7.0) MB, pooled: 0 MB, 0.61 / 0.00 ms  (average mu = 1.000) task; ',
    '{ "interface": "vnet0", "ms": "12 MB, 1.00 / 0.00 ms" }',
  ];
  t.same(pauses(trace.join('\n')), [7.57, 3.25, 0.61]);
});
