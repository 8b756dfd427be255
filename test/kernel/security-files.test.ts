// SPDX-License-Identifier: MIT
/**
 * docs/SECURITY.md, about files that are written for another user: by Wireshark's extcap through sudo, by -w and
 * --stats.
 */
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';

import t, { type Test } from 'tap';

import { attachedIn, cannotRun, cli, SLOW } from '../helpers/cli';
import { hookDirectory } from '../helpers/hook-file';
import { onOwnMachine } from '../helpers/machine';
import { ok, quietNetns, type Result } from '../helpers/netns';
import { toolPath } from '../helpers/tool-process';
import { PLAIN, SOMEBODY } from '../helpers/trap';

t.setTimeout(300_000 * SLOW);

const SECRET = 'root:x:0:0\n';

/** A directory of another user, with a file of root beside it that he would like to be overwritten. */
function theirs(t: Test): { directory: string; victim: string; at(name: string): string } {
  const root = hookDirectory(t);
  fs.chmodSync(root, 0o755);
  const directory = path.join(root, 'theirs');
  fs.mkdirSync(directory);
  fs.chownSync(directory, SOMEBODY, SOMEBODY);
  const victim = path.join(root, 'victim');
  fs.writeFileSync(victim, SECRET, { mode: 0o600 });
  return { directory, victim, at: (name) => path.join(directory, name) };
}

/** Makes a file, or a link itself, belong to him. */
const give = (file: string): void => fs.lchownSync(file, SOMEBODY, SOMEBODY);

t.test('U1, U2, U3: rules of faults may be of the user who called through sudo', { skip: cannotRun }, async (t) => {
  const nic = attachedIn(t, quietNetns(t));
  const { victim, at } = theirs(t);
  const sudo = { SUDO_UID: String(SOMEBODY) };
  const set = (file: string, env: NodeJS.ProcessEnv = sudo): Result =>
    cli(['faults', 'vnet0', '--netns', nic.netns, file], env);
  const refuses = (name: string, says: RegExp, env?: NodeJS.ProcessEnv): void => {
    t.match(set(at(name), env), { status: 1, stderr: says }, name);
  };
  const write = (name: string, text: string): void => {
    fs.writeFileSync(at(name), text, { mode: 0o644 });
    give(at(name));
  };
  write('rules.json', '["udp: drop"]');
  write('a.trace', '1\n2\n');
  write('rules.txt', 'udp: trace a.trace');
  for (const name of ['rules.json', 'rules.txt']) {
    t.equal(set(at(name)).status, 0, name);
    refuses(name, /belongs neither to root nor to the caller/, {});
    refuses(name, /belongs neither to root nor to the caller/, { SUDO_UID: String(SOMEBODY + 1) });
  }
  t.match(
    cli(['run', '--stats', '/dev/null', '--faults', at('rules.json'), '--', 'true'], sudo),
    { status: 0 },
    'a command of run',
  );
  const daemon = ['attach', 'vnet1', '--netns', nic.netns, '--daemon', '--faults', at('rules.json')];
  t.match(cli(daemon, sudo), { status: 0 }, 'a daemon');
  fs.chmodSync(at('rules.json'), 0o664);
  refuses('rules.json', /can be written by others/);
  fs.chmodSync(at('rules.json'), 0o666);
  refuses('rules.json', /can be written by others/);
  write('rules.txt', 'udp: trace ../victim');
  for (const [file, says] of [
    [victim, /^vnet-bpf: faults \S+victim: is not understood, and it is not said why/],
    [at('rules.txt'), /^vnet-bpf: trace "..\/victim": is not understood, and it is not said why/],
  ] as const) {
    const { status, stderr } = set(file);
    t.match(stderr, says);
    t.equal(status, 2);
    t.notMatch(stderr, 'root:x', 'U3: what the caller cannot read is not quoted');
  }
  t.match(set(victim, {}).stderr, 'root:x', 'but to root it is');
  fs.linkSync(victim, at('hard'));
  refuses('hard', /has other names, too/);
  fs.symlinkSync('rules.txt', at('foreign'));
  fs.lchownSync(at('foreign'), SOMEBODY + 1, SOMEBODY + 1);
  refuses('foreign', /is a link that does not belong to root/);
  write('rules.mjs', 'export default "udp: drop"');
  refuses('rules.mjs', /does not belong to root/);
  write('rules.js', 'module.exports = "udp: drop"');
  refuses('rules.js', /does not belong to root/);
});

