// SPDX-License-Identifier: MIT
// Proves in a real guest that each way to fail makes the run fail, quickly and by name. Takes about two minutes.
import { spawn } from 'node:child_process';
import path from 'node:path';
import t from 'tap';

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly seconds: number;
}

/** `interruptAt`: SIGINT once the output contains it. */
function vm(args: readonly string[], interruptAt?: string): Promise<Outcome> {
  const started = Date.now();
  const run = path.join(__dirname, '..', 'run.ts');
  const child = spawn(process.execPath, ['--require', 'ts-node/register/transpile-only', run, '--kernel', '6.1', ...args]);
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    if (interruptAt !== undefined && stdout.includes(interruptAt)) child.kill('SIGINT');
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return new Promise((resolve) => {
    child.on('close', (code) => resolve({ code, stdout, stderr, seconds: (Date.now() - started) / 1000 }));
  });
}

// A boot takes ten seconds where nothing else runs.
t.setTimeout(900_000);

// Fetching belongs to no test's time.
t.before(() => vm(['--fetch']));

t.test('the exit code of a command is that of the run', async (t) => {
  t.match(await vm(['--', 'echo out; echo err >&2; exit 3']), { code: 3, stdout: 'out\nerr\n' });
  t.match(await vm(['--', 'printf', '%s|', 'a b', "it's"]), { code: 0, stdout: "a b|it's|\n" });
});

t.test('a panic', async (t) => {
  const { code, stderr, seconds } = await vm(['--', 'echo c > /proc/sysrq-trigger']);
  t.equal(code, 1);
  t.match(stderr, /kernel complaint: Kernel panic - not syncing: sysrq triggered crash/);
  t.match(stderr, /the guest ended before its script did/);
  t.ok(seconds < 60, `${seconds} s`);
});

t.test('an endless loop', async (t) => {
  const { code, stderr, seconds } = await vm(['--timeout', '20', '--', 'while :; do :; done']);
  t.equal(code, 1);
  t.match(stderr, /not finished within 20 s/);
  t.ok(seconds < 60, `${seconds} s`);
});

t.test('silence', async (t) => {
  const { code, stderr } = await vm(['--idle', '5', '--', 'sleep 1000']);
  t.equal(code, 1);
  t.match(stderr, /no output for 5 s/);
});

t.test('a kernel warning fails even a command that succeeds', async (t) => {
  const { code, stderr } = await vm(['--', 'echo "WARNING: made up" > /dev/kmsg']);
  t.equal(code, 1);
  t.match(stderr, /kernel complaint: WARNING: made up/);
});

t.test('an interrupt ends the guest', async (t) => {
  const { code, stderr } = await vm(['--', 'echo up; sleep 1000'], 'up\n');
  t.equal(code, 130);
  t.match(stderr, /interrupted/);
});

t.test('test files that fail in every way there is', async (t) => {
  const { code, stdout } = await vm(['--tests', 'test/vm/fixtures', '--file-timeout', '15']);
  t.equal(code, 1);
  const problems = new Map(
    [...stdout.matchAll(/^((?:not )?ok) \d+ - (?:6\.1 )(?:test\/vm\/fixtures\/)?(\S+).*\n((?: {2}.*\n)*)/gm)].map((match) => [
      match[2],
      `${match[1]} ${match[3]}`,
    ]),
  );
  t.match(problems.get('passes.test.ts'), /^ok/);
  t.match(problems.get('fails.test.ts'), /not ok: does not hold/);
  t.match(problems.get('exits.test.ts'), /exited with 3/);
  t.match(problems.get('half.test.ts'), /^not ok/);
  t.match(problems.get('empty.test.ts'), /no tests/);
  t.match(problems.get('skips.test.ts'), /skipped without a reason/);
  t.match(problems.get('loops.test.ts'), /longer than its time limit/);
  t.match(problems.get('boots,'), /crash: node \(\d+\) died of signal 11/);
  t.match(stdout, /\n\d+ passed, \d+ failed, 1 skipped\n$/);
});
