// SPDX-License-Identifier: MIT
/**
 * Memory that all threads of the process share, workers of Node included, without having been told of it: it lies at an
 * address that all know. The first thread that needs it makes it, the others find it, and it outlives every thread.
 */
import { closeSync, openSync, readSync } from 'node:fs';

import { type Address, lastErrno, libc, viewMemory } from './ffi';

/** Below 2^38, as arm64 with 39-bit addresses requires. */
const CODE: Address = 0x20_6c62_0000;
/** The largest page. */
const CODE_LENGTH = 0x1_0000;

/** Where data begins; the assembly of the collector knows the address, too. */
const DATA: Address = CODE + CODE_LENGTH;

/** Bytes from {@link DATA} on. `calls` are two functions of libc, for the collector. */
export const LAYOUT = {
  magic: 0,
  count: 8,
  calls: 16,
  messages: { at: 64, number: 256, size: 1024 },
  objects: { at: 64 + 256 * 1024, number: 1024, size: 16 },
} as const;

const DATA_LENGTH = LAYOUT.objects.at + LAYOUT.objects.number * LAYOUT.objects.size;

/** "libbpf" and the number of the layout: another version of this package in the same process must have the same. */
const MAGIC = 0x6c69_6262_7066_0001n;

const PROT_READ = 1;
const PROT_WRITE = 2;
const PROT_EXEC = 4;
const MAP_PRIVATE = 0x02;
const MAP_ANONYMOUS = 0x20;
const MAP_FIXED_NOREPLACE = 0x10_0000;
const EEXIST = 17;
/** How long to wait for the thread that makes the memory, in milliseconds. */
const MAKING_MS = 50;

export interface ProcessMemory {
  readonly data: ArrayBuffer;
  /** Where the collector's code is; 0 if it could not be made executable. */
  readonly code: Address;
}

/** What the first thread writes into the memory before others see it. */
export interface Contents {
  readonly code: Uint8Array;
  readonly calls: readonly bigint[];
}

type Made = 'made' | 'taken' | 'impossible';

const FLAGS = { executable: 1n } as const;

function make({ code, calls }: Contents): Made {
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
  const address = libc.mmap(CODE, CODE_LENGTH + DATA_LENGTH, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (address === -1) return lastErrno() === EEXIST ? 'taken' : 'impossible';
  if (address !== CODE) {
    // Before Linux 4.17 the address is a mere wish.
    libc.munmap(address, CODE_LENGTH + DATA_LENGTH);
    return 'impossible';
  }
  new Uint8Array(viewMemory(CODE, CODE_LENGTH)).set(code);
  const words = new BigUint64Array(viewMemory(DATA, LAYOUT.messages.at));
  words.set(calls, LAYOUT.calls / 8);
  // A page is never writable and executable at once.
  const executable = code.length > 0 && libc.mprotect(CODE, CODE_LENGTH, PROT_READ | PROT_EXEC) === 0;
  words[words.length - 1] = executable ? FLAGS.executable : 0n;
  Atomics.store(words, LAYOUT.magic / 8, MAGIC);
  return 'made';
}

/** Whether another thread has made the memory. Reads through the kernel: the address may be anything's. */
function isThere(): boolean {
  const word = new BigUint64Array(1);
  const never = new Int32Array(new SharedArrayBuffer(4));
  try {
    const memory = openSync('/proc/self/mem', 'r');
    try {
      for (let waited = 0; waited < MAKING_MS; waited++) {
        if (readSync(memory, word, 0, 8, DATA + LAYOUT.magic) === 8 && word[0] === MAGIC) return true;
        Atomics.wait(never, 0, 0, 1);
      }
    } finally {
      closeSync(memory);
    }
  } catch {
    // No /proc, or memory that cannot be read.
  }
  return false;
}

let known: ProcessMemory | undefined | null = null;

/** The memory; undefined where there can be none. */
export function processMemory(contents?: Contents): ProcessMemory | undefined {
  if (known === null && contents) {
    const made = make(contents);
    if (made === 'impossible' || (made === 'taken' && !isThere())) return (known = undefined);
    const data = viewMemory(DATA, DATA_LENGTH);
    const flags = new BigUint64Array(data, 0, LAYOUT.messages.at / 8).at(-1)!;
    known = { data, code: (flags & FLAGS.executable) !== 0n ? CODE : 0 };
  }
  return known ?? undefined;
}