t.test('U1: a group may write if it is that of the user alone, and nobody else may', { skip: cannotRun }, async (t) => {
  const { status, stdout, stderr } = onOwnMachine(
    `
    mkdir -m 775 /run/of && mkdir -m 775 /run/of/user
    echo 'udp: drop' >/run/of/user/rules
    chown -R ${SOMEBODY}:${SOMEBODY} /run/of
    chmod 664 /run/of/user/rules
    touch /run/group /run/passwd
    mount --bind /run/group /etc/group
    mount --bind /run/passwd /etc/passwd
    look() { vnet_bpf attach vnet0 --faults /run/of/user/rules --dry-run 2>&1 >/dev/null | grep -v ^hint | cut -d : -f 3-; echo "$1"; }
    look 'not known'
    echo 'alice:x:${SOMEBODY}:' >/run/group
    look alone
    echo 'alice:x:${SOMEBODY}:alice' >/run/group
    look 'alone, and a member'
    "$NODE" "$TOOL" /run/of/user/rules ${SOMEBODY + 1}
    look 'file with a list'
    "$NODE" "$TOOL" /run/of/user/rules
    "$NODE" "$TOOL" /run/of/user ${SOMEBODY + 1}
    look 'directory with a list'
    "$NODE" "$TOOL" /run/of/user
    look 'without lists'
    echo 'alice:x:${SOMEBODY}:alice,bob' >/run/group
    look 'another member'
    echo 'staff:x:${SOMEBODY}:' >/run/group
    look 'another name'
    printf '%s\\n' 'alice:x:${SOMEBODY}:' 'same:x:${SOMEBODY}:bob' >/run/group
    look 'another group with its number'
    echo 'alice:x:${SOMEBODY}:' >/run/group
    echo 'bob:x:1:${SOMEBODY}:::' >/run/passwd
    look 'the group of another user'
    echo 'alice:x:${SOMEBODY}:${SOMEBODY}:::' >/run/passwd
    look 'the group of nobody else'
  `,
    { SUDO_UID: String(SOMEBODY), SUDO_USER: 'alice', TOOL: toolPath('access-list-tool') },
  );
  t.equal(status, 0, stderr);
  const refused = (what: string): string => ` ${what} can be written by others`;
  t.same(stdout.trimEnd().split('\n'), [
    ...[refused('/run/of'), 'not known', 'alone', 'alone, and a member'],
    ...[refused('/run/of/user/rules'), 'file with a list', refused('/run/of/user'), 'directory with a list'],
    ...['without lists', refused('/run/of'), 'another member', refused('/run/of'), 'another name'],
    ...[refused('/run/of'), 'another group with its number', refused('/run/of'), 'the group of another user'],
    'the group of nobody else',
  ]);
});

t.test('W1: extcap writes to a pipe that its caller has made, and to nothing else', { skip: cannotRun }, async (t) => {
  const nic = attachedIn(t, quietNetns(t));
  const { directory, victim, at } = theirs(t);
  const sudo = { SUDO_UID: String(SOMEBODY) };
  const capture = (fifo: string): Result =>
    cli(['extcap', '--capture', '--extcap-interface', `vnet-bpf-vnet0@${nic.netns}`, '--fifo', fifo], sudo);
  fs.symlinkSync(victim, at('link'));
  give(at('link'));
  ok('mkfifo', [at('foreign')]); // root's own
  ok('mkfifo', [at('pipe')]);
  give(at('pipe'));
  fs.symlinkSync('pipe', at('linked-pipe'));
  fs.writeFileSync(at('file'), 'text');
  for (const [name, says] of [
    ['link', /is not a pipe/],
    ['file', /is not a pipe/],
    ['foreign', /pipe of somebody else/],
    ['linked-pipe', /is not a pipe/],
    ['.', /is not a pipe/],
    ['none', /ENOENT/],
  ] as const) {
    t.match(capture(at(name)), { status: 1, stderr: says }, name);
  }
  for (const file of [victim, '/dev/null']) t.match(capture(file), { status: 1, stderr: /is not a pipe/ }, file);
  t.equal(fs.readFileSync(victim, 'utf8'), SECRET, "root's file is as it was");
  t.same(fs.readdirSync(directory).includes('none'), false, 'nothing was made');
  t.equal(fs.readFileSync(at('file'), 'utf8'), 'text');

  const reader = spawn('head', ['-c', '4', at('pipe')], { stdio: ['ignore', 'pipe', 'inherit'] });
  let magic = Buffer.alloc(0);
  reader.stdout.on('data', (data: Buffer) => (magic = Buffer.concat([magic, data])));
  const ended = new Promise((resolve) => reader.once('close', resolve));
  t.equal(capture(at('pipe')).status, 0, 'his own pipe is written to, until he goes');
  await ended;
  t.equal(magic.toString('hex'), '0a0d0d0a', 'a pcapng file');
});

