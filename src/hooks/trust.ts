// SPDX-License-Identifier: MIT
/**
 * Trust in hooks: one runs with the controller's rights, so all that it consists of must pass src/native/trusted.ts.
 */
import * as fs from 'node:fs';

import { VnetError } from '../errors';
import { NotTrusted, trustedPath } from '../native/trusted';

/** The kinds of modules that run in the thread of an interface. */
export type ModuleKind = 'hook' | 'faults';

/** The path of a hook file, links resolved. Throws a HOOK error if there is no such file or it is not root's alone. */
export function trustedHookFile(file: string, what: ModuleKind = 'hook'): string {
  let real: string;
  try {
    real = trustedPath(file);
  } catch (cause) {
    if (cause instanceof NotTrusted) throw notTrusted(file, cause, what);
    throw new VnetError('HOOK', `${what} ${file}`, 'there is no such file', {
      hint: 'the name is relative to the directory that you are in',
      cause,
    });
  }
  if (!fs.lstatSync(real).isFile())
    throw new VnetError('HOOK', `${what} ${file}`, 'is not a file', {
      hint: 'name the file of TypeScript or JavaScript itself',
    });
  return real;
}

/** The error for a hook of which some part is not trusted. */
export function notTrusted(
  file: string,
  { message }: Pick<NotTrusted, 'message'>,
  what: ModuleKind = 'hook',
): VnetError {
  return new VnetError(
    'HOOK',
    `${what} ${file}`,
    `${message}, and ${what === 'hook' ? 'a hook runs' : 'it runs'} with the rights of root`,
    {
      hint: 'put it where only root can write, with all that it imports: install -D -m 644 HOOK /etc/vnet-bpf/HOOK',
    },
  );
}
