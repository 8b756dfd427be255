// SPDX-License-Identifier: MIT
/** Readings of attachments, with the label that tells their namespaces apart. */
import * as fs from 'node:fs';

import type { Stats } from '../datapath/stats';
import { statsIfThere } from '../datapath/stats-if-there';
import { shownNetns } from '../link/netns-record';
import type { Attachment } from '../state/store';
import type { Reading } from './samples';

/** Its name; nothing for the namespace that the machine began with; `net:[4026532281]` for others without a name. Two that are gone may have had the same. */
function netnsLabel({ id, netns, pid }: Attachment): string {
  const { name, gone } = shownNetns(netns, pid);
  const label = name ?? (fs.statSync('/proc/1/ns/net').ino === netns.inode && !gone ? '' : `net:[${netns.inode}]`);
  return gone ? `${label} (gone, ${id})` : label;
}

export const readingOf = (attachment: Attachment, stats: Stats): Reading => ({ stats, netns: netnsLabel(attachment) });

/** Readings of those whose counters are still there. */
export function readings(attachments: readonly Attachment[]): Reading[] {
  return attachments.flatMap((attachment) => {
    const stats = statsIfThere(attachment);
    return stats === null ? [] : [readingOf(attachment, stats)];
  });
}
