// SPDX-License-Identifier: MIT
/** The recorder's end of src/datapath/fates.ts. */
import type { MappedMemory } from 'libbpf-ts';

import { FATE_HEADER, mapFates, PAGE, SLOT_BYTES } from '../datapath/fates';

/** `number` is cut to 32 bits; `time` is CLOCK_MONOTONIC in ns. */
export type FateListener = (number: number, fate: number, detail: number, time: number) => void;

export class FateReader implements Disposable {
  private readonly memory: MappedMemory;
  private readonly words: Uint32Array;
  private readonly doubles: Float64Array;
  private readonly slots: number;
  private tail: number;

  constructor(fates: { fd: number }) {
    this.memory = mapFates(fates.fd);
    this.words = new Uint32Array(this.memory.buffer);
    this.doubles = new Float64Array(this.memory.buffer);
    this.slots = this.words[FATE_HEADER.slots >>> 2] as number;
    this.tail = this.words[FATE_HEADER.tail >>> 2] as number;
  }

  /** How far they have been written. */
  get written(): number {
    return Atomics.load(this.words, FATE_HEADER.head >>> 2);
  }

  /** Fates that found no place. */
  get missed(): number {
    return Atomics.load(this.words, FATE_HEADER.missed >>> 2);
  }

  /** Hands on those up to there. */
  takeUntil(written: number, listener: FateListener): number {
    const { words, doubles } = this;
    const count = (written - this.tail) >>> 0;
    for (let i = 0; i < count; i++) {
      const slot = PAGE + ((this.tail + i) & (this.slots - 1)) * SLOT_BYTES;
      const what = words[(slot >>> 2) + 1] as number;
      listener(words[slot >>> 2] as number, what & 0xff, what >>> 8, doubles[(slot >>> 3) + 1] as number);
    }
    this.tail = written;
    Atomics.store(words, FATE_HEADER.tail >>> 2, written);
    return count;
  }

  close(): void {
    this.memory.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
