// SPDX-License-Identifier: MIT
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A cgroup of version 2 of the test's own, through a mount of its own. */
export class TestCgroup implements Disposable {
  readonly #mount = mkdtempSync(join(tmpdir(), 'libbpf-ts-cgroup-'));
  readonly path = join(this.#mount, `libbpf-ts-${process.pid}`);

  constructor() {
    try {
      execFileSync('mount', ['-t', 'cgroup2', 'none', this.#mount]);
    } catch (error) {
      rmdirSync(this.#mount);
      throw error;
    }
    mkdirSync(this.path);
  }

  /** Runs a shell command in the cgroup; it is gone afterwards. */
  run(command: string): void {
    execFileSync('sh', ['-c', `echo $$ >'${this.path}/cgroup.procs' && ${command}`], { stdio: 'ignore' });
  }

  [Symbol.dispose](): void {
    rmdirSync(this.path);
    execFileSync('umount', [this.#mount]);
    rmdirSync(this.#mount);
  }
}
