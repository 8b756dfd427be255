// SPDX-License-Identifier: MIT
import * as fs from 'node:fs';

/** As many as teardown has open at once: locks, namespaces, and a socket or a directory. */
const SPARE = 12;

/** Descriptors that are kept back, so that there are enough to undo what failed for want of them. */
export class SpareDescriptors implements Disposable {
  private readonly fds: number[] = [];

  /**
   * Throws if there are fewer than those and `needed` more: then nothing is begun. Not every step could say that it was
   * this that it lacked: libbpf takes it for a kernel without some feature.
   */
  constructor(needed: number) {
    try {
      while (this.fds.length < SPARE + needed) this.fds.push(fs.openSync('/dev/null', 'r'));
    } catch (error) {
      this.close();
      throw error;
    }
    for (const fd of this.fds.splice(SPARE)) fs.closeSync(fd);
  }

  close(): void {
    for (const fd of this.fds.splice(0)) fs.closeSync(fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
