// SPDX-License-Identifier: MIT
import * as fs from 'node:fs';

/** Random bytes from the kernel. Node's crypto has them, too, but takes 12 ms to load and start. */
export function randomBytes(count: number): Buffer {
  const bytes = Buffer.alloc(count);
  const fd = fs.openSync('/dev/urandom', 'r');
  try {
    fs.readSync(fd, bytes);
  } finally {
    fs.closeSync(fd);
  }
  return bytes;
}
