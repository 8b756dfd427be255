// SPDX-License-Identifier: MIT
/**
 * Objects of libbpf that are open, by thread, in memory of the process: when a worker is terminated, nothing runs in it
 * any more, and what libbpf holds for it, descriptors of maps and programs among it, would stay until the process ends.
 */
import { existsSync, readlinkSync } from 'node:fs';

import type { Address } from './native/ffi';
import { libbpf } from './native/libbpf';
import { LAYOUT, processMemory } from './native/process-memory';

const { at: AT, number: ENTRIES, size: SIZE } = LAYOUT.objects;
const WORDS = SIZE / 8;

/** Pairs of a thread's number and an object's address; 0 where an entry is free. */
let table: BigUint64Array | undefined;
let self = 0n;

function open(): BigUint64Array | undefined {
  if (table) return table;
  const memory = processMemory();
  if (!memory) return undefined;
  try {
    // `PID/task/TID`
    self = BigInt(readlinkSync('/proc/thread-self').split('/')[2]!);
  } catch {
    return undefined;
  }
  return (table = new BigUint64Array(memory.data, AT, ENTRIES * WORDS));
}

/** Notes an object of this thread. Objects beyond the last entry are not noted. */
export function noteObject(handle: Address): void {
  const entries = open();
  if (!entries) return;
  for (let at = 0; at < entries.length; at += WORDS) {
    if (Atomics.compareExchange(entries, at, 0n, self) !== 0n) continue;
    Atomics.store(entries, at + 1, BigInt(handle));
    return;
  }
}

/** Forgets an object, which is about to be closed. */
export function forgetObject(handle: Address): void {
  const entries = open();
  if (!entries) return;
  for (let at = 0; at < entries.length; at += WORDS) {
    if (entries[at] !== self || entries[at + 1] !== BigInt(handle)) continue;
    Atomics.store(entries, at + 1, 0n);
    Atomics.store(entries, at, 0n);
    return;
  }
}

/** Closes what threads have left that are gone. */
export function closeLeftObjects(): void {
  const entries = open();
  if (!entries) return;
  for (let at = 0; at < entries.length; at += WORDS) {
    const thread = Atomics.load(entries, at);
    if (thread === 0n || thread === self || existsSync(`/proc/self/task/${thread}`)) continue;
    if (Atomics.compareExchange(entries, at, thread, self) !== thread) continue;
    const handle = Number(Atomics.exchange(entries, at + 1, 0n));
    Atomics.store(entries, at, 0n);
    if (handle !== 0) libbpf.bpf_object__close(handle);
  }
}
