// SPDX-License-Identifier: MIT
/** The kernel's warnings while a test runs. */
import * as fs from 'node:fs';

const RECORD_BYTES = 8192;
const COMPLAINT =
  /\bWARNING\b|\bBUG\b|\bOops\b|Call Trace|general protection|refcount_t|KASAN|lockup|bad offload|suspicious RCU/i;

interface KernelRecord {
  sequence: number;
  text: string;
}

/** Records in the kernel log now: `priority,sequence,microseconds,flags;text`, one with each read(2). */
function records(): KernelRecord[] {
  const fd = fs.openSync('/dev/kmsg', fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  const buffer = Buffer.alloc(RECORD_BYTES);
  const found: KernelRecord[] = [];
  try {
    for (;;) {
      try {
        const record = buffer.toString('utf8', 0, fs.readSync(fd, buffer));
        const [head = '', ...text] = record.split(';');
        found.push({ sequence: Number(head.split(',')[1]), text: text.join(';').trimEnd() });
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === 'EAGAIN') return found;
        if (code !== 'EPIPE') throw error; // EPIPE: the record was overwritten meanwhile
      }
    }
  } finally {
    fs.closeSync(fd);
  }
}

/** Begins to watch; the returned function gives the warnings since then, with the lines after them. */
export function watchKernelWarnings(): () => string[] {
  const start = records().at(-1)?.sequence ?? -1;
  return () => {
    const since = records().filter(({ sequence }) => sequence > start);
    const first = since.findIndex(({ text }) => COMPLAINT.test(text));
    return first < 0 ? [] : since.slice(first, first + 30).map(({ text }) => text);
  };
}
