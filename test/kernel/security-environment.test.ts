// SPDX-License-Identifier: MIT
/** docs/SECURITY.md, about what root's processes inherit: programs, variables, the current directory. */
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { attachedIn, cannotRun, MAIN, SLOW } from '../helpers/cli';
import { controllerPid, eventually } from '../helpers/controller';
import { hookDirectory } from '../helpers/hook-file';
import { quietNetns, run } from '../helpers/netns';
import { isGone, namespaces, runsGo } from '../helpers/run-command';
import { PLAIN, Trap } from '../helpers/trap';

t.setTimeout(300_000 * SLOW);

const { PATH: USUAL_PATH, ...ENV } = process.env;
const [ENV_PROGRAM, ...VNET_BPF] = PLAIN;
const PROGRAMS = ['ip', 'tc', 'sh', 'node', 'nsenter', 'sysctl', 'mount', 'umount', 'sleep', 'env'];

t.test('R3: no program is taken from the current directory or from PATH', { skip: cannotRun }, async (t) => {
  const directory = hookDirectory(t);
  const trap = new Trap(directory);
  const theirs = path.join(directory, 'theirs');
  fs.mkdirSync(theirs);
  for (const name of PROGRAMS) trap.program(path.join(theirs, name));
  const before = namespaces();
  for (const [name, PATH] of [
    ['unset', undefined],
    ['empty', ''],
    ['a dot', '.'],
    ['an empty element', ':/usr/bin'],
    ["somebody's directory first", `${theirs}:${USUAL_PATH}`],
  ] as const) {
    const env = { ...ENV, ...(PATH !== undefined && { PATH }) };
    const product = (...args: string[]) => run(ENV_PROGRAM, [...VNET_BPF, ...args], { cwd: theirs, env });
    t.match(
      product('run', '--stats', '/dev/null', '--', '/bin/sh', '-c', 'exit 5'),
      { status: 5, stderr: '' },
      `run with PATH ${name}`,
    );
    if (PATH === '.' || PATH === ':/usr/bin') continue; // as the empty one
    const netns = quietNetns(t);
    t.equal(product('attach', 'vnet0', '--netns', netns, '--daemon', '--addr', '10.77.0.1/24').status, 0);
    const impaired = product('impair', 'vnet0', '--netns', netns, 'delay', '1ms');
    t.ok(impaired.status === 0 || /no netem/.test(impaired.stderr), `impair: ${impaired.stderr}`);
    const environment = fs.readFileSync(`/proc/${controllerPid(netns, 'vnet0')}/environ`, 'latin1').split('\0');
    const found =
      environment
        .find((variable) => variable.startsWith('PATH='))
        ?.slice(5)
        .split(':') ?? [];
    t.ok(
      found.length > 0 && found.every((each) => each.startsWith('/')),
      'the daemon has a PATH of absolute directories',
    );
    t.equal(product('detach', 'vnet0', '--netns', netns).status, 0);
    t.same(trap.sprung(), [], 'none of theirs has run');
  }
  await runsGo(t, before);
});

t.test('R3: a command that cannot be started leaves nothing behind', { skip: cannotRun }, async (t) => {
  const directory = hookDirectory(t);
  fs.writeFileSync(path.join(directory, 'file'), '');
  const before = namespaces();
  const product = (...args: string[]) =>
    run(ENV_PROGRAM, [...VNET_BPF, 'run', '--stats', '/dev/null', '--', ...args], {
      env: { ...ENV, PATH: '' },
      cwd: directory,
    });
  for (const [command, status] of [
    ['not-there', 127],
    ['./file', 126],
    ['./file/below', 126],
    ['x'.repeat(300), 126],
  ] as const) {
    const result = product(command);
    t.equal(result.status, status, command.slice(0, 20));
    t.match(result.stderr, /^vnet-bpf: command .*: [^\n]*\nhint: [^\n]*\n$/);
  }
  await runsGo(t, before);
});

