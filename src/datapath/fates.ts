// SPDX-License-Identifier: MIT
/**
 * What the poller tells a recorder: of each frame that it is done with, its number, what became of it, and when. A
 * ring of one writer and one reader in a BPF array that both map. When it is full, fates are counted as missed: the
 * poller never waits, and allocates nothing.
 *
 *   page 0   head (words told, by the poller) | tail (words read, by the recorder) | missed
 *   pages    slot: u32 number | u32 outcome, detail << 8 | double: CLOCK_MONOTONIC in ns
 */
import * as fs from 'node:fs';

import { BpfMap, MapFlag, MappedMemory, MapType } from 'libbpf-ts';

export const PAGE = 4096;
/** Offsets in the first page, a cache line each. */
export const FATE_HEADER = { head: 0, tail: 64, missed: 128 } as const;
export const SLOT_BYTES = 16;
/** A power of two; at half a million frames a second they last a second. */
export const SLOTS = 1 << 19;

/** What became of a captured frame. `detail` is explained beside each that has one. */
export const FATE = {
  /** Of so many frames that crossed as one packet, itself included. */
  reinjected: 1,
  refusedToolong: 2,
  refusedInvalid: 3,
  refusedDown: 4,
  refusedError: 5,
  /** By a hook: ended; another frame took its place; a superpacket of which so many pieces went on. */
  dropped: 6,
  changed: 7,
  cut: 8,
} as const;

export function createFates(): BpfMap {
  return BpfMap.create({ type: MapType.ARRAY, name: 'fates', keySize: 4, valueSize: PAGE, maxEntries: 1 + (SLOTS * SLOT_BYTES) / PAGE, flags: MapFlag.MMAPABLE });
}

/** CLOCK_MONOTONIC in nanoseconds, less what performance.now() says: that one allocates nothing. */
function clockOffset(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e9 + nanoseconds - performance.now() * 1e6;
}

/** The poller's end. */
export class Fates {
  private readonly words: Uint32Array;
  private readonly doubles: Float64Array;
  private readonly offset = clockOffset();
  private head: number;

  private constructor(private readonly memory: MappedMemory) {
    this.words = new Uint32Array(memory.buffer);
    this.doubles = new Float64Array(memory.buffer);
    this.head = this.words[FATE_HEADER.head >>> 2] as number;
  }

  /** Maps the array and closes the descriptor. Null if it cannot be mapped: then fates are unknown, and the loop goes on. */
  static take(fd: number): Fates | null {
    try {
      return new Fates(MappedMemory.map({ fd, length: PAGE + SLOTS * SLOT_BYTES }));
    } catch {
      return null;
    } finally {
      fs.closeSync(fd);
    }
  }

  /** Now, for note(). */
  now(): number {
    return performance.now() * 1e6 + this.offset;
  }

  /**
   * Notes what became of the frame that left the ring as number `position` of all. Several CPUs may have put theirs
   * there in another order than they took their numbers: `stamp`, the low half of it, says which it is.
   */
  note(position: number, stamp: number, outcome: number, detail: number, time: number): void {
    const { words } = this;
    if ((this.head - Atomics.load(words, FATE_HEADER.tail >>> 2)) >>> 0 >= SLOTS) {
      words[FATE_HEADER.missed >>> 2] = (words[FATE_HEADER.missed >>> 2] as number) + 1;
      return;
    }
    const slot = PAGE + (this.head & (SLOTS - 1)) * SLOT_BYTES;
    words[slot >>> 2] = position + (((stamp - position) << 16) >> 16);
    words[(slot >>> 2) + 1] = (detail << 8) | outcome;
    this.doubles[(slot >>> 3) + 1] = time;
    this.head = (this.head + 1) >>> 0;
  }

  /** Makes what was noted known; before the frames are counted as drained. */
  publish(): void {
    Atomics.store(this.words, FATE_HEADER.head >>> 2, this.head);
  }

  close(): void {
    this.memory.close();
  }
}

/** Puts a descriptor into the word through which a poll loop gets one, 0 for none; what it has not taken is closed. */
export function handOver(command: Int32Array, word: number, fd: number): void {
  const untaken = Atomics.exchange(command, word, fd);
  if (untaken > 0) fs.closeSync(untaken);
}

/** In that word: the loop has taken the descriptor, and tells. */
export const TAKEN = -1;
