// SPDX-License-Identifier: MIT
/**
 * Makes network namespaces that have a name. `ip netns add` takes a lock on /run/netns first and waits for it without
 * end; every user can open that directory, and hold the lock.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { HINTS, VnetError } from '../errors';
import { bindMount, shareMount, SystemError } from '../native/libc';
import { lockEverything } from '../state/store';
import { inNewNetns, namedNetnsFile } from './netns';

/** Makes a namespace that `ip netns` knows by that name. Leaves nothing behind if it fails. */
export function addNamedNetns(name: string): void {
  const file = namedNetnsFile(name);
  try {
    shareDirectory(path.dirname(file));
    fs.closeSync(fs.openSync(file, 'wx', 0));
    try {
      inNewNetns(() => bindMount('/proc/thread-self/ns/net', file));
    } catch (error) {
      fs.rmSync(file, { force: true });
      throw error;
    }
  } catch (cause) {
    if (cause instanceof VnetError) throw cause;
    throw new VnetError('COMMAND_FAILED', `network namespace ${name}`, cause instanceof Error ? cause.message : String(cause), { hint: HINTS.doctor, cause });
  }
}

/** As `ip netns add` does: a namespace whose name is removed is to go in every mount namespace, or it would live on there. */
function shareDirectory(directory: string): void {
  fs.mkdirSync(directory, { recursive: true, mode: 0o755 });
  if (isShared(directory)) return;
  using _ = lockEverything(); // two that mount it at the same time would hide what is in it from each other
  if (isShared(directory)) return;
  bindMount(directory, directory);
  shareMount(directory);
}

/** Shares what is mounted on a directory; false if nothing is. */
function isShared(directory: string): boolean {
  try {
    shareMount(directory);
    return true;
  } catch (error) {
    if (error instanceof SystemError && error.code === 'EINVAL') return false;
    throw error;
  }
}