t.test(
  'R4: a daemon is steered by no variable of Node, the linker, OpenSSL or a shell',
  { skip: cannotRun },
  async (t) => {
    const directory = hookDirectory(t);
    const trap = new Trap(directory);
    const preloaded = path.join(directory, 'preloaded.js');
    fs.writeFileSync(preloaded, trap.commonJs);
    fs.writeFileSync(path.join(directory, 'h.ts'), `export default (): 'pass' => 'pass';`);
    const steering = {
      NODE_OPTIONS: `--require ${preloaded}`,
      NODE_PATH: directory,
      NODE_V8_COVERAGE: path.join(directory, 'coverage'),
      NODE_EXTRA_CA_CERTS: preloaded,
      NODE_DEBUG: 'fs',
      NODE_REDIRECT_WARNINGS: preloaded,
      TS_NODE_COMPILER: preloaded,
      LD_LIBRARY_PATH: directory,
      LD_BIND_NOW: '1',
      OPENSSL_CONF: '/dev/null',
      BASH_ENV: preloaded,
      ENV: preloaded,
      GLIBC_TUNABLES: 'glibc.malloc.check=0',
      TC_LIB_DIR: directory,
      HOSTALIASES: preloaded,
      LOCALDOMAIN: 'example',
      RES_OPTIONS: 'debug',
      TZDIR: directory,
      CTLOG_FILE: preloaded,
    };
    const netns = quietNetns(t);
    const variables = Object.entries({ ...steering, CHAOS_SEED: '7' }).map(([name, value]) => `${name}=${value}`);
    const daemon = run(ENV_PROGRAM, [
      ...variables,
      process.execPath,
      MAIN,
      'attach',
      'vnet0',
      '--netns',
      netns,
      '--daemon',
      '--hook',
      path.join(directory, 'h.ts'),
    ]);
    t.equal(daemon.status, 0, daemon.stderr);
    const pid = controllerPid(netns, 'vnet0');
    t.teardown(() => run(ENV_PROGRAM, [...VNET_BPF, 'detach', 'vnet0', '--netns', netns]));
    t.same(
      trap.sprung().filter((line) => line.startsWith(`${pid} `)),
      [],
      'what the caller has had loaded is not loaded there, nor in its threads',
    );
    const environment = Object.fromEntries(
      fs
        .readFileSync(`/proc/${pid}/environ`, 'latin1')
        .split('\0')
        .map((each) => [each.replace(/=.*/s, ''), each.replace(/^[^=]*=/, '')]),
    );
    for (const name of Object.keys(steering)) t.notOk(environment[name], name);
    t.equal(environment['CHAOS_SEED'], '7', 'variables for hooks are there');
  },
);

t.test('R4: neither is what cleans up behind a run', { skip: cannotRun }, async (t) => {
  const directory = hookDirectory(t);
  const trap = new Trap(directory);
  const theirs = path.join(directory, 'theirs');
  fs.mkdirSync(theirs);
  for (const name of PROGRAMS) trap.program(path.join(theirs, name));
  fs.writeFileSync(path.join(directory, 'env.sh'), `echo "$$ ENV" >>${path.join(directory, 'sprung')}\n`);
  const env = { ...ENV, PATH: theirs, ENV: path.join(directory, 'env.sh'), BASH_ENV: path.join(directory, 'env.sh') };
  const child = spawn(
    ENV_PROGRAM,
    [
      ...VNET_BPF,
      'run',
      '--stats',
      '/dev/null',
      '--',
      '/bin/bash',
      '--norc',
      '-c',
      '/sbin/ip netns identify $$; exec /bin/sleep 60',
    ],
    { cwd: theirs, env, stdio: ['ignore', 'pipe', 'ignore'] },
  );
  let output = '';
  child.stdout.on('data', (data: Buffer) => (output += data.toString()));
  t.ok(await eventually(() => output.includes('\n')));
  trap.sprung(); // the command itself is the user's, and its bash reads BASH_ENV
  child.kill('SIGKILL');
  t.ok(await eventually(() => isGone(output.trim())), 'nothing is left');
  t.same(trap.sprung(), []);
});

