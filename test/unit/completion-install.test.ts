// SPDX-License-Identifier: MIT
/** `vnet-bpf completion --install`: where each shell looks, for all users or for one. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { COMMANDS } from '../../src/cli/commands';
import { completionFile, installFor } from '../../src/cli/completion';
import { personalDirectories } from '../../src/cli/extcap';
import { ROOT } from '../helpers/cli';

t.test('where', async (t) => {
  const home = { HOME: '/home/u' };
  t.equal(completionFile('bash', true), '/usr/local/share/bash-completion/completions/vnet-bpf');
  t.equal(completionFile('zsh', true), '/usr/local/share/zsh/site-functions/_vnet-bpf');
  t.equal(completionFile('fish', true), '/usr/local/share/fish/vendor_completions.d/vnet-bpf.fish');
  t.equal(completionFile('bash', false, home), '/home/u/.local/share/bash-completion/completions/vnet-bpf');
  t.equal(completionFile('zsh', false, { ...home, XDG_DATA_HOME: '/d' }), '/d/zsh/site-functions/_vnet-bpf');
  t.equal(
    completionFile('fish', false, { ...home, XDG_CONFIG_HOME: 'relative' }),
    '/home/u/.config/fish/completions/vnet-bpf.fish',
    'a relative one does not count',
  );
});

const skip = process.geteuid?.() === 0 ? false : 'needs root';
t.test('a user without a home', { skip }, async (t) => {
  // A number that no list of users has, as in containers.
  process.seteuid?.(4242);
  try {
    t.throws(() => completionFile('bash', false, {}), {
      code: 'STATE',
      message: 'home directory of user 4242: is not known, and HOME is not set',
      hint: /HOME/,
    });
    t.throws(() => personalDirectories({}), { code: 'STATE' }, 'extcap --install, too');
    t.equal(
      completionFile('bash', false, { XDG_DATA_HOME: '/d' }),
      '/d/bash-completion/completions/vnet-bpf',
      'where none is needed',
    );
  } finally {
    process.seteuid?.(0);
  }
});

t.test('installed, and once more', async (t) => {
  const home = t.testdir({ '.local': { share: { zsh: { 'site-functions': { _vnet_bpf: 'of somebody else' } } } } });
  for (const shell of ['bash', 'zsh', 'fish', 'zsh'] as const) {
    const [says = ''] = installFor(shell, false, COMMANDS, { HOME: home });
    const file = completionFile(shell, false, { HOME: home });
    t.equal(says, `${file} completes vnet-bpf in ${shell}`);
    t.equal(
      fs.readFileSync(file, 'utf8'),
      fs.readFileSync(path.join(ROOT, 'dist', 'completion', `vnet-bpf.${shell}`), 'utf8'),
      'what it prints',
    );
    t.equal(fs.statSync(file).mode & 0o777, 0o644);
  }
  t.match(
    installFor('zsh', false, COMMANDS, { HOME: home })[1],
    /fpath\+=\('.*\/site-functions'\)/,
    'zsh has to be told where',
  );
  t.same(
    fs.readdirSync(path.join(home, '.local/share/zsh/site-functions')).sort(),
    ['_vnet-bpf', '_vnet_bpf'],
    'nothing else is left',
  );
});

t.test('a place where it cannot be', async (t) => {
  const home = t.testdir({ '.local': 'a file' });
  t.throws(() => installFor('bash', false, COMMANDS, { HOME: home }), {
    code: 'SYSCALL',
    message: /completion for bash: .*(ENOTDIR|EEXIST)/,
    hint: /completion bash prints it/,
  });
});
