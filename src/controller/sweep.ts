// SPDX-License-Identifier: MIT
/** Removes what no record tells of: the traces of a command that was killed between two steps. */
import * as fs from 'node:fs';

import { removeEmptyPeerNetns } from '../link/peer-netns';
import { removePins } from '../state/bpffs';
import { stateRoot } from '../state/paths';
import { controllerLock, everyAttachment, forgetAttachment } from '../state/store';
import { FileLock } from '../state/lock';

/** The caller holds the global lock, so nothing is half-made right now. */
export function sweep(): void {
  // One whose record is damaged is for detach, which knows what else to look for.
  const known = new Set(everyAttachment().map(({ id }) => id));
  for (const name of fs.existsSync(stateRoot()) ? fs.readdirSync(stateRoot()) : []) {
    if (!/^[0-9a-f]{8}$/.test(name) || known.has(name)) continue;
    if (FileLock.isHeld(controllerLock(name))) continue;
    removePins(name);
    forgetAttachment(name);
  }
  removeEmptyPeerNetns();
}
