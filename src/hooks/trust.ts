// SPDX-License-Identifier: MIT
/** A hook runs with the controller's rights, so everything that it consists of must be trusted: src/native/trusted.ts. */
import * as fs from 'node:fs';

import { VnetError } from '../errors';
import { NotTrusted, trustedPath } from '../native/trusted';

/** The path of a hook file without links. Throws a HOOK error for one that is not there or is not root's alone. */
export function trustedHookFile(file: string): string {
  let real: string;
  try {
    real = trustedPath(file);
  } catch (cause) {
    if (cause instanceof NotTrusted) throw notTrusted(file, cause);
    throw new VnetError('HOOK', `hook ${file}`, 'there is no such file', { hint: 'the name is relative to the directory that you are in', cause });
  }
  if (!fs.lstatSync(real).isFile()) throw new VnetError('HOOK', `hook ${file}`, 'is not a file', { hint: 'name the file of TypeScript or JavaScript itself' });
  return real;
}

/** What is said of a hook of which a part is not trusted. */
export function notTrusted(file: string, { message }: Pick<NotTrusted, 'message'>): VnetError {
  return new VnetError('HOOK', `hook ${file}`, `${message}, and a hook runs with the rights of root`, {
    hint: 'put it where only root can write, with all that it imports: install -D -m 644 HOOK /etc/vnet-bpf/HOOK',
  });
}
