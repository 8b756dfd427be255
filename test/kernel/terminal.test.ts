// SPDX-License-Identifier: MIT
/**
 * The terminal of a controller, and SIGHUP: nothing is left when the terminal is closed, and a controller without one
 * continues.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';

import t, { type Test } from 'tap';

import { attachedIn, cannotRun, cli, SLOW } from '../helpers/cli';
import { controllerPid, eventually, listed, lives } from '../helpers/controller';
import { run, testNetns } from '../helpers/netns';
import { isGone, namespaces } from '../helpers/run-command';
import { withoutTools } from '../helpers/traffic';
import { PLAIN } from '../helpers/trap';

t.setTimeout(120_000 * SLOW);

const ATTACH = ['attach', 'vnet0', '--addr', '10.77.0.1/24'];
/** Whether it loops, as soon as it has its addresses. */
const loops = (netns: string): Promise<boolean> =>
  eventually(() => run('ip', ['netns', 'exec', netns, 'ping', '-c', '1', '-W', '5', '10.77.0.1']).status === 0, 20_000);

/** A controller in the foreground, under a shell line in which `"$@"` stands for it. */
function foreground(t: Test, netns: string, line: string): ChildProcess {
  const child = spawn('sh', ['-c', line, 'sh', ...PLAIN, ...ATTACH, '--netns', netns], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.teardown(() => cli(['detach', 'vnet0', '--netns', netns]));
  return child;
}

const ended = (child: ChildProcess): Promise<number | null> => new Promise((resolve) => child.once('close', resolve));

for (const [name, line] of Object.entries({
  'a full disk': 'exec "$@" >/dev/full 2>/dev/full',
  'a full disk, as JSON': 'exec "$@" --json >/dev/full',
  'a pipe that nobody reads':
    'd=$(mktemp -d); mkfifo "$d/p"; exec 4<>"$d/p" 5>"$d/p" 4<&-; rm -r "$d"; exec "$@" >&5 2>&5',
  'a pipe that is full':
    'd=$(mktemp -d); mkfifo "$d/p"; exec 5<>"$d/p"; rm -r "$d"; timeout 1 cat /dev/zero >&5; exec "$@" >&5 2>&5',
  'streams that are closed': 'exec "$@" <&- >&- 2>&-',
})) {
  t.test(`a controller goes on, and ends when it is asked to: ${name}`, { skip: cannotRun }, async (t) => {
    const netns = testNetns(t);
    const child = foreground(t, netns, line);
    t.ok(await loops(netns), 'it loops');
    // By now it has reported that, or tried to.
    await new Promise((resolve) => setTimeout(resolve, 500 * SLOW));
    t.ok(await loops(netns), 'and loops on');
    process.kill(controllerPid(netns, 'vnet0'), 'SIGTERM');
    t.equal(await ended(child), 0, 'it detaches and ends well');
    t.equal(listed(netns, 'vnet0'), undefined, 'nothing is left');
  });
}

t.test('SIGQUIT, as of Ctrl-\\, leaves nothing either', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const child = foreground(t, netns, 'exec "$@"');
  t.ok(await loops(netns), 'it loops');
  process.kill(controllerPid(netns, 'vnet0'), 'SIGQUIT');
  t.equal(await ended(child), 0, 'it detaches and ends well');
  t.equal(listed(netns, 'vnet0'), undefined, 'nothing is left');
});

t.test('a signal to who waits for the background', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  t.teardown(() => cli(['detach', 'vnet0', '--netns', netns]));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const [program, ...args] = PLAIN;
    const child = spawn(program, [...args, ...ATTACH, '--netns', netns, '--daemon'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    child.stderr.on('data', (data: Buffer) => (said += data.toString()));
    // As soon as it has made anything.
    t.ok(await eventually(() => run('ip', ['-n', netns, 'link', 'show', 'vnet0']).status === 0, 20_000));
    child.kill(signal);
    t.equal(await ended(child), 1);
    t.match(said, new RegExp(`^vnet-bpf: attach: ended by ${signal}; what it had made is removed\nhint: [^\n]+\n$`));
    t.equal(listed(netns, 'vnet0'), undefined, 'nothing is left');
    t.not(run('ip', ['-n', netns, 'link', 'show', 'vnet0']).status, 0);
  }
});

t.test('SIGHUP without a terminal is for nobody', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const child = foreground(t, netns, 'exec nohup "$@"');
  t.ok(await loops(netns), 'it loops');
  const pids = [controllerPid(netns, 'vnet0')];
  const other = testNetns(t);
  attachedIn(t, other, ['--addr', '10.77.0.1/24']);
  pids.push(controllerPid(other, 'vnet0'));
  for (const pid of pids) process.kill(pid, 'SIGHUP');
  await new Promise((resolve) => setTimeout(resolve, 500 * SLOW));
  t.ok(pids.every(lives), 'under nohup in the foreground, and a daemon: they go on');
  t.ok((await loops(netns)) && (await loops(other)), 'and loop');
  child.kill('SIGTERM');
  t.equal(await ended(child), 0);
});

