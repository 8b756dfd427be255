// SPDX-License-Identifier: MIT
/** Hook files of a test, in a directory where only root can write, as the product requires. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import type { Test } from 'tap';

/** A directory that is removed when the test ends. */
export function hookDirectory(t: Test): string {
  const directory = fs.mkdtempSync('/run/vnet-bpf-test-');
  t.teardown(() => fs.rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A hook file with that content. */
export function hookFile(t: Test, name: string, source: string): string {
  const file = path.join(hookDirectory(t), name);
  fs.writeFileSync(file, source);
  return file;
}
