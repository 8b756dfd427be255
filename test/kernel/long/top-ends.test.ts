// SPDX-License-Identifier: MIT
/** However `top` ends, the terminal is restored. */
import { spawn, type ChildProcess } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';

import t, { type Test } from 'tap';

import { attachedIn, cannotRun, MAIN, SLOW } from '../../helpers/cli';
import { eventually } from '../../helpers/controller';
import { quietNetns } from '../../helpers/netns';
import { PrivateMachine } from '../../helpers/private-machine';
import { SIZE, Tmux } from '../../helpers/tmux';
import { withoutTools } from '../../helpers/traffic';

t.setTimeout(120_000 * SLOW);

const top = (t: Test, netns: string): Tmux => new Tmux(t, [process.execPath, MAIN, 'top', '--netns', netns], SIZE);

/** The program has ended, and the terminal is as it was: its own screen, a cursor, lines and echo. */
async function restored(t: Test, terminal: Tmux, how: string, status = 0): Promise<string> {
  const text = (await terminal.shows(/ended with \d+[^]*echo/)).join('\n');
  t.match(text, `ended with ${status}`, `${how}: exit code ${status}`);
  t.notMatch(text, /vnet-bpf top/, 'the screen from before is back');
  t.match(text, / icanon[^]* echo /, 'with lines and echo');
  t.equal(terminal.ask('#{alternate_on} #{cursor_flag}'), '0 1', 'and a cursor');
  return text;
}

const childOf = (pid: number): number =>
  Number(fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]);

t.test('however it ends', { skip: cannotRun || withoutTools('tmux') }, async (t) => {
  const netns = quietNetns(t);
  attachedIn(t, netns);
  const [byKey, byInterrupt, byQuit] = [top(t, netns), top(t, netns), top(t, netns)];
  await byKey.shows(/> vnet0/);
  byKey.press('q');
  await byInterrupt.shows(/> vnet0/);
  byInterrupt.press('C-c');
  await byQuit.shows(/> vnet0/);
  byQuit.press('C-\\');
  for (const signal of ['SIGTERM', 'SIGQUIT']) {
    const terminal = top(t, netns);
    await terminal.shows(/> vnet0/);
    process.kill(childOf(terminal.pid()), signal);
    await restored(t, terminal, signal);
  }
  await restored(t, byKey, 'q');
  await restored(t, byInterrupt, 'Ctrl-C');
  await restored(t, byQuit, 'Ctrl-\\');
});

t.test('it is suspended like any other', { skip: cannotRun || withoutTools('tmux') }, async (t) => {
  const netns = quietNetns(t);
  attachedIn(t, netns);
  const jobs = 'set -m; "$0" "$@"; echo suspended; stty -a; read key; fg >/dev/null';
  const ways: [string, (terminal: Tmux) => void][] = [
    ['Ctrl-Z', (terminal) => terminal.press('C-z')],
    ['SIGTSTP', (terminal) => process.kill(childOf(childOf(terminal.pid())), 'SIGTSTP')],
  ];
  for (const [how, suspend] of ways) {
    const terminal = new Tmux(t, ['bash', '-c', jobs, process.execPath, MAIN, 'top', '--netns', netns], SIZE);
    await terminal.shows(/> vnet0/);
    suspend(terminal);
    t.match((await terminal.shows(/suspended[^]*echo/)).join('\n'), / icanon[^]* echo /, `${how}: with lines and echo`);
    t.equal(terminal.ask('#{alternate_on} #{cursor_flag}'), '0 1', 'on the old screen, and with a cursor');
    terminal.press('Enter');
    await terminal.shows(/> vnet0/);
    t.equal(terminal.ask('#{alternate_on} #{cursor_flag}'), '1 0', 'and goes on');
    terminal.press('q');
    await restored(t, terminal, 'q');
  }
});

