// SPDX-License-Identifier: MIT
/**
 * Damages object files and opens and loads each, as a process of its own:
 *
 *     node mutants.js FIRST COUNT OBJECT...
 *
 * Writes the number of each mutant before it is tried, so that whoever has started it knows which one has ended the
 * process. What is thrown for a damaged file has to be a BpfError.
 */
import { readFileSync, writeSync } from 'node:fs';

import { BpfError, BpfObject, declarationsOf } from '../../src/index';
import { Elf, type ElfSection } from '../../src/elf';

/** A sequence of numbers from 0 to 2^32 that depends on the seed alone (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

/** The parts of a file that libbpf reads with most trust, before all else. */
const FAVOURED = /^\.(?:BTF|BTF\.ext|maps|symtab|strtab|rel.*|ksyms|kconfig)$/;

/** Values at the limits of lengths, offsets and signs. */
const LIMITS = [
  0, 1, 2, 3, 4, 7, 8, 0xff, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff,
];

interface Original {
  readonly bytes: Buffer;
  readonly sections: readonly ElfSection[];
}

/** A damaged copy; the same for the same number. */
export function mutant(originals: readonly Original[], number: number): Buffer {
  const random = randomFrom(number);
  const below = (limit: number): number => random() % Math.max(1, limit);
  const { bytes, sections } = originals[below(originals.length)]!;
  const copy = Buffer.from(bytes);
  const favoured = sections.filter(({ name }) => FAVOURED.test(name));
  for (let changes = 1 + below(4); changes > 0; changes--) {
    const where = below(10);
    let [start, length] = [0, copy.length];
    if (where < 7) {
      const section = (where < 6 ? favoured : sections)[below(where < 6 ? favoured.length : sections.length)]!;
      if (section.type !== 8 && section.size > 0) [start, length] = [section.offset, section.size];
    } else if (where === 7) {
      // Headers of sections.
      start = Number(copy.readBigUInt64LE(40));
      length = Math.max(1, Math.min(copy.length - start, sections.length * 64));
      if (start >= copy.length) [start, length] = [0, 64];
    } else if (where === 8) length = 64;
    // Headers come first in a section, too.
    const at = start + below(below(3) === 0 ? Math.min(length, 64) : length);
    const word = Math.min(at & ~3, copy.length - 4);
    switch (below(5)) {
      case 0:
        copy[at]! ^= 1 << below(8);
        break;
      case 1:
        copy[at] = below(256);
        break;
      case 2:
        copy.writeUInt32LE(LIMITS[below(LIMITS.length)]!, word);
        break;
      case 3:
        copy.writeUInt32LE((copy.readUInt32LE(word) + below(9) - 4) >>> 0, word);
        break;
      default:
        // Another word of the file: ids of other types, offsets of other strings.
        copy.writeUInt32LE(copy.readUInt32LE(below(copy.length >> 2) * 4), word);
    }
  }
  return below(50) === 0 ? copy.subarray(0, below(copy.length)) : copy;
}

const OUTCOMES = { loaded: 0, refused: 0, unreadable: 0 };

function attempt(image: Uint8Array): keyof typeof OUTCOMES {
  let outcome: keyof typeof OUTCOMES = 'unreadable';
  try {
    using object = BpfObject.open(image);
    outcome = 'refused';
    try {
      declarationsOf(object.btf, 'mutant');
    } catch (error) {
      if (!(error instanceof BpfError)) throw error;
    }
    object.load();
    outcome = 'loaded';
    for (const name of object.mapNames) object.map(name).close();
  } catch (error) {
    if (!(error instanceof BpfError)) throw error;
  }
  return outcome;
}

function main([first, count, ...paths]: readonly string[]): void {
  const originals = paths.map((path) => {
    const bytes = readFileSync(path);
    return { bytes, sections: new Elf(bytes, path).sections };
  });
  for (let i = 0; i < Number(count); i++) {
    const number = Number(first) + i;
    writeSync(1, `${number}\n`);
    OUTCOMES[attempt(mutant(originals, number))]++;
  }
  writeSync(1, `${JSON.stringify(OUTCOMES)}\n`);
}

if (require.main === module) main(process.argv.slice(2));
