// SPDX-License-Identifier: MIT
// A private apt: the machine's proxies, keys and methods, but its own sources, lists and cache. The system's
// apt state is neither used nor changed, and root is not needed.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { run } from './command';
import { findMirrors, mirrorOf } from './mirrors';
import { cache } from './paths';

/** Holds the keys of all suites, older and newer than the machine's own. */
const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';

export interface Package {
  readonly name: string;
  readonly version: string;
  readonly sha256: string;
  readonly depends: readonly string[];
}

export class Apt {
  readonly #configuration: string;

  constructor(suites: readonly string[]) {
    const root = cache('apt');
    for (const directory of ['lists/partial', 'archives/partial'])
      mkdirSync(path.join(root, directory), { recursive: true });
    writeFileSync(path.join(root, 'status'), '');
    const mirrors = findMirrors();
    const options = `target=Packages arch=amd64 pdiffs=no signed-by=${keyring}`;
    const sources = suites.map((suite) => `deb [${options}] ${mirrorOf(suite, mirrors)} ${suite} main\n`);
    writeFileSync(path.join(root, 'sources.list'), sources.join(''));
    this.#configuration = path.join(root, 'apt.conf');
    // Given with -c, so read after the machine's own configuration: that keeps its proxies, but hooks (which
    // may empty the system's cache or talk to a desktop) must not run for us.
    writeFileSync(
      this.#configuration,
      [
        '#clear APT::Update::Pre-Invoke;',
        '#clear APT::Update::Post-Invoke;',
        '#clear APT::Update::Post-Invoke-Success;',
        `Dir::Etc::sourcelist "${path.join(root, 'sources.list')}";`,
        'Dir::Etc::sourceparts "-";',
        'Dir::Etc::preferences "-";',
        'Dir::Etc::preferencesparts "-";',
        `Dir::State "${root}";`,
        `Dir::State::status "${path.join(root, 'status')}";`,
        `Dir::Cache "${root}";`,
        'Acquire::Languages "none";',
        'Acquire::Retries "3";',
        // Lists of suites that this run does not ask for stay: the next run may be offline.
        'APT::Get::List-Cleanup "false";',
        // As root apt would drop to a user that cannot write below a home directory.
        'APT::Sandbox::User "root";',
        '',
      ].join('\n'),
    );
  }

  update(): void {
    run('apt-get', ['-c', this.#configuration, '-qq', '-o', 'APT::Update::Error-Mode=any', 'update']);
  }

  /** Names of the known packages that match, in no order. */
  names(pattern: RegExp): string[] {
    const all = run('apt-cache', ['-c', this.#configuration, 'pkgnames', 'linux-']).split('\n');
    return all.filter((name) => pattern.test(name));
  }

  /** What apt would install under this name; undefined when it is only mentioned by other packages. */
  candidate(name: string): Package | undefined {
    let text: string;
    try {
      text = run('apt-cache', ['-c', this.#configuration, 'show', '--no-all-versions', name]);
    } catch (error) {
      if (/No packages found/.test((error as Error).message)) return undefined;
      throw error;
    }
    const field = (key: string) => new RegExp(`^${key}: (.*)$`, 'm').exec(text)?.[1];
    const version = field('Version');
    const sha256 = field('SHA256');
    if (version === undefined || sha256 === undefined) return undefined;
    const depends = (field('Depends') ?? '').split(',').map((item) => item.trim().split(/[ |]/)[0]!);
    return { name, version, sha256, depends };
  }

  /** Downloads into a directory; apt checks the package against the signed index. */
  download(wanted: Package, directory: string): void {
    run('apt-get', ['-c', this.#configuration, '-qq', 'download', `${wanted.name}=${wanted.version}`], {
      cwd: directory,
    });
  }
}
