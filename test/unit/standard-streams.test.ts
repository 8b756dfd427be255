// SPDX-License-Identifier: MIT
/**
 * Reports wait for their reader and fail without one; news waits for no reader, is not lost, and does not affect the
 * exit code.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import * as path from 'node:path';

import t, { type Test } from 'tap';

import { SLOW } from '../helpers/cli';

const MODULE = path.join(__dirname, '..', '..', 'src', 'native', 'standard-streams');
/** More than a pipe or a socket takes, less than is kept. */
const LONG = 900_000;

interface Child {
  child: ChildProcess;
  /** What it says on descriptor 3: a line for each step. */
  says(what: string): Promise<void>;
  /** Its exit code, and what came on standard error. */
  ended: Promise<[number | null, string]>;
}

/** Runs JavaScript with the module as `streams` and `say()`, under a shell line in which `"$@"` stands for it. */
function start(t: Test, script: string, line = 'exec "$@"'): Child {
  const prelude = `const streams = require(${JSON.stringify(MODULE)}); const say = (text) => require('fs').writeSync(3, text + '\\n');`;
  const child = spawn(
    'sh',
    ['-c', line, 'sh', 'env', '-u', 'NODE_OPTIONS', process.execPath, '-e', `${prelude} ${script}`],
    { stdio: ['ignore', 'pipe', 'pipe', 'pipe'] },
  );
  t.teardown(() => child.exitCode === null && child.kill('SIGKILL'));
  let said = '';
  let stderr = '';
  child.stdio[3]?.on('data', (data: Buffer) => (said += data.toString()));
  child.stderr?.on('data', (data: Buffer) => (stderr += data.toString()));
  const ended = new Promise<[number | null, string]>((resolve) =>
    child.once('close', (code) => resolve([code, stderr])),
  );
  const says = async (what: string): Promise<void> => {
    for (
      const end = performance.now() + 20_000 * SLOW;
      !said.includes(what);
      await new Promise((resolve) => setTimeout(resolve, 10))
    ) {
      if (performance.now() > end) throw new Error(`it never said ${what}: ${said}${stderr}`);
    }
  };
  return { child, says, ended };
}

const NEWS = `streams.news(1, 'a'.repeat(${LONG}) + '\\n'); streams.news(1, 'last\\n'); say('goes on');`;

// Node gives its children sockets; before `cat` there is a pipe.
for (const [name, line] of Object.entries({ 'a socket': 'exec "$@"', 'a pipe': '"$@" | cat' })) {
  t.test(`news for ${name} that is full waits, the work does not`, async (t) => {
    const { child, says, ended } = start(t, `${NEWS} streams.allNewsIsOut().then(() => say('all out'));`, line);
    child.stdout?.pause();
    await says('goes on');
    let text = '';
    child.stdout?.on('data', (data: Buffer) => (text += data.toString())).resume();
    await says('all out');
    t.same(await ended, [0, '']);
    t.equal(text, `${'a'.repeat(LONG)}\nlast\n`, 'all of it came, in order');
  });
}

t.test('a reader that goes while news waits for it', async (t) => {
  const { child, says, ended } = start(t, `${NEWS} streams.allNewsIsOut().then(() => process.exit(7));`);
  child.stdout?.pause();
  await says('goes on');
  child.stdout?.destroy();
  t.same(
    await ended,
    [7, 'vnet-bpf: standard output: cannot be written: nobody reads it any more (EPIPE)\n'],
    'one line, and the exit code of the work',
  );
});

t.test('signals end what only waits for a reader', async (t) => {
  const { child, says } = start(
    t,
    `process.on('SIGTERM', () => undefined); ${NEWS} streams.allNewsIsOut(); say('waits');`,
  );
  child.stdout?.pause();
  await says('waits');
  child.kill('SIGTERM');
  const signal = await new Promise((resolve) => child.once('exit', (_code, by) => resolve(by)));
  t.equal(signal, 'SIGTERM');
});

t.test('nobody reads, and news goes on and on', async (t) => {
  const { child, says, ended } = start(
    t,
    `for (let i = 0; i < 50; i++) streams.news(1, 'a'.repeat(100_000)); say('done'); streams.allNewsIsOut();`,
  );
  child.stdout?.pause();
  await says('done');
  child.stdout?.destroy();
  t.match(
    await ended,
    [0, /^vnet-bpf: standard output: cannot be written: nobody reads what is there already \(EAGAIN\)\n$/],
    'it is given up, and memory with it',
  );
});

t.test('a report waits for its reader, also where a pipe does not block', async (t) => {
  // What Node does when it opens standard output as a stream.
  const unblocked = `new (require('net').Socket)({ fd: 1, readable: false });`;
  const { child, says, ended } = start(
    t,
    `${unblocked} say('begins'); streams.report(1, 'a'.repeat(${LONG}) + '\\n'); say('reported'); process.exit(3);`,
  );
  child.stdout?.pause();
  await says('begins');
  let text = '';
  child.stdout?.on('data', (data: Buffer) => (text += data.toString())).resume();
  t.same(await ended, [3, '']);
  t.equal(text.length, LONG + 1);
});

for (const [name, line, code] of [
  ['a full disk', 'exec "$@" >/dev/full', 'ENOSPC'],
  ['a descriptor for reading', 'exec "$@" 1</dev/null', 'EBADF'],
  ['a file that may not grow', 'f=$(mktemp); exec 4>"$f"; rm "$f"; ulimit -f 0; exec "$@" >&4', 'EFBIG'],
] as const) {
  t.test(`${name}: a report throws, news says it once`, async (t) => {
    const report = `try { streams.report(1, 'text'); } catch (error) { say(error.message); }`;
    const { ended, says } = start(t, `streams.news(1, 'one'); streams.news(1, 'two'); ${report} say('end');`, line);
    await says(`(${code})`);
    await says('end');
    t.match(await ended, [0, new RegExp(`^vnet-bpf: standard output: cannot be written: [^\n]+ \\(${code}\\)\n$`)]);
  });
}
