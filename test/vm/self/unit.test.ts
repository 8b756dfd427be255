// SPDX-License-Identifier: MIT
// The parts of the harness that need no guest.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { release, tmpdir } from 'node:os';
import path from 'node:path';
import t from 'tap';
import { CpioWriter } from '../cpio';
import { newest } from '../fetch-kernel';
import { FileJudge } from '../file-verdict';
import { kernels } from '../kernels';
import { mirrorOf, parseDeb822, parseOneLine } from '../mirrors';
import { dependencies } from '../modules';
import { parseOptions, type Options } from '../options';
import { Report } from '../report';
import { findSplats } from '../splats';
import { resultTable } from '../table';
import { Watchdog } from '../watchdog';

t.test('apt sources in both formats', async (t) => {
  const deb822 = [
    'Types: deb deb-src\n# URIs: http://old.example/\nURIs: http://a.example/debian\n http://b.example/debian\nSuites: one one-updates\n',
    'Types: deb\nURIs: http://off.example/\nSuites: one\nEnabled: no\n',
    'Types: deb-src\nURIs: http://source.example/\nSuites: one\n',
  ].join('\n');
  t.strictSame(
    parseDeb822(deb822).map(({ uri, suite }) => `${uri} ${suite}`),
    ['a', 'b'].flatMap((host) => ['one', 'one-updates'].map((suite) => `http://${host}.example/debian ${suite}`)),
  );
  t.strictSame(
    parseOneLine(
      '# deb http://no.example/ one main\ndeb [arch=amd64 trusted=no] http://c.example/ two main contrib\ndeb-src http://no.example/ two main',
    ),
    [{ uri: 'http://c.example/', suite: 'two' }],
  );
  const mirrors = { main: 'm', security: 's' };
  t.strictSame(
    ['x', 'x-security', 'x-backports'].map((suite) => mirrorOf(suite, mirrors)),
    ['m', 's', 'm'],
  );
});

t.test('the newest package by its numbers, not by its letters', async (t) => {
  t.equal(
    newest(['linux-image-6.12.9+deb12', 'linux-image-6.12.117+deb12', 'linux-image-6.12.20+deb12'])[0],
    'linux-image-6.12.117+deb12',
  );
});

t.test('module dependencies', async (t) => {
  t.strictSame(dependencies(Buffer.from('\0license=GPL\0depends=a-b,c\0name=x\0')), ['a_b', 'c']);
  t.strictSame(dependencies(Buffer.from('\0license=GPL\0depends=\0name=x\0')), []);
});

t.test('cpio: parents first, everything padded, a trailer', async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'vnet-cpio-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const file = path.join(directory, 'a.cpio');
  const writer = new CpioWriter(file);
  writer.file('a/b/c', 'hello', 0o755);
  writer.link('/a/d', 'b/c');
  writer.device('a/e', 5, 1);
  writer.close();
  const bytes = readFileSync(file);
  const entries: string[] = [];
  for (let at = 0; at < bytes.length;) {
    t.equal(bytes.toString('latin1', at, at + 6), '070701');
    const field = (index: number) => parseInt(bytes.toString('latin1', at + 6 + 8 * index, at + 14 + 8 * index), 16);
    const name = bytes.toString('utf8', at + 110, at + 110 + field(11) - 1);
    const data = (at + 110 + field(11) + 3) & ~3;
    entries.push(`${name} ${field(1).toString(8)} ${bytes.toString('utf8', data, data + field(6))}`.trim());
    at = (data + field(6) + 3) & ~3;
  }
  t.strictSame(entries, ['a 40755', 'a/b 40755', 'a/b/c 100755 hello', 'a/d 120777 b/c', 'a/e 20600', 'TRAILER!!! 0']);
});

t.test('splats: only what the kernel says, whatever precedes it on the line', async (t) => {
  const console = [
    'WARNING: printed by a test',
    '[    1.000000] fine',
    'half a line[    2.000000] WARNING: CPU: 0 PID: 1 at net/core/dev.c:1 f+0x1/0x2',
    '[    3.000000][  T12] BUG: kernel NULL pointer dereference, address: 0000000000000000',
    '[    4.000000] rcu: INFO: rcu_preempt self-detected stall on CPU',
    '[    5.000000] vm: crash: node (12) died of signal 11',
    '[    6.000000] VNET: vnet0: queue stopped',
  ].join('\r\n');
  t.equal(findSplats(console, '6.1').splats.length, 4);
});

