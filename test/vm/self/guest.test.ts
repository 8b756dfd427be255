// SPDX-License-Identifier: MIT
// Proves in a real guest that each way to fail makes the run fail, quickly and by name. Takes about two minutes.
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t from 'tap';
import { run } from '../command';
import { repository } from '../paths';

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly seconds: number;
}

/** `interruptAt`: SIGINT once the output contains it. */
function vm(args: readonly string[], interruptAt?: string): Promise<Outcome> {
  const started = Date.now();
  const runner = path.join(__dirname, '..', 'run.ts');
  // Without tap's module loader, which knows no .ts and comes back into every environment that spawn() gets.
  const command = ['-u', 'NODE_OPTIONS', process.execPath, '--require', 'ts-node/register/transpile-only', runner];
  const child = spawn('env', [...command, '--kernel', '6.1', ...args]);
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
  t.match(stderr, /not finished within 20 s of processor time/);
  t.ok(seconds < 60, `${seconds} s`);
});

t.test('a BPF program that the verifier refuses', async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'vnet-broken-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  cpSync(path.join(repository, 'bpf'), directory, { recursive: true });
  const source = path.join(directory, 'vnet.bpf.c');
  const object = path.join(directory, 'broken.bpf.o');
  // Reads memory at an address that is a length.
  const text = readFileSync(source, 'utf8');
  const broken = text.replace(
    '\ttag = transmit(',
    '\tif (*(volatile int *)(long)skb->len)\n\t\treturn TC_ACT_SHOT;\n\ttag = transmit(',
  );
  t.not(broken, text, 'it is broken');
  writeFileSync(source, broken);
  run('clang', [
    '-O2',
    '-g',
    '-target',
    'bpf',
    '-mcpu=v3',
    '-I/usr/include/x86_64-linux-gnu',
    '-c',
    source,
    '-o',
    object,
  ]);
  const { code, stdout, seconds } = await vm([
    '--match',
    'matrix-veth',
    '--add',
    object,
    '--env',
    'VNET_BPF_OBJECT=/work/broken.bpf.o',
  ]);
  t.equal(code, 1);
  t.match(stdout, /the BPF programs: .*(invalid mem access|R\d+ )/, 'what the verifier said is in the report');
  t.match(stdout, /\n\d+ passed, [1-9]\d* failed\n$/);
  t.ok(seconds < 120, `${seconds} s`);
});

t.test('silence', async (t) => {
  const { code, stderr } = await vm(['--idle', '5', '--', 'sleep 1000']);
  t.equal(code, 1);
  t.match(stderr, /no output for 20 s/); // it uses no processor time
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
    [...stdout.matchAll(/^((?:not )?ok) \d+ - (?:6\.1 )(?:test\/vm\/fixtures\/)?(\S+).*\n((?: {2}.*\n)*)/gm)].map(
      (match) => [match[2], `${match[1]} ${match[3]}`],
    ),
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
