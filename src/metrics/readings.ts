// SPDX-License-Identifier: MIT
/** Readings of attachments, with the label that tells their namespaces apart. */
import * as fs from 'node:fs';

import type { Stats } from '../datapath/stats';
import { statsIfThere } from '../datapath/stats-if-there';
import type { Attachment } from '../state/store';
import type { Reading } from './samples';

/** Its name; nothing for the namespace that the machine began with; `net:[4026532281]` for others without a name. */
function netnsLabel(stats: Stats, inode: number): string {
  if (stats.netns !== null) return stats.netns;
  return fs.statSync('/proc/1/ns/net').ino === inode ? '' : `net:[${inode}]`;
}

export const readingOf = (attachment: Attachment, stats: Stats): Reading => ({
  stats,
  netns: netnsLabel(stats, attachment.netns.inode),
});

/** Readings of those whose counters are still there. */
export function readings(attachments: readonly Attachment[]): Reading[] {
  return attachments.flatMap((attachment) => {
    const stats = statsIfThere(attachment);
    return stats === null ? [] : [readingOf(attachment, stats)];
  });
}
