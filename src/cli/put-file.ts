// SPDX-License-Identifier: MIT
/** What is installed: by `extcap --install`, and by `completion --install`. */
import * as fs from 'node:fs';

/** Puts a file in the place of the one before; a link of that name is not followed. */
export function putFile(file: string, text: string, mode: number): void {
  const made = `${file}.${process.pid}`;
  const fd = fs.openSync(made, 'wx', mode);
  try {
    fs.writeFileSync(fd, text);
    fs.fchmodSync(fd, mode);
    fs.renameSync(made, file);
  } catch (error) {
    fs.rmSync(made, { force: true });
    throw error;
  } finally {
    fs.closeSync(fd);
  }
}
