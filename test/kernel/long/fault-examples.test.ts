// SPDX-License-Identifier: MIT
/** The examples of src/examples/faults, which are tests themselves, run as their users run them. */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { cannotRun, ROOT, SLOW } from '../../helpers/cli';

t.setTimeout(280_000 * SLOW);

const DIRECTORY = path.join(ROOT, 'src', 'examples', 'faults');
/** Where make puts programs whose packages would start a daemon. */
const PATH = `${process.env['PATH'] ?? ''}:/usr/sbin:${path.join(ROOT, '.cache', 'bin')}`;
/** Programs that an example needs, beside Node.js. */
const NEEDS: Readonly<Record<string, readonly string[]>> = {
  'quic-handshake': ['gtlsclient', 'gtlsserver', 'openssl'],
};

const isThere = (program: string): boolean =>
  PATH.split(':').some((directory) => fs.existsSync(path.join(directory, program)));

const examples = fs
  .readdirSync(DIRECTORY)
  .filter((name) => name.endsWith('.test.mjs'))
  .map((name) => name.replace('.test.mjs', ''));

for (const name of examples) {
  const missing = (NEEDS[name] ?? []).filter((program) => !isThere(program));
  const skip = cannotRun || (missing.length > 0 && `there is no ${missing.join(', ')}: make setup-test installs it`);
  t.test(`${name} finds its bug, and the fixed program survives`, { skip }, async (t) => {
    const file = path.join('src', 'examples', 'faults', `${name}.test.mjs`);
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--test', file], {
      cwd: ROOT,
      encoding: 'utf8',
      env: { ...process.env, PATH, NODE_OPTIONS: '', NODE_TEST_CONTEXT: undefined },
    });
    t.equal(status, 0, status === 0 ? 'its tests pass' : `${stdout}\n${stderr}`);
    const number = (what: string): number => Number(new RegExp(`^(?:#|ℹ) ${what} (\\d+)$`, 'm').exec(stdout)?.[1]);
    const tests = [...fs.readFileSync(path.join(ROOT, file), 'utf8').matchAll(/^test\(/gm)].length;
    t.same([number('pass'), number('fail'), number('skipped')], [tests, 0, 0]);
    t.ok(tests >= 2, 'the bug and the fix');
  });
}

t.test('each program has a test, and each test a program', async (t) => {
  const programs = fs.readdirSync(DIRECTORY).filter((name) => !name.endsWith('.test.mjs'));
  t.same(
    programs,
    examples.map((name) => `${name}.mjs`),
  );
  t.ok(examples.length >= 5);
});
