// SPDX-License-Identifier: MIT
/**
 * What a process inherits from its parent: descriptors, umask, directory, limits, names. Each works, or is refused with
 * one line.
 */
import t, { type Test } from 'tap';

import { cannotRun, MAIN, SLOW } from '../helpers/cli';
import type { Result } from '../helpers/netns';
import { PrivateMachine } from '../helpers/private-machine';
import { withoutTools } from '../helpers/traffic';

t.setTimeout(300_000 * SLOW);

const skip = cannotRun;
const ONE_LINE_AND_HINT = /^vnet-bpf: [^\n]+: [^\n]+\nhint: [^\n]+\n$/;

interface Shell {
  machine: PrivateMachine;
  /** Runs a bash script in a directory of the test, where the command is called V. */
  bash(script: string, env?: NodeJS.ProcessEnv): Result;
}

async function start(t: Test): Promise<Shell> {
  const machine = await PrivateMachine.start(t);
  const directory = t.testdir({ text: 'the text\n' });
  const prelude = `cd '${directory}'; V() { '${process.execPath}' '${MAIN}' "$@"; };`;
  return {
    machine,
    bash: (script, env) => machine.run('timeout', [String(60 * SLOW), 'bash', '-c', `${prelude} ${script}`], env),
  };
}

t.test('a daemon holds nothing of its caller', { skip }, async (t) => {
  const { machine, bash } = await start(t);
  // A number of one digit, one after a gap, and one that Node has made close-on-exec.
  const locks = 'exec 5>five 17>seventeen 200>high; for fd in 5 17 200; do flock -n $fd; done';
  t.match(
    bash(
      `(${locks}; V attach vnet0 --daemon >/dev/null); for lock in five seventeen high; do flock -n $lock echo free; done`,
    ),
    { status: 0, stdout: 'free\nfree\nfree\n' },
    'locks are free',
  );
  t.match(
    bash(`V attach vnet1 --daemon 2>&1 7>&1 200>&1 | cat`),
    { status: 0, stdout: /vnet1 loops/ },
    'the reader of a pipe sees its end',
  );
  t.equal(bash('V detach --all').status, 0);
  t.match(
    bash('( exec 200>high; flock -n 200; V run --stats /dev/null -- true ); flock -n high echo free'),
    { status: 0, stdout: 'free\n' },
    'nor does what cleans up behind a run',
  );
  t.same(
    machine.residue().filter((line) => line !== '/run/netns'),
    [],
  );
});

t.test('a command of run has the descriptors of its caller', { skip }, async (t) => {
  const { bash } = await start(t);
  const through = (run: string): Result =>
    bash(
      `${run} bash -c 'cat <&3; cat <&12; cat <&200; echo written >&9; ls /proc/self/fd | sort -n | xargs' 3<text 12<text 200<text 9>nine >out; echo $?; cat out nine`,
    );
  const { status, stdout, stderr } = through('V run --stats /dev/null --');
  t.equal(stderr, '');
  t.match(stdout, /^0\n(the text\n){3}0 1 2 3 .*\nwritten\n$/, 'each by its number', { status });
  // As a function, like V: the shell keeps descriptors of its own then.
  t.equal(stdout, through('D() { "$@"; }; D').stdout, 'and none of ours');
});

t.test('the jobserver of make passes through run', { skip: skip || withoutTools('make') }, async (t) => {
  const { bash } = await start(t);
  const { status, stdout, stderr } = bash(`
    printf 'all:\\n\\t+"$(NODE)" "$(MAIN)" run --stats /dev/null -- "$(MAKE)" -f inner\\n' >outer
    printf 'all: one two\\none two:\\n\\t@echo $@\\n' >inner
    make -j3 -f outer NODE='${process.execPath}' MAIN='${MAIN}'`);
  t.equal(status, 0, stdout);
  t.notMatch(stderr, /jobserver/, 'make has nothing to say about it');
});

