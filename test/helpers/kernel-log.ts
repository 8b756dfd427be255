// SPDX-License-Identifier: MIT
/** The `VNET: ` lines of an interface, in the kernel's log and in the product's. */
import * as fs from 'node:fs';

import { cliOk, SLOW, type Attached } from './cli';

/** A kernel log record: `prefix;text`, each with one read(2). */
const RECORD_BYTES = 8192;

/** Records that are in the kernel log now. Every reader of /dev/kmsg starts at the oldest one. */
export function kernelLog(): string[] {
  const fd = fs.openSync('/dev/kmsg', fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  const buffer = Buffer.alloc(RECORD_BYTES);
  const records: string[] = [];
  try {
    for (;;) {
      try {
        const length = fs.readSync(fd, buffer);
        const record = buffer.toString('utf8', 0, length);
        records.push(record.slice(record.indexOf(';') + 1).trimEnd());
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === 'EAGAIN') return records;
        if (code !== 'EPIPE') throw error; // EPIPE: the record was overwritten meanwhile
      }
    }
  } finally {
    fs.closeSync(fd);
  }
}

/** Waits until a line about an interface is in both logs; returns which log lacks it, or null. */
export async function announced({ netns, iface }: Attached, what: string): Promise<string | null> {
  // Events that come too fast are summarized and logged later: see src/controller/event-log.ts.
  const end = Date.now() + 6000 * SLOW;
  const says = (line: string): boolean => line.includes(`VNET: ${what}`) && line.includes(iface);
  for (;;) {
    const inKernel = kernelLog().some(says);
    const inProduct = cliOk(['log', iface, '--netns', netns]).split('\n').some(says);
    if (inKernel && inProduct) return null;
    if (Date.now() > end) return inKernel ? 'vnet-bpf log' : 'the kernel log';
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
