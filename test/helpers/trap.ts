// SPDX-License-Identifier: MIT
/** Files that another user has planted, which record whether a process of root runs one of them. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { MAIN } from './cli';

/** `vnet-bpf ...` without the modules that tap loads into its children: a command to run, and its first arguments. */
export const PLAIN: readonly [string, ...string[]] = ['/usr/bin/env', '-u', 'NODE_OPTIONS', process.execPath, MAIN];

/** A UID that belongs neither to root nor to any other user of this machine. */
export const SOMEBODY = 54_321;

export class Trap {
  private readonly mark: string;

  /** `directory` belongs to the test; what is recorded there does not matter to the product. */
  constructor(directory: string) {
    this.mark = path.join(directory, 'sprung');
  }

  /** A CommonJS module that records that it ran, and in which process. */
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

  /** What has run since the last call, one per line. */
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
