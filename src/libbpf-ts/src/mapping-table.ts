// SPDX-License-Identifier: MIT
/**
 * Mappings outlive the thread that made them: a thread that ends, or is ended, leaves them to the process. So a thread
 * can write its mappings down in shared memory, and the thread that started it gives back what is left.
 */
import { libc } from './native/libc';

/** Address and length, both 0 where an entry is free. */
const ENTRY_WORDS = 2;
const ENTRIES = 1024;

/** This thread's table; mappings beyond its last entry are not written down. */
let table: Float64Array | undefined;

/** A table for {@link trackMappings}. */
export function newMappingTable(): SharedArrayBuffer {
  return new SharedArrayBuffer(ENTRIES * ENTRY_WORDS * Float64Array.BYTES_PER_ELEMENT);
}

/** Writes down every {@link MappedMemory} of this thread from now on. */
export function trackMappings(shared: SharedArrayBuffer): void {
  table = new Float64Array(shared);
}

/** Unmaps what a thread has left behind; it must have ended. */
export function releaseMappings(shared: SharedArrayBuffer): void {
  const left = new Float64Array(shared);
  for (let at = 0; at < left.length; at += ENTRY_WORDS) {
    const [address, length] = [left[at] as number, left[at + 1] as number];
    left[at] = left[at + 1] = 0;
    if (length > 0) libc.munmap(address, length);
  }
}

export function noteMapped(address: number, length: number): void {
  if (!table) return;
  for (let at = 0; at < table.length; at += ENTRY_WORDS) {
    if (table[at + 1] !== 0) continue;
    table[at] = address;
    table[at + 1] = length;
    return;
  }
}

export function noteUnmapped(address: number): void {
  if (!table) return;
  for (let at = 0; at < table.length; at += ENTRY_WORDS) {
    if (table[at + 1] === 0 || table[at] !== address) continue;
    table[at + 1] = 0;
    return;
  }
}
