// SPDX-License-Identifier: MIT
/** `attach --hook` and `vnet-bpf hook`, as they are typed. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { attachedIn, cannotRun, checkAccounting, cli, cliOk, SLOW } from '../../helpers/cli';
import { listed } from '../../helpers/controller';
import { hookDirectory } from '../../helpers/hook-file';
import { okIn, quietNetns, run } from '../../helpers/netns';
import { withoutArp } from '../../helpers/traffic';

t.setTimeout(300_000 * SLOW);

const ADDRESS = '10.77.0.1';

t.test('put on, swapped, taken off; what is wrong changes nothing', { skip: cannotRun }, async (t) => {
  const directory = hookDirectory(t);
  const write = (name: string, source: string): string => {
    fs.writeFileSync(path.join(directory, name), source);
    return path.join(directory, name);
  };
  const silent = write(
    'silent.ts',
    `import type { Hook } from 'vnet-bpf/hooks';\nconst hook: Hook = { frame: (frame): 'drop' | 'pass' => (frame.icmp ? 'drop' : 'pass') };\nexport default hook;`,
  );
  const pass = write('pass.js', `module.exports = () => 'pass';`);
  const broken = write('broken.mjs', `\n\nthrow new Error('not today');`);
  const writable = write('writable.mjs', `export default () => 'pass';`);
  fs.chmodSync(writable, 0o646);

  const netns = quietNetns(t);
  const nic = attachedIn(t, netns, ['--addr', `${ADDRESS}/24`, '--hook', silent]);
  withoutArp(nic, ADDRESS);
  const where = ['vnet0', '--netns', netns];
  // Enough patience for a busy machine where an answer is expected; none comes otherwise.
  const lost = (patience = 10): string =>
    /(\d+)% packet loss/.exec(
      okIn(netns, 'sh', ['-c', `ping -q -c 3 -i 0.1 -W ${patience * SLOW} ${ADDRESS} || true`]),
    )?.[1] ?? 'unknown';
  const refused = (args: string[], status: number, says: RegExp): void => {
    const result = cli(['hook', ...where, ...args]);
    t.equal(result.status, status);
    t.match(result.stderr, says);
  };

  t.equal(lost(1), '100', 'a hook in TypeScript drops pings');
  t.match(cliOk(['hook', ...where, pass]), pass);
  t.equal(lost(), '0', 'the next one lets them pass');
  t.equal(listed(netns, 'vnet0')?.hook, pass, 'list shows it');
  cliOk(['hook', ...where, silent]);
  refused([broken], 1, /broken\.mjs: cannot be loaded: .*broken\.mjs:3:\d+: Error: not today: .*throw/);
  refused([writable], 1, /writable\.mjs can be written by others[\s\S]*hint: put it where only root can write/);
  refused([path.join(directory, 'none.ts')], 1, /there is no such file/);
  refused([directory], 1, /is not a file/);
  refused([], 2, /give a file or --none/);
  refused([pass, '--none'], 2, /give a file or --none/);
  refused([pass, '--on-hook-error', 'cry'], 2, /is not one of pass, drop, detach/);
  t.equal(lost(1), '100', 'the old one is still in place');
  cliOk(['hook', ...where, '--none']);
  t.equal(lost(), '0', 'and off');
  t.equal(listed(netns, 'vnet0')?.hook, null, 'list shows none');
  const log = cliOk(['log', ...where]);
  for (const line of [`hook ${silent} on vnet0`, `hook ${pass} on vnet0`, 'no hook on vnet0']) t.match(log, line);
  t.equal((await nic.atRest()).hooks.dropped, 6);
  t.equal(cli(['stats', ...where, '--check']).status, 0, 'the frame accounting balances');
});

t.test('attach with a hook that is not good leaves nothing behind', { skip: cannotRun }, async (t) => {
  const directory = hookDirectory(t);
  const netns = quietNetns(t);
  fs.writeFileSync(path.join(directory, 'bad.ts'), 'export default 5;');
  for (const file of ['bad.ts', 'missing.ts']) {
    const { status, stderr } = cli([
      'attach',
      'vnet0',
      '--netns',
      netns,
      '--hook',
      path.join(directory, file),
      '--daemon',
    ]);
    t.equal(status, 1);
    t.match(stderr, `hook ${path.join(directory, file)}: `);
  }
  t.notMatch(run('ip', ['-n', netns, 'link']).stdout, 'vnet0');
  t.equal(cli(['attach', 'vnet0', '--netns', netns, '--hook']).status, 2, 'an option without its file');
});

t.test('a relative path means the directory one is in, also with --daemon', { skip: cannotRun }, async (t) => {
  const directory = hookDirectory(t);
  fs.writeFileSync(path.join(directory, 'here.js'), `module.exports = () => 'pass';`);
  const before = process.cwd();
  process.chdir(directory);
  t.teardown(() => process.chdir(before));
  const nic = attachedIn(t, quietNetns(t), ['--addr', `${ADDRESS}/24`, '--hook', './here.js']);
  process.chdir(before);
  withoutArp(nic, ADDRESS);
  okIn(nic.netns, 'ping', ['-q', '-c', '2', '-i', '0.1', '-W', String(SLOW), ADDRESS]);
  t.match(cliOk(['log', 'vnet0', '--netns', nic.netns]), path.join(directory, 'here.js'));
  checkAccounting(t, nic, await nic.atRest());
});