t.test('umask', { skip }, async (t) => {
  const { machine, bash } = await start(t);
  for (const mask of ['0777', '0000', '0027']) {
    t.equal(bash(`umask ${mask}; V attach vnet0 --daemon`).status, 0, `${mask}: attach`);
    const modes = machine
      .shell("find /run/vnet-bpf /sys/fs/bpf/vnet-bpf -printf '%M %f\\n' | grep -v ' netns$'")
      .trim()
      .split('\n');
    t.same(
      modes.filter((mode) => !/^(drwx|[-s]rw-)------ /.test(mode)),
      [],
      `${mask}: state can be read and written, by its owner alone`,
    );
    t.ok(modes.length > 10, 'and is there');
    t.equal(
      bash(`umask ${mask}; V record vnet0 -w file --duration 0.1 >/dev/null; stat -c %a file; rm file`).stdout,
      '600\n',
      `${mask}: a recording`,
    );
    t.equal(
      bash(`umask ${mask}; V run --stats /dev/null -- sh -c umask`).stdout,
      `${mask}\n`,
      `${mask}: the command of run has it`,
    );
    bash('V detach vnet0');
  }
});

t.test('a working directory that has been removed', { skip }, async (t) => {
  const { machine, bash } = await start(t);
  const gone = 'mkdir -p gone; cd gone; rmdir ../gone;';
  t.match(bash(`${gone} V attach vnet0 --daemon --addr 10.77.0.1/24`), { status: 0, stderr: '' }, 'attach --daemon');
  for (const command of [
    'list',
    'stats vnet0',
    'log vnet0',
    'doctor',
    'completion bash',
    '--help',
    'run --stats /dev/null -- true',
    'hook vnet0 --none',
    'detach vnet0',
  ]) {
    t.match(bash(`${gone} V ${command}`), { status: 0, stderr: '' }, command);
  }
  t.match(
    bash(
      `${gone} '${process.execPath}' '${MAIN}' attach vnet0 >/dev/null & p=$!; until V list | grep -q running; do sleep 0.1; done; kill $p; wait $p`,
    ),
    { status: 0, stderr: '' },
    'attach in the foreground',
  );
  t.match(
    bash(`${gone} V run --stats /dev/null -- readlink /proc/self/cwd`).stdout,
    /\/gone \(deleted\)\n$/,
    'the command of run is where its caller is',
  );
  bash('V attach vnet0 --daemon');
  for (const command of [
    'attach vnet1 --daemon --hook hook.js',
    'attach vnet1 --hook ./hook.js',
    'hook vnet0 hook.js',
    'record vnet0 -w file',
    'run --stats file -- true',
    'run --hook hook.js -- true',
  ]) {
    const result = bash(`${gone} V ${command}`);
    t.match(result, { status: 1, stdout: '' }, command);
    t.match(
      result.stderr,
      /^vnet-bpf: file \S+: the working directory has been removed\nhint: [^\n]+\n$/,
      'one line and a hint',
    );
  }
  bash('V detach --all');
  t.same(
    machine.residue().filter((line) => line !== '/run/netns'),
    [],
  );
});

t.test('a working directory whose name is not UTF-8', { skip }, async (t) => {
  const { machine, bash } = await start(t);
  // Node.js takes its name for that of the other one.
  const odd = "mkdir -p $'odd\\xff' $'odd\\ufffd'; cd $'odd\\xff';";
  t.match(bash(`${odd} V attach vnet0 --daemon && V list && V run --stats /dev/null -- ls -d ../odd?`), {
    status: 0,
    stderr: '',
  });
  for (const command of [
    'attach vnet1 --daemon --hook hook.js',
    'hook vnet0 hook.js',
    'record vnet0 -w file',
    'run --stats file -- true',
    'extcap --install .',
  ]) {
    const result = bash(
      `${odd} echo 'export default () => "pass"' >../$'odd\\ufffd'/hook.js; echo >file; V ${command}`,
    );
    t.match(result, { status: /^[12]$/, stdout: '' }, command);
    t.match(result.stderr, ONE_LINE_AND_HINT, 'one line and a hint');
  }
  t.equal(bash(`ls $'odd\\ufffd'`).stdout, 'hook.js\n', 'nothing is made in another directory');
  bash('V detach --all');
  t.same(
    machine.residue().filter((line) => line !== '/run/netns'),
    [],
  );
});

