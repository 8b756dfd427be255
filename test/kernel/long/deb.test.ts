// SPDX-License-Identifier: MIT
/** The Debian package: installed by dpkg into a root of its own, used from there, and removed without a trace. */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

import t, { type Test } from 'tap';

import { cannotRun, ROOT, SLOW } from '../../helpers/cli';
import { installedWorks } from '../../helpers/installed';
import { ok, run, type Result } from '../../helpers/netns';
import { npmEnvironment } from '../../helpers/npm';
import { withoutTools } from '../../helpers/traffic';

t.setTimeout(200_000 * SLOW);

/** A root directory in which dpkg believes that these packages are installed; nothing is. */
class DpkgRoot {
  readonly path = fs.mkdtempSync(path.join(os.tmpdir(), 'vnet-bpf-dpkg-'));

  constructor(t: Test, installed: Readonly<Record<string, string>>) {
    t.teardown(() => fs.rmSync(this.path, { recursive: true, force: true }));
    const state = path.join(this.path, 'var', 'lib', 'dpkg');
    fs.mkdirSync(path.join(state, 'info'), { recursive: true });
    fs.mkdirSync(path.join(state, 'updates'));
    const paragraph = ([name, version]: [string, string]): string =>
      `Package: ${name}\nStatus: install ok installed\nArchitecture: all\nMulti-Arch: foreign\nMaintainer: nobody <nobody@localhost>\nVersion: ${version}\nDescription: not there\n\n`;
    fs.writeFileSync(path.join(state, 'status'), Object.entries(installed).map(paragraph).join(''));
    for (const name of Object.keys(installed)) fs.writeFileSync(path.join(state, 'info', `${name}.list`), '');
  }

  /** The machine's own configuration may exclude documents, and writes a log. */
  dpkg(...args: string[]): Result {
    return run('dpkg', [`--root=${this.path}`, '--log=/dev/null', '--path-include=*', ...args]);
  }

  /** Files and links, without what dpkg keeps for itself. */
  files(): string[] {
    const all = fs
      .readdirSync(this.path, { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory());
    return all
      .map((entry) => path.relative(this.path, path.join(entry.parentPath, entry.name)))
      .filter((name) => !name.startsWith('var/lib/dpkg/'))
      .sort();
  }
}

const EXPECTED = [
  'usr/bin/vnet-bpf',
  'usr/lib/NetworkManager/conf.d/90-vnet-bpf.conf',
  'usr/lib/systemd/network/10-vnet-bpf.link',
  'usr/lib/systemd/network/10-vnet-bpf.network',
  'usr/lib/systemd/system/vnet-bpf@.service',
  'usr/share/bash-completion/completions/vnet-bpf',
  'usr/share/doc/vnet-bpf/changelog.gz',
  'usr/share/doc/vnet-bpf/copyright',
  'usr/share/fish/vendor_completions.d/vnet-bpf.fish',
  'usr/share/lintian/overrides/vnet-bpf',
  'usr/share/man/man1/vnet-bpf.1.gz',
  'usr/share/zsh/vendor-completions/_vnet-bpf',
];

/** The packages as Debian 13 has them. */
const NEEDED = { libc6: '2.41-12', libbpf1: '1:1.5.0-3', iproute2: '6.15.0-1' };

t.test('make deb', { skip: cannotRun || withoutTools('npm', 'dpkg', 'dpkg-deb', 'unshare') }, async (t) => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'vnet-bpf-deb-'));
  t.teardown(() => fs.rmSync(directory, { recursive: true, force: true }));
  // The package is not compressed, which would take longer than all the rest and is up to dpkg.
  ok('src/setup/deb.sh', [directory], { cwd: ROOT, env: { ...npmEnvironment(), DPKG_DEB_COMPRESSOR_LEVEL: '0' } });
  const names = fs.readdirSync(directory);
  t.match(
    fs.readFileSync(path.join(ROOT, 'README.md'), 'utf8'),
    `apt install ./${names.join()}`,
    'one, of the name that the README gives',
  );
  const file = path.join(directory, names[0] ?? '');

  t.test('an older Node.js will not do', async (t) => {
    const root = new DpkgRoot(t, { ...NEEDED, nodejs: '18.20.4+dfsg-1~deb12u1' });
    const { status, stderr } = root.dpkg('--install', file);
    t.equal(status, 1);
    t.match(stderr, /depends on nodejs \(>= 20\)/);
  });

  t.test('installed, used, removed', async (t) => {
    const root = new DpkgRoot(t, { ...NEEDED, nodejs: '20.19.2+dfsg-1' });
    const { status, stderr } = root.dpkg('--install', file);
    t.same({ status, stderr }, { status: 0, stderr: '' });
    t.same(
      root.files().filter((name) => !name.startsWith('usr/lib/vnet-bpf/')),
      EXPECTED,
    );
    const foreign = fs
      .readdirSync(root.path, { recursive: true, encoding: 'utf8' })
      .filter((name) => fs.lstatSync(path.join(root.path, name)).uid !== 0);
    t.same(foreign, [], "all is root's");
    t.equal(root.dpkg('--verify', 'vnet-bpf').stdout, '', 'as it was packed');
    if (withoutTools('lintian') === false) t.equal(run('lintian', [file]).stdout, '', 'lintian has nothing to say');
    await t.test('used', (t) =>
      installedWorks(t, {
        bin: path.join(root.path, 'usr/bin/vnet-bpf'),
        root: path.join(root.path, 'usr/lib/vnet-bpf'),
      }),
    );
    t.equal(root.dpkg('--purge', 'vnet-bpf').status, 0);
    t.same(root.files(), [], 'nothing is left');
  });
});
