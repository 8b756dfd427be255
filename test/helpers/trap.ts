// SPDX-License-Identifier: MIT
/** Files that others have laid out: whether a process of root's ran one of them. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { MAIN } from './cli';

/** `vnet-bpf ...` without what tap has had loaded into its children: a command to run, and its first arguments. */
export const PLAIN: readonly [string, ...string[]] = ['/usr/bin/env', '-u', 'NODE_OPTIONS', process.execPath, MAIN];

/** A user who is neither root nor anybody on this machine. */
export const SOMEBODY = 54_321;

export class Trap {
  private readonly mark: string;

  /** `directory` is the test's own; what is written down there does not matter to the product. */
  constructor(directory: string) {
    this.mark = path.join(directory, 'sprung');
  }

  /** CommonJS that tells that it ran, and in which process. */
  get commonJs(): string {
    return `require('node:fs').appendFileSync(${JSON.stringify(this.mark)}, process.pid + ' ' + __filename + '\\n'); module.exports = () => 'pass';`;
  }

  /** The same as an ES module. */
  get module(): string {
    return `import fs from 'node:fs'; fs.appendFileSync(${JSON.stringify(this.mark)}, process.pid + ' ' + import.meta.url + '\\n'); export default () => 'pass';`;
  }

  /** A shell script of that name, to be found in a PATH. */
  program(file: string): void {
    fs.writeFileSync(file, `#!/bin/sh\necho "$$ $0 $*" >>${this.mark}\nexit 1\n`, { mode: 0o755 });
    fs.chmodSync(file, 0o755);
  }

  /** What ran, a line each, since this was last asked. */
  sprung(): string[] {
    try {
      return fs.readFileSync(this.mark, 'utf8').split('\n').filter(Boolean);
    } catch {
      return [];
    } finally {
      fs.rmSync(this.mark, { force: true });
    }
  }
}