t.test(
  'where no shell would let it go on, it is not suspended',
  { skip: cannotRun || withoutTools('tmux') },
  async (t) => {
    const netns = quietNetns(t);
    attachedIn(t, netns);
    const terminal = top(t, netns);
    await terminal.shows(/> vnet0/);
    terminal.press('C-z');
    await new Promise((resolve) => setTimeout(resolve, 500 * SLOW));
    await terminal.shows(/> vnet0/);
    terminal.press('q');
    await restored(t, terminal, 'q');
  },
);

t.test(
  'a terminal without a size, and one that nobody reads',
  { skip: cannotRun || withoutTools('script') },
  async (t) => {
    const netns = quietNetns(t);
    attachedIn(t, netns);
    const directory = t.testdir({});
    // Without a terminal of its own, script(1) creates one with a size of 0x0. It stops reading that terminal while its
    // output is a full pipe.
    const onSizeless = (shell: string): ChildProcess => {
      const command = `echo $$ >pid; exec '${process.execPath}' '${MAIN}' top --netns ${netns}`;
      const child = spawn('sh', ['-c', shell, 'sh', 'script', '-qec', command, '/dev/null'], {
        cwd: directory,
        env: { ...process.env, TERM: 'xterm', LC_ALL: 'C' },
        stdio: ['pipe', 'ignore', 'ignore'],
      });
      t.teardown(() => child.kill('SIGKILL'));
      return child;
    };
    const read = (name: string): string =>
      fs.existsSync(path.join(directory, name)) ? fs.readFileSync(path.join(directory, name), 'utf8') : '';
    const ends = (child: ChildProcess): Promise<unknown> =>
      Promise.race([
        new Promise((resolve) => child.once('exit', resolve)),
        new Promise((resolve) => setTimeout(resolve, 20_000 * SLOW, 'it hangs').unref()),
      ]);

    const sized = onSizeless('exec "$@" >screen');
    t.ok(await eventually(() => /\x1b\[24;1H\x1b\[2K\x1b\[1mq/.test(read('screen')), 20_000), '0x0 is drawn as 80x24');
    process.kill(Number(read('pid')), 'SIGTERM');
    t.equal(await ends(sized), 0);
    t.match(read('screen'), /\x1b\[\?1049l$/, 'and the terminal is given back');

    fs.rmSync(path.join(directory, 'pid'));
    onSizeless('mkfifo p; exec 5<>p; timeout 1 cat /dev/zero >&5; exec "$@" >&5');
    t.ok(await eventually(() => read('pid').endsWith('\n'), 20_000));
    const pid = Number(read('pid'));
    // Makes it draw everything anew, more than the terminal takes.
    for (let i = 0; i < 60; i++) {
      process.kill(pid, 'SIGCONT');
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    process.kill(pid, 'SIGTERM');
    // script(1) itself waits for its reader: the process is what has to end.
    t.ok(
      await eventually(
        () => !fs.existsSync(`/proc/${pid}`) || / Z /.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8')),
        10_000,
      ),
      'SIGTERM ends it',
    );
  },
);

t.test(
  'an error in the middle of it is read on the old screen',
  { skip: cannotRun || withoutTools('tmux') },
  async (t) => {
    // On a private machine, because a state directory that is not root's alone stops every command.
    const machine = await PrivateMachine.start(t);
    t.equal(machine.cli(['attach', 'vnet0', '--daemon']).status, 0);
    const [program, args] = machine.inside(process.execPath, [MAIN, 'top']);
    const terminal = new Tmux(t, [program, ...args], SIZE);
    await terminal.shows(/> vnet0/);
    machine.shell('chmod 777 /run/vnet-bpf');
    t.match(
      await restored(t, terminal, 'an error', 1),
      /vnet-bpf: state directory .*: is not a directory of root's alone/,
      'the error is there to be read',
    );
    machine.shell('chmod 700 /run/vnet-bpf');
    t.equal(machine.cli(['detach', 'vnet0']).status, 0);
  },
);
