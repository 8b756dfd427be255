// SPDX-License-Identifier: MIT
/** `hook --init`: what it writes compiles, is understood by an editor, and is loaded. */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { commandsFor } from '../../src/cli/hook';
import { cannotRun, cli, ROOT } from '../helpers/cli';
import { hookDirectory } from '../helpers/hook-file';
import { PrivateMachine } from '../helpers/private-machine';

const node = (...args: readonly string[]): { status: number | null; stdout: string; stderr: string } =>
  spawnSync(process.execPath, args, { encoding: 'utf8', env: { ...process.env, NODE_OPTIONS: '' } });
const LOADER = `
const { loadHook } = require(process.argv[1]);
(async () => {
  for (const file of process.argv.slice(2)) {
    const { name, frame } = await loadHook(file);
    console.log(name, typeof frame);
  }
})().finally(() => process.exit());`;

/** A hook as a user would write it, with ES modules named as Node requires and a top-level await. */
const MINE = `import { limit } from './helper.js';
import { summaryOf, type Hook } from 'vnet-bpf/hooks';

const most = await Promise.resolve(limit);

export default {
  name: 'mine',
  frame(frame, nic) {
    if (frame.length > most) nic.log(summaryOf(frame).join());
    return 'pass';
  },
} satisfies Hook;
`;

t.test('a hook to begin with', { skip: cannotRun }, async (t) => {
  const directory = path.join(hookDirectory(t), 'new');
  const write = (name: string, text: string): void => fs.writeFileSync(path.join(directory, name), text);
  const first = cli(['hook', '--init', path.join(directory, 'hook.ts')]);
  t.match(first, { status: 0, stdout: new RegExp(`^${directory}/hook.ts is a hook`), stderr: '' });
  t.match(
    cli(['hook', '--init', path.join(directory, 'plain.mjs')]),
    { status: 0, stderr: '' },
    'a second one, in JavaScript',
  );
  write('helper.ts', 'export const limit: number = await Promise.resolve(3);\n');
  write('mine.ts', MINE);

  const tsc = path.join(ROOT, 'node_modules', 'typescript', 'lib', 'tsc.js');
  write(
    'wrong.ts',
    "import type { Hook } from 'vnet-bpf/hooks';\nexport const wrong: Hook = { frame: (frame) => frame.nothing };\n",
  );
  write('wrong.mjs', "/** @type {import('vnet-bpf/hooks').Hook} */\nexport default { frame: () => 'drpo' };\n");
  write(
    'rules.ts',
    "import { defineFaults } from 'vnet-bpf/faults';\nexport default defineFaults([{ match: { filter: 'udp', test: (frame) => frame.length > 99, nth: [1] }, effects: [{ kind: 'drop' }] }, 'tcp: delay 5ms']);\n",
  );
  write(
    'wrong-rules.ts',
    "import { defineFaults } from 'vnet-bpf/faults';\nexport default defineFaults([{ effects: [{ kind: 'dorp' }] }]);\n",
  );
  const { stdout } = node(tsc, '--project', directory);
  t.match(stdout, /wrong-rules\.ts\(2,\d+\): error TS2322: Type '"dorp"' is not assignable/m, 'rules have types, too');
  t.equal(
    stdout.split('\n').filter((line) => line.includes('error')).length,
    3,
    `the compiler has nothing to say against the rest: ${stdout}`,
  );
  t.match(
    stdout,
    /wrong\.ts\(2,\d+\): error TS2339: Property 'nothing' does not exist on type 'Frame'/m,
    'types are known: TypeScript',
  );
  t.match(stdout, /wrong\.mjs\(2,\d+\): error TS2322/m, 'and JavaScript');

  const names = ['hook.ts', 'plain.mjs', 'mine.ts'].map((name) => path.join(directory, name));
  t.match(
    node('-e', LOADER, path.join(ROOT, 'dist', 'hooks', 'load.js'), ...names),
    { status: 0, stdout: 'hook function\nplain function\nmine function\n', stderr: '' },
    'they are loaded',
  );

  const declarations = path.join(directory, 'types', 'vnet-bpf', 'hooks', 'contract.d.ts');
  const types = fs.readFileSync(declarations, 'utf8');
  fs.writeFileSync(declarations, 'of another version');
  write('hook.ts', MINE);
  t.match(cli(['hook', '--init', path.join(directory, 'hook.ts')]), {
    status: 0,
    stdout: /hook\.ts is there already, and stays as it is; its types in .* are those of this version\n$/,
    stderr: '',
  });
  t.equal(fs.readFileSync(path.join(directory, 'hook.ts'), 'utf8'), MINE, 'the hook is not overwritten');
  t.equal(fs.readFileSync(declarations, 'utf8'), types, 'its types are renewed');
  write('tsconfig.json', '{}\n');
  t.match(cli(['hook', '--init', path.join(directory, 'third.ts')]), {
    status: 0,
    stdout: /^tsconfig\.json beside it was there already/m,
  });
  t.equal(fs.readFileSync(path.join(directory, 'tsconfig.json'), 'utf8'), '{}\n');
});

t.test('what to type next', async (t) => {
  t.equal(commandsFor('/etc/vnet-bpf/hook.ts', true), 'vnet-bpf hook vnet0 /etc/vnet-bpf/hook.ts');
  t.equal(
    commandsFor('/home/ann/my nic/hook.ts', false),
    "sudo install -D -m 644 '/home/ann/my nic/hook.ts' /etc/vnet-bpf/hook.ts && sudo vnet-bpf hook vnet0 /etc/vnet-bpf/hook.ts",
    'a hook of a user is installed first',
  );
});

t.test('a full disk', { skip: cannotRun }, async (t) => {
  const machine = await PrivateMachine.start(t);
  machine.shell('mkdir /run/small; mount -t tmpfs -o size=4k,mode=755 tmpfs /run/small; echo >/run/small/first');
  t.match(machine.cli(['hook', '--init', '/run/small/hook.ts']), {
    status: 1,
    stderr: /^vnet-bpf: hook \/run\/small\/hook.ts: cannot be written: ENOSPC\nhint: [^\n]+\n$/,
  });
  t.equal(machine.shell('ls /run/small'), 'first\n', 'no empty hook is left, which would stay as it is');
  machine.shell('mount -o remount,size=10m /run/small');
  t.match(machine.cli(['hook', '--init', '/run/small/hook.ts']), { status: 0, stdout: /hook\.ts is a hook/ });
});

t.test('where no hook can be', { skip: cannotRun }, async (t) => {
  const directory = fs.mkdtempSync('/tmp/vnet-bpf-test-');
  t.teardown(() => fs.rmSync(directory, { recursive: true, force: true }));
  t.match(
    cli(['hook', '--init', path.join(directory, 'below', 'hook.ts')]),
    { status: 1, stderr: /\/tmp can be written by others[^]*hint: .*\/etc\/vnet-bpf/ },
    'where others can write',
  );
  t.same(fs.readdirSync(directory), [], 'nothing is made');
  t.match(cli(['hook', '--init', path.join(hookDirectory(t), 'hook.txt')]), {
    status: 2,
    stderr: /is not the name of a file of TypeScript or JavaScript/,
  });
  t.match(cli(['hook', '--init', '/proc/hook.ts']), { status: 1, stderr: /cannot be written: E/ });
  t.match(cli(['hook', 'vnet0', '--init', 'hook.ts']), { status: 2, stderr: /^vnet-bpf: --init: stands alone/ });
});