t.test('no file is read that LC_ALL or LANG names', { skip: cannotRun }, async (t) => {
  const directory = hookDirectory(t);
  fs.writeFileSync(path.join(directory, 'x.json'), '{"--none: is not an option of list":"translated"}');
  const { LC_ALL: _, LC_MESSAGES: __, ...env } = ENV;
  for (const name of ['LC_ALL', 'LANG']) {
    const { stderr } = run(ENV_PROGRAM, [...VNET_BPF, 'list', '--none'], {
      env: { ...env, PATH: USUAL_PATH, [name]: path.join(directory, 'x') },
    });
    t.match(stderr, /^vnet-bpf: --none: is not an option of list\n/, name);
  }
});

t.test(
  "R7: the command of a run has its user's environment, and is found in his PATH",
  { skip: cannotRun },
  async (t) => {
    const directory = hookDirectory(t);
    fs.writeFileSync(path.join(directory, 'mine'), '#!/bin/sh\n/usr/bin/env\n', { mode: 0o755 });
    const { status, stdout, stderr } = run(ENV_PROGRAM, [...VNET_BPF, 'run', '--stats', '/dev/null', '--', 'mine'], {
      env: { ...ENV, PATH: directory, NODE_PATH: '/somewhere', TS_NODE_SKIP_PROJECT: 'yes' },
    });
    t.equal(status, 0, stderr);
    t.match(stdout, /^NODE_PATH=\/somewhere$/m);
    t.match(stdout, /^TS_NODE_SKIP_PROJECT=yes$/m);
    t.match(stdout, new RegExp(`^PATH=${directory}$`, 'm'));
  },
);

t.test('R2: state and control belong to root alone', { skip: cannotRun }, async (t) => {
  const netns = quietNetns(t);
  attachedIn(t, netns);
  const modes = (directory: string): [string, number][] =>
    fs.readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
      const file = path.join(directory, entry.name);
      return [[file, fs.lstatSync(file).mode & 0o077] as [string, number], ...(entry.isDirectory() ? modes(file) : [])];
    });
  t.equal(fs.statSync('/run/vnet-bpf').mode & 0o777, 0o700);
  t.same(
    modes('/run/vnet-bpf').filter(([file, mode]) => mode !== 0 && !file.endsWith('/netns')),
    [],
  );
});

t.test('a hook does not inherit what tells a background process that it is one', { skip: cannotRun }, async (t) => {
  const hook = path.join(hookDirectory(t), 'environment.js');
  const names = "Object.keys(process.env).filter((name) => name.startsWith('VNET_BPF_IN'))";
  fs.writeFileSync(
    hook,
    `module.exports = { frame: () => 'pass', start: (nic) => nic.log('inherits [' + ${names} + ']') };`,
  );
  const nic = attachedIn(t, quietNetns(t), ['--hook', hook]);
  t.match(run(ENV_PROGRAM, [...VNET_BPF, 'log', nic.iface, '--netns', nic.netns]).stdout, 'inherits []');

  const passedOn = { ...ENV, PATH: USUAL_PATH, VNET_BPF_IN_BACKGROUND: '/' };
  const foreground = run('timeout', ['-s', 'INT', '3', ...PLAIN, 'attach', 'vnet1', '--netns', nic.netns, '--daemon'], {
    env: passedOn,
  });
  t.match(foreground, { status: 0, stdout: /^vnet1 in namespace .* loops, by process/ }, 'nor does it count alone');
  run(ENV_PROGRAM, [...VNET_BPF, 'detach', 'vnet1', '--netns', nic.netns]);
});
