// SPDX-License-Identifier: MIT
/**
 * What the product depends on: few packages, each in the version of the lock file, none with a script at installation.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import {
  manifestOf,
  productionOf,
  shrinkwrapOf,
  withoutScripts,
  type Lock,
  type Manifest,
} from '../../src/setup/published';
import { ROOT } from '../helpers/cli';

const read = (name: string): Manifest => JSON.parse(fs.readFileSync(path.join(ROOT, name), 'utf8')) as Manifest;
const lock = read('package-lock.json') as Lock;
const own = read('package.json');

/** Besides those for one kind of machine. A new one has to be worth it: each is other people's code, run as root. */
const PACKAGES_MAX = 4;

t.test('no more packages than it needs', async (t) => {
  const names = productionOf(lock)
    .slice(1)
    .filter(([, { optional }]) => !optional)
    .map(([place]) => place.replace('node_modules/', ''));
  t.ok(names.length <= PACKAGES_MAX, `${names.length} packages: ${names.join(', ')}`);
  t.same(
    Object.keys(own['dependencies'] as object).sort(),
    ['koffi', 'libbpf-ts', 'typescript', 'ws'],
    'those that we ask for ourselves',
  );
});

t.test('no script at installation, in the checkout or from the tarball', async (t) => {
  t.match(fs.readFileSync(path.join(ROOT, '.npmrc'), 'utf8'), /^ignore-scripts=true$/m, 'npm ci runs none');
  const withScript = productionOf(lock)
    .filter(([, { hasInstallScript }]) => hasInstallScript)
    .map(([place]) => place);
  t.same(withScript, ['node_modules/koffi'], 'koffi has one, which the tarball leaves out');
  t.notMatch(JSON.stringify(shrinkwrapOf(lock)), 'hasInstallScript');
  const koffi = withoutScripts(read('node_modules/koffi/package.json'));
  t.same(koffi['scripts'], {});
  t.match(koffi, { name: 'koffi', license: 'MIT', optionalDependencies: undefined });
  t.same(
    Object.keys((own['scripts'] ?? {}) as object).filter((name) => /install|prepare|pack|publish/.test(name)),
    [],
    'nor do we have any',
  );
});

t.test('the manifest and the shrinkwrap of the tarball have the versions of the lock file', async (t) => {
  const manifest = manifestOf(own, lock);
  const { dependencies, optionalDependencies } = manifest as Record<
    'dependencies' | 'optionalDependencies',
    Record<string, string>
  >;
  const versions: Record<string, string> = { ...dependencies, ...optionalDependencies };
  t.same([...new Set(Object.values(versions).filter((version) => !/^\d+\.\d+\.\d+$/.test(version)))], [], 'no ranges');
  for (const [place, { version, integrity, inBundle }] of Object.entries(shrinkwrapOf(lock).packages).slice(1)) {
    const name = place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length);
    t.equal(versions[name], version, `${name} ${String(version)}`);
    t.ok(inBundle === true || /^sha512-/.test(String(integrity)), `${name} has its check sum, or lies in the tarball`);
  }
  t.ok('@koromix/koffi-linux-arm64' in optionalDependencies, 'for machines other than this one, too');
  t.notOk(
    Object.keys(versions).some((name) => /win32|darwin|openbsd|yargs|esbuild|tap/.test(name)),
    'and nothing that is not run',
  );
  t.match(manifest, {
    name: 'vnet-bpf',
    bin: own['bin'],
    exports: own['exports'],
    devDependencies: undefined,
    workspaces: undefined,
  });
  t.throws(
    () =>
      manifestOf(own, {
        packages: {
          '': {},
          'node_modules/a': { version: '1.0.0' },
          'node_modules/b/node_modules/a': { version: '2.0.0' },
        },
      }),
    /one version/,
  );
});
