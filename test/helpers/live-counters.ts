// SPDX-License-Identifier: MIT
/** The counters of an attachment, mapped into memory: a reading costs nothing and starts no process. */
import * as path from 'node:path';

import { BpfMap, MappedMemory } from 'libbpf-ts';
import type { Test } from 'tap';

import { GATE_STOPPED, heldFrames } from '../../src/datapath/queue-gate';
import { SharedWords } from '../../src/datapath/shared-memory';
import { CONTROL } from '../../src/layout';
import { pinDirectory } from '../../src/state/bpffs';
import { attachmentOf, SLOW, type Attached } from './cli';

export class LiveCounters {
  private readonly map: BpfMap;
  private readonly memory: MappedMemory;
  private readonly words: SharedWords;

  /** Maps the counters of one queue until the test ends. They keep counting through a crash and an adoption. */
  constructor(t: Test, nic: Attached, queue = 0) {
    this.map = BpfMap.openPinned(path.join(pinDirectory(attachmentOf(nic).id), 'control'));
    this.memory = MappedMemory.map({ fd: this.map.fd, length: (queue + 1) * CONTROL.size });
    this.words = new SharedWords(this.memory.buffer, queue * CONTROL.size, CONTROL.size);
    t.teardown(() => {
      this.memory.close();
      this.map.close();
    });
  }

  get(counter: keyof typeof CONTROL): number {
    return this.words.get64(CONTROL[counter]);
  }

  get held(): number {
    return heldFrames(this.words).now;
  }

  get stopped(): boolean {
    return (this.words.get32(CONTROL.gate) & GATE_STOPPED) !== 0;
  }

  /** Frames in the ring. */
  get queued(): number {
    return this.get('captured') - this.get('drained');
  }

  /** Waits until a condition holds; returns false if the time is up. */
  async until(what: () => boolean, ms: number): Promise<boolean> {
    for (const end = Date.now() + ms * SLOW; !what();) {
      if (Date.now() > end) return false;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return true;
  }
}