t.test('a file is judged by its TAP, its plan, its exit code and its skips', async (t) => {
  const judge = async (tap: string, exit: number | undefined, kernel = kernels[0]!) => {
    const file = new FileJudge(kernel, 'test/x.test.ts');
    for (const line of tap.split('\n')) file.line(line);
    return file.end(exit);
  };
  t.match(await judge('ok 1 - a\nok 2 - b\n1..2', 0), { passed: 2, failed: 0, skipped: 0, problems: [] });
  t.match(await judge('ok 1 - a\nnot ok 2 - b\n1..2', 1), {
    passed: 1,
    failed: 1,
    problems: ['exited with 1', 'not ok: b'],
  });
  for (const [tap, exit] of [
    ['1..2\nok 1 - a', 0],
    ['ok 1 - a\n1..1', 3],
    ['ok 1 - a\n1..1', 137],
    ['ok 1 - a\n1..1', undefined],
    ['', 0],
    ['Bail out! no', 0],
  ] as const) {
    const verdict = await judge(tap, exit);
    t.ok(
      verdict.failed > 0 && verdict.problems.length > 0,
      `${JSON.stringify(tap)} with ${exit} fails: ${verdict.problems.join(', ')}`,
    );
  }
  t.match(await judge('ok 1 - tcx # SKIP TCX attachment is not supported: requires Linux 6.6\n1..1', 0), {
    passed: 0,
    skipped: 1,
    failed: 0,
    problems: [],
  });
  t.match(
    await judge('    ok 1 - a\n    ok 2 - b\n    1..2\nok 1 - both\n1..1', 0),
    { passed: 2, failed: 0 },
    'a subtest is not counted itself',
  );
  t.match(await judge('ok 1 - ping # SKIP lazy\n1..1', 0), {
    skipped: 1,
    failed: 1,
    problems: [/without a reason.*ping \(lazy\)/],
  });
  t.match(await judge('    ok 1 - deep # SKIP lazy\n    1..1\nok 1 - top\n1..1', 0), { failed: 1, problems: [/deep/] });
  t.match(await judge('1..0 # SKIP needs root', 0), { failed: 1, problems: [/needs root/] });
});

t.test('the report ends with the sum, and nothing run is no success', async (t) => {
  const lines: string[] = [];
  const report = new Report((line) => lines.push(line));
  report.check('kernel', []);
  report.endFile('a', { passed: 3, failed: 1, skipped: 2, problems: ['not ok: x'], tests: [] });
  t.equal(report.end(), false);
  t.strictSame(lines.slice(-2), ['1..2', '4 passed, 1 failed, 2 skipped']);
  t.equal(new Report(() => {}).end(), false);
});

t.test('the table of results', async (t) => {
  const test = (name: string, passed: number, failed = 0, reasons: string[] = []) => ({
    name,
    passed,
    failed,
    skips: reasons.map((reason) => ({ name, reason })),
  });
  const table = resultTable([
    {
      name: 'old',
      version: '5-1',
      tests: [test('a', 3), test('b', 0, 0, ['this kernel is 5-1, and x came with Linux 6'])],
    },
    { name: 'new', version: '6-1', tests: [test('a', 2, 0, ['y']), test('b', 1, 1)] },
  ]);
  t.equal(
    table,
    [
      '| test | old | new |',
      '| --- | --- | --- |',
      '| Debian package | 5-1 | 6-1 |',
      '| a | 3 | 2 (1) |',
      '| b | - (2) | **failed** |',
      '',
      '(1) skipped: y  ',
      '(2) skipped: x came with Linux 6',
    ].join('\n'),
  );
});

t.test('a watchdog counts processor time, and waiting four times as long', async (t) => {
  let [cpu, wall] = [0, 0];
  const ended: string[] = [];
  const dog = new Watchdog<'idle' | 'total'>(
    0,
    (_, why) => ended.push(why),
    () => cpu,
    () => wall,
    1,
  );
  t.teardown(() => dog.close());
  const look = () => new Promise((resolve) => setTimeout(resolve, 10));
  dog.start('idle', 1000, 'no output for');
  [cpu, wall] = [900, 3900];
  await look();
  t.same(ended, [], 'neither');
  dog.start('idle', 1000, 'no output for');
  [cpu, wall] = [1800, 7800];
  await look();
  t.same(ended, [], 'begun anew');
  cpu = 2000;
  await look();
  t.equal(ended[0], 'no output for 1 s of processor time');
  [cpu, wall] = [900, 8000];
  ended.length = 0;
  await look();
  t.equal(ended[0], 'no output for 4 s');
  dog.stop('idle');
  await look();
  ended.length = 0;
  await look();
  t.same(ended, [], 'stopped');
});

t.test('the command line', async (t) => {
  t.match(parseOptions(['--kernel', '5.10', '--', 'node', '--version']), {
    kernels: [{ name: '5.10' }],
    command: ['node', '--version'],
  });
  const butOwn = (args: string[]): string[] =>
    (parseOptions([...args, '--but-own']) as Options).kernels.map(({ name }) => name);
  const others = kernels.map(({ name }) => name).filter((name) => !release().startsWith(`${name}.`));
  t.same([butOwn([]), butOwn(['--all'])], [others, others], 'without the release that runs here');
  for (const wrong of [
    ['--kernel', '4.4'],
    ['--nonsense'],
    ['--timeout', '0'],
    ['--match', '('],
    ['stray'],
    ['--set', 'x'],
    ['--env', 'x'],
  ]) {
    t.throws(() => parseOptions(wrong), { name: 'UsageError' }, wrong.join(' '));
  }
});
