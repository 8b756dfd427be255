// SPDX-License-Identifier: MIT
/** Removes what no record tells of: the traces of a command that was killed between two steps. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { removeEmptyPeerNetns } from '../link/peer-netns';
import { removePins } from '../state/bpffs';
import { stateDirectory, stateRoot } from '../state/paths';
import { allAttachments, controllerLock, forgetAttachment } from '../state/store';
import { FileLock } from '../state/lock';

/** The caller holds the global lock, so nothing is half-made right now. */
export function sweep(): void {
  const known = new Set(allAttachments().map(({ id }) => id));
  for (const name of fs.existsSync(stateRoot()) ? fs.readdirSync(stateRoot()) : []) {
    if (!/^[0-9a-f]{8}$/.test(name) || known.has(name)) continue;
    if (fs.existsSync(path.join(stateDirectory(name), 'lock')) && FileLock.isHeld(controllerLock(name))) continue;
    removePins(name);
    forgetAttachment(name);
  }
  removeEmptyPeerNetns();
}