/** Starts a command on a terminal of its own; the exit code is written to a file. */
function onTerminal(t: Test, directory: string, args: readonly string[]): { child: ChildProcess; code: () => string } {
  const file = path.join(directory, 'code');
  // The shell gets the terminal's SIGHUP and outlives the terminal to record the exit code; its first wait is
  // interrupted.
  const command = `trap 'kill -HUP $p' HUP; ${[...PLAIN, ...args].map((arg) => `'${arg}'`).join(' ')} & p=$!; wait $p; wait $p; echo $? >'${file}'`;
  const child = spawn('script', ['-qec', command, '/dev/null'], { stdio: ['pipe', 'ignore', 'ignore'] });
  t.teardown(() => child.kill('SIGKILL'));
  return { child, code: () => (fs.existsSync(file) ? fs.readFileSync(file, 'utf8').trim() : '') };
}

t.test('a terminal that goes away', { skip: cannotRun || withoutTools('script') }, async (t) => {
  const netns = testNetns(t);
  t.teardown(() => cli(['detach', 'vnet0', '--netns', netns]));
  const { child, code } = onTerminal(t, t.testdir({}), [...ATTACH, '--netns', netns]);
  t.ok(await loops(netns), 'it loops');
  await new Promise((resolve) => setTimeout(resolve, 500 * SLOW));
  const pid = controllerPid(netns, 'vnet0');
  child.kill('SIGKILL');
  t.ok(await eventually(() => !lives(pid), 20_000), 'the controller ends');
  t.equal(listed(netns, 'vnet0'), undefined, 'and leaves nothing');
  t.ok(await eventually(() => code() !== ''));
  t.equal(code(), '0', 'without an abort of Node.js');
});

/** Runs a bash script on a terminal of its own, where the command is called V; resolves when the script has ended. */
async function scriptOnTerminal(directory: string, script: string): Promise<void> {
  const file = path.join(directory, 'script.sh');
  fs.writeFileSync(
    file,
    `V() { ${PLAIN.map((arg) => `'${arg}'`).join(' ')} "$@"; }; cd '${directory}'; set -m; ${script}`,
  );
  await ended(spawn('script', ['-qec', `bash '${file}'`, '/dev/null'], { stdio: ['pipe', 'ignore', 'ignore'] }));
}

t.test('a controller in the background of a terminal', { skip: cannotRun || withoutTools('script') }, async (t) => {
  const netns = testNetns(t);
  t.teardown(() => cli(['detach', 'vnet0', '--netns', netns]));
  const directory = t.testdir({});
  const attach = `V ${[...ATTACH, '--netns', netns].join(' ')} & until V list | grep -q '${netns}.*running'; do sleep 0.1; done`;
  const modes = path.join(directory, 'modes');
  await scriptOnTerminal(
    directory,
    `${attach}; stty raw -echo; V detach vnet0 --netns ${netns} >/dev/null; wait; stty -a >modes`,
  );
  t.match(
    fs.readFileSync(modes, 'utf8'),
    / -icanon[^]* -echo /,
    'its end leaves the modes that others have given the terminal meanwhile',
  );

  const output = path.join(directory, 'output');
  await scriptOnTerminal(
    directory,
    `stty tostop; ${attach}; sleep 0.5; ip netns exec ${netns} ping -c 1 -W 5 10.77.0.1 >output; kill %1; wait`,
  );
  t.match(
    fs.readFileSync(output, 'utf8'),
    /, 0% packet loss/,
    'what it says stops nothing, though the terminal stops those that write from there',
  );
});

t.test(
  'the modes that a command of run gives its terminal stay',
  { skip: cannotRun || withoutTools('script') },
  (t) => {
    const line = `${PLAIN.join(' ')} run --stats /dev/null -- stty -echo; stty -a`;
    t.match(run('script', ['-qec', line, '/dev/null']).stdout, / -echo /);
    t.end();
  },
);

t.test('a terminal that goes away under run', { skip: cannotRun || withoutTools('script') }, async (t) => {
  const before = namespaces();
  const directory = t.testdir({});
  const mark = path.join(directory, 'netns');
  const file = path.join(directory, 'script.sh');
  fs.writeFileSync(file, `trap "" HUP; ip netns identify $$ >"${mark}"; sleep 2; exit 7`);
  const { child, code } = onTerminal(t, directory, ['run', '--', 'sh', file]);
  t.ok(await eventually(() => fs.existsSync(mark) && fs.readFileSync(mark, 'utf8').trim() !== '', 20_000));
  child.kill('SIGKILL');
  t.ok(await eventually(() => code() !== '', 20_000));
  t.equal(code(), '7', "the exit code is the command's");
  const netns = fs.readFileSync(mark, 'utf8').trim();
  t.notOk(before.includes(netns));
  t.ok(isGone(netns), 'nothing is left');
});