t.test(
  'W2, W3: --install follows no links of others, and overwrites nothing that it has not made',
  { skip: cannotRun },
  async (t) => {
    const { directory, victim, at } = theirs(t);
    const mine = hookDirectory(t);
    const install = (...args: string[]): Result => cli(['extcap', '--install', ...args]);
    t.match(
      install(directory),
      { status: 1, stderr: /theirs does not belong to root/ },
      "W2: somebody else's directory",
    );
    fs.symlinkSync(mine, at('link'));
    give(at('link'));
    t.match(
      install(at('link')),
      { status: 1, stderr: /theirs does not belong to root/ },
      "W2: his link to a directory of root's",
    );
    t.same(fs.readdirSync(mine), []);
    const home = cli(['extcap', '--install'], { HOME: directory, XDG_CONFIG_HOME: '' });
    t.match(home, { status: 1, stderr: /theirs does not belong to root/ }, 'W2: his home');
    t.notOk(fs.existsSync(at('.config')), 'nothing was made there');

    fs.symlinkSync(victim, path.join(mine, 'vnet-bpf'));
    t.match(install(mine), { status: 1, stderr: /was not made by this command/ }, 'W3: a link in its place');
    fs.rmSync(path.join(mine, 'vnet-bpf'));
    fs.writeFileSync(path.join(mine, 'vnet-bpf'), 'a program');
    t.match(install(mine), { status: 1, stderr: /was not made by this command/ }, 'W3: another program');
    t.equal(fs.readFileSync(path.join(mine, 'vnet-bpf'), 'utf8'), 'a program');
    fs.rmSync(path.join(mine, 'vnet-bpf'));
    for (const times of ['once', 'again']) t.equal(install(mine).status, 0, times);
    t.same(fs.readdirSync(mine), ['vnet-bpf'], 'one file');
    t.equal(fs.statSync(path.join(mine, 'vnet-bpf')).mode & 0o777, 0o755);
    t.equal(fs.readFileSync(victim, 'utf8'), SECRET);
  },
);

t.test('W4: a rule in sudoers for what Wireshark asks does not allow --install', { skip: cannotRun }, async (t) => {
  const mine = hookDirectory(t);
  for (const args of [
    ['--extcap-interfaces'],
    ['--extcap-interface', 'x'],
    ['--extcap-interface=x', '--extcap-config'],
    ['--capture', '--fifo', 'x'],
    ['--extcap-version=4.2'],
    ['--extcap-capture-filter', 'x'],
    ['--extcap-interfaces=false'],
    ['--extcap-dlts', 'false'],
    ['--capture', 'false'],
    ['--snaplen', '100'],
    ['--debug'],
  ]) {
    t.match(
      cli(['extcap', ...args, '--install', mine]),
      { status: 2, stderr: /--install: goes with no other option/ },
      args.join(' '),
    );
    t.match(
      cli(['extcap', `--install=${mine}`, ...args]),
      { status: 2, stderr: /--install: goes with no other option/ },
      args.join(' '),
    );
  }
  t.same(fs.readdirSync(mine), []);
});

t.test('R8: record -w and run --stats write where their user says, and nobody else', { skip: cannotRun }, async (t) => {
  const nic = attachedIn(t, quietNetns(t));
  const { directory, victim, at } = theirs(t);
  const commands: ((file: string) => Result)[] = [
    (file) => cli(['record', nic.iface, '--netns', nic.netns, '-w', file, '--duration', '0.1']),
    (file) => cli(['run', '--stats', file, '--', '/bin/true']),
  ];
  fs.chmodSync(directory, 0o1777);
  fs.symlinkSync(victim, at('link'));
  give(at('link'));
  fs.symlinkSync(path.dirname(victim), at('way'));
  give(at('way'));
  fs.symlinkSync('link', at('through')); // root's own, to his
  fs.writeFileSync(at('waiting'), '', { mode: 0o666 }); // made by him, to read what root will write
  give(at('waiting'));
  fs.linkSync(victim, at('name'));
  const mine = path.join(hookDirectory(t), 'mine');
  for (const [which, write] of commands.entries()) {
    for (const name of ['link', 'way/victim', 'through', 'waiting', 'name'])
      t.match(
        write(at(name)),
        { status: which === 0 ? 1 : 2, stderr: /somebody else|does not belong to root|other names/ },
        name,
      );
    t.equal(fs.readFileSync(victim, 'utf8'), SECRET, "root's file is as it was");
    t.equal(fs.statSync(at('waiting')).size, 0);
    for (const times of ['made', 'written anew']) {
      t.equal(write(mine).status, 0, times);
      t.equal(fs.statSync(mine).mode & 0o777, 0o600, 'for its owner alone');
    }
    t.equal(write(at(`new${which}`)).status, 0, 'a new file where others can write, too');
    t.equal(fs.statSync(at(`new${which}`)).uid, 0);
    t.equal(write('/dev/null').status, 0, 'a device');
    fs.rmSync(mine);
  }
  const piped = ok('sh', ['-c', '"$@" run --json --stats /dev/stdout -- /bin/true | cat', 'sh', ...PLAIN]);
  t.match(piped, /"interface": "vnet0"/, 'standard output by its name');
});
