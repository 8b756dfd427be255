// SPDX-License-Identifier: MIT
/** The Makefile: files are installed below DESTDIR and nowhere else, and npm finds its certificates. */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { cannotRun, MAIN, ROOT } from '../helpers/cli';

const INSTALLED = [
  'bin/vnet-bpf',
  'share/bash-completion/completions/vnet-bpf',
  'share/fish/vendor_completions.d/vnet-bpf.fish',
  'share/man/man1/vnet-bpf.1',
  'share/zsh/site-functions/_vnet-bpf',
];

const filesBelow = (directory: string): string[] =>
  fs
    .readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.relative(directory, path.join(entry.parentPath, entry.name)))
    .sort();

for (const name of ['root', 'a root with spaces']) {
  t.test(`DESTDIR is ${name}`, { skip: cannotRun }, async (t) => {
    const root = path.join(t.testdir({}), name);
    const make = (target: string): void => {
      const { status, stderr } = spawnSync('make', ['-s', target, `DESTDIR=${root}`, 'PREFIX=/opt/vnet'], {
        cwd: ROOT,
        encoding: 'utf8',
      });
      t.equal(status, 0, `make ${target}: ${stderr}`);
    };
    make('install');
    t.same(filesBelow(root), INSTALLED.map((file) => `opt/vnet/${file}`).sort(), 'all of it, below its prefix');
    t.equal(fs.readlinkSync(path.join(root, 'opt/vnet/bin/vnet-bpf')), MAIN, 'the command is that of the checkout');
    t.equal(fs.existsSync('/opt/vnet'), false, 'and nothing outside');
    make('uninstall');
    t.same(filesBelow(root), [], 'nothing is left');
  });
}

t.test('certificates that npm needs reach a make that another one calls', async (t) => {
  const more = path.join(
    t.testdir({
      'more.mk':
        'outer: ; @$(MAKE) -s --no-print-directory -f Makefile -f $(MORE) inner\ninner: ; @echo "$$VNET_BPF_CERTIFICATES $$NODE_EXTRA_CA_CERTS"\n',
    }),
    'more.mk',
  );
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: '/ours.crt', VNET_BPF_CERTIFICATES: '' };
  const { stdout } = spawnSync(
    'make',
    ['-s', '--no-print-directory', '-f', 'Makefile', '-f', more, 'outer', `MORE=${more}`],
    { cwd: ROOT, env, encoding: 'utf8' },
  );
  t.equal(stdout.trim(), '/ours.crt', 'and no other process of Node reads them');
});
