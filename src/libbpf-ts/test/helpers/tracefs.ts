// SPDX-License-Identifier: MIT
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const PLACE = '/sys/kernel/tracing';

/** tracefs where libbpf looks for it: mounted, and taken away again, unless the machine has it. */
export class TestTracefs implements Disposable {
  readonly #mounted = !existsSync(`${PLACE}/events`);

  constructor() {
    if (this.#mounted) execFileSync('mount', ['-t', 'tracefs', 'tracefs', PLACE]);
  }

  [Symbol.dispose](): void {
    if (this.#mounted) execFileSync('umount', [PLACE]);
  }
}
