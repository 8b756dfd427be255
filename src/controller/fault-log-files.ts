// SPDX-License-Identifier: MIT
/** The files of an attachment's log of faults, which the thread with the faults writes. */
import * as fs from 'node:fs';

import { faultLogFiles } from '../state/store';

const { O_WRONLY, O_CREAT, O_APPEND, O_NOFOLLOW } = fs.constants;

export class FaultLogFiles {
  private fds: number[] | null = null;

  constructor(private readonly id: string) {}

  /** The descriptors, opened when they are first needed. Throws what open(2) says. */
  open(): readonly number[] {
    return (this.fds ??= faultLogFiles(this.id).map((file) =>
      fs.openSync(file, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0o600),
    ));
  }

  close(): void {
    for (const fd of this.fds ?? []) fs.closeSync(fd);
    this.fds = null;
  }
}
