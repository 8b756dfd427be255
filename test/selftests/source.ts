// SPDX-License-Identifier: MIT
// Brings the kernel's selftests into the cache: fetched from Debian, unpacked, never installed and never committed.
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { Apt } from '../vm/apt';
import { run } from '../vm/command';
import { newest } from '../vm/fetch-kernel';
import { cache } from '../vm/paths';

/** Debian suites that may carry the package. */
const SUITES = ['trixie'];
/** The release that the table was written for; the newest one where Debian no longer has it. */
const WANTED = 'linux-source-6.12';
/** What is unpacked of the kernel's tree: the tests and the headers that they include. */
const PARTS = ['tools/testing/selftests/net', 'tools/testing/selftests/kselftest*', 'tools/include/uapi/linux'];

export interface Source {
  /** Debian's name and version of the package. */
  readonly version: string;
  /** tools/testing/selftests/net. */
  readonly directory: string;
}

/** The unpacked source; downloads it (150 MB) unless the cache has it. */
export function fetchSource(announce: (text: string) => void): Source {
  const home = cache('selftests', 'source');
  const stamp = path.join(home, 'version');
  const directory = path.join(home, 'tools/testing/selftests/net');
  if (existsSync(stamp)) return { version: readFileSync(stamp, 'utf8').trim(), directory };

  const apt = new Apt(SUITES);
  apt.update();
  const wanted = [WANTED, ...newest(apt.names(/^linux-source-\d/))]
    .map((name) => apt.candidate(name))
    .find((found) => found !== undefined);
  if (wanted === undefined) throw new Error(`no linux-source package in ${SUITES.join(', ')}`);
  const version = `${wanted.name} ${wanted.version}`;
  announce(`fetching ${version}`);
  const fresh = `${home}.new`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(path.join(fresh, 'deb'), { recursive: true });
  apt.download(wanted, path.join(fresh, 'deb'));
  const deb = path.join(fresh, 'deb', readdirSync(path.join(fresh, 'deb'))[0] as string);
  // The package holds one compressed archive of the whole tree, whose top directory has the package's name.
  const patterns = PARTS.map((part) => `'*/${part}'`).join(' ');
  const unpack =
    `dpkg-deb --fsys-tarfile ${deb} | tar -xO --wildcards './usr/src/linux-source-*.tar.xz' | ` +
    `tar -xJ -C ${fresh} --strip-components=1 --wildcards ${patterns}`;
  run('bash', ['-o', 'pipefail', '-c', unpack]);
  rmSync(path.join(fresh, 'deb'), { recursive: true });
  // The stamp last, then the swap: an interrupted fetch is never taken for the source.
  writeFileSync(path.join(fresh, 'version'), `${version}\n`);
  rmSync(home, { recursive: true, force: true });
  renameSync(fresh, home);
  return { version, directory };
}
