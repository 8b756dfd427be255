// SPDX-License-Identifier: MIT
/**
 * A hook runs with the controller's rights, so its file must be one that only root can change: the
 * file itself, and every directory on the way to it, in which somebody could put another one. Above
 * the hook's own directory one like /tmp will do: others can write there, but in a sticky directory
 * they can neither remove nor rename what is root's. In its own they could still put modules beside it.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { VnetError } from '../errors';

const WRITABLE_BY_OTHERS = 0o022;
const STICKY = 0o1000;

/** The real path of a hook file. Throws a HOOK error for one that is not there or is not root's alone. */
export function trustedHookFile(file: string): string {
  let real: string;
  try {
    real = fs.realpathSync(file);
  } catch (cause) {
    throw new VnetError('HOOK', `hook ${file}`, 'there is no such file', { hint: 'the name is relative to the directory that you are in', cause });
  }
  if (!fs.statSync(real).isFile()) throw new VnetError('HOOK', `hook ${file}`, 'is not a file', { hint: 'name the file of TypeScript or JavaScript itself' });
  for (let at = real; ; at = path.dirname(at)) {
    requireRoots(file, at, at !== real && at !== path.dirname(real));
    if (path.dirname(at) === at) return real;
  }
}

function requireRoots(file: string, at: string, above: boolean): void {
  const { uid, mode } = fs.statSync(at);
  const why = uid !== 0 ? 'does not belong to root' : (mode & WRITABLE_BY_OTHERS) !== 0 && !(above && (mode & STICKY) !== 0) ? 'can be written by others than root' : null;
  if (why === null) return;
  throw new VnetError('HOOK', `hook ${file}`, `${at} ${why}, and a hook runs with the rights of root`, {
    hint: 'put it where only root can write: install -D -m 644 HOOK /etc/vnet-bpf/HOOK',
  });
}
