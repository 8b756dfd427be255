// SPDX-License-Identifier: MIT
/** Checks of what this process may do. */
import * as fs from 'node:fs';

import { missingCapabilities } from '../controller/privileges';
import { cannotCheck, fail, isRoot, ok, warn, type Check } from './check';

/** Root of a user namespace has every capability there, and none over the machine's BPF. */
export function inUserNamespace(): boolean {
  try {
    const [inside, outside, count] = fs.readFileSync('/proc/self/uid_map', 'utf8').trim().split(/\s+/);
    return !(inside === '0' && outside === '0' && count === '4294967295');
  } catch {
    return false; // a kernel without user namespaces
  }
}

function root(): Check {
  if (!isRoot()) return warn('root', `user ${process.geteuid?.() ?? '?'}`, 'sudo vnet-bpf doctor checks the rest; attach, detach, list and stats need root too');
  if (inUserNamespace()) {
    return fail('root', 'root of a user namespace only (a rootless container)', 'run vnet-bpf on the host, or in a container started by root');
  }
  return ok('root', 'yes');
}

function capabilities(): Check {
  if (!isRoot()) return cannotCheck('capabilities');
  const missing = missingCapabilities();
  if (missing.length === 0) return ok('capabilities', 'all that are needed');
  const names = missing.map(({ name }) => name);
  const why = missing.map(({ name, why }) => `${name} ${why}`).join('; ');
  const flags = names.map((name) => `--cap-add ${name.replace('CAP_', '')}`).join(' ');
  return fail('capabilities', `missing: ${names.join(', ')}`, `${why}; in a container: --privileged or ${flags}`);
}

export function privilegeChecks(): Check[] {
  return [root(), capabilities()];
}