t.test('limits', { skip }, async (t) => {
  const { machine, bash } = await start(t);
  const least = machine.leastDescriptors(t.testdirName);
  t.comment(`Node.js starts with ${least} descriptors`);
  for (const descriptors of [least, least + 4, least + 20, least + 36]) {
    const { status, stderr } = bash(`ulimit -n ${descriptors}; V attach vnet0 --daemon`);
    t.equal(status, 1, `${descriptors} descriptors`);
    t.match(stderr, ONE_LINE_AND_HINT, 'one line and a hint');
    t.match(stderr, /EMFILE/);
    const ran = bash(`ulimit -n ${descriptors}; V run -- true`);
    t.match(ran, { status: 1, stderr: /EMFILE/ }, 'run, too');
    t.match(ran.stderr, ONE_LINE_AND_HINT);
    t.notMatch(bash('ip netns').stdout, /vnet-run-/, 'and leaves no namespace');
    bash('V detach --all'); // what run has made in /run
    t.same(
      machine.residue().filter((line) => line !== '/run/netns'),
      [],
      'and nothing is left',
    );
  }
  t.match(
    bash('ulimit -f 0; V attach vnet0 --daemon 2>&1 | cat').stdout,
    /^vnet-bpf: state file \S+: this process may write no larger files \(EFBIG\)\nhint: ulimit -f unlimited\n$/,
    'no file may grow',
  );
  t.match(
    bash('V attach vnet0 --daemon; (ulimit -f 0; V list; V detach vnet0) 2>&1 | cat').stdout,
    /running[^]*vnet0 detached/,
    'looking and detaching need none',
  );
  t.match(
    bash('ulimit -c 0; nice -n 19 bash -c "ulimit -s 1024; $0" true; V run --stats /dev/null -- nice'),
    { status: 0 },
    'no core, nice',
  );
});

t.test('names that are not UTF-8', { skip }, async (t) => {
  const { bash } = await start(t);
  const odd = "$'\\xff\\xfe'";
  for (const LANG of ['C', 'C.UTF-8']) {
    t.match(
      bash(`ip netns add ${odd}; V attach vnet0 --daemon && V list && V doctor | tail -n 1 && V detach vnet0`, {
        LANG,
        LC_ALL: LANG,
      }),
      { status: 0, stderr: '' },
      `${LANG}: a namespace of others does not matter`,
    );
    for (const command of [
      `attach vnet0 --daemon --netns ${odd}`,
      `attach vnet0 --netns ${odd}`,
      `replay ${odd} --into vnet0`,
      `run -- printf ${odd}`,
    ]) {
      const result = bash(`V ${command}`, { LANG, LC_ALL: LANG });
      t.match(result, { status: 2, stdout: '' }, command);
      t.match(result.stderr, /^vnet-bpf: command line: an argument is not UTF-8\nhint: [^\n]+\n$/);
    }
    bash(`ip netns del ${odd}`);
  }
  t.equal(
    bash(`V run --stats /dev/null -- printf '\uFFFD'`).stdout,
    '\uFFFD',
    'U+FFFD itself is a character like others',
  );
});

t.test('an environment of nothing at all', { skip }, async (t) => {
  const { bash } = await start(t);
  const env = `env -i '${process.execPath}' '${MAIN}'`;
  t.match(bash(`${env} attach vnet0 --daemon && ${env} list && ${env} detach vnet0`), { status: 0, stderr: '' });
});

t.test('a TMPDIR that is not there', { skip }, async (t) => {
  const { bash } = await start(t);
  const { status, stderr } = bash('V demo', { TMPDIR: '/nonexistent' });
  t.equal(status, 1);
  t.match(stderr, ONE_LINE_AND_HINT);
  t.match(stderr, /^vnet-bpf: directory \/nonexistent: nothing can be made in it: [^]*hint: TMPDIR names another one/);
});

t.test('standard streams that are closed', { skip }, async (t) => {
  const { machine, bash } = await start(t);
  for (const closed of ['<&-', '>&-', '2>&-', '<&- >&- 2>&-']) {
    for (const command of ['attach vnet0 --daemon', 'list', 'stats', 'run --stats /dev/null -- true', 'detach vnet0'])
      t.equal(bash(`V ${command} ${closed}`).status, 0, `${command} ${closed}`);
    t.same(
      machine.residue().filter((line) => line !== '/run/netns'),
      [],
    );
  }
});
