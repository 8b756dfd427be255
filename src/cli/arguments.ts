// SPDX-License-Identifier: MIT
/** Arguments that are no UTF-8: Node.js hands them over with U+FFFD in place of the bytes, so that they mean nothing any more. */
import * as fs from 'node:fs';

import { usageError, type VnetError } from '../errors';

/** Whether arguments are as they were given: somebody may mean U+FFFD itself. */
export function areUtf8(args: readonly string[]): boolean {
  const given = fs.readFileSync('/proc/self/cmdline');
  return args.every((arg) => given.includes(`\0${arg}\0`));
}

export const notUtf8 = (): VnetError => usageError('command line', 'an argument is not UTF-8', 'give the file or the namespace a name that is, such as by ln -s; a command of run may be in a script');
