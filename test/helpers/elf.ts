// SPDX-License-Identifier: MIT
/** Finds a section of a 64-bit little-endian ELF file; see elf(5). */

/** Offsets in Elf64_Ehdr and Elf64_Shdr. */
const HEADER = { sectionsAt: 40, sectionSize: 58, sections: 60, namesSection: 62 } as const;
const SECTION = { name: 0, offset: 24, size: 32 } as const;

export interface Section {
  /** Bytes from the start of the file. */
  offset: number;
  size: number;
}

export function sectionOf(file: Buffer, wanted: string): Section {
  const first = Number(file.readBigUInt64LE(HEADER.sectionsAt));
  const header = (index: number): number => first + index * file.readUInt16LE(HEADER.sectionSize);
  const names = Number(file.readBigUInt64LE(header(file.readUInt16LE(HEADER.namesSection)) + SECTION.offset));
  for (let i = 0; i < file.readUInt16LE(HEADER.sections); i++) {
    const at = header(i);
    const name = names + file.readUInt32LE(at + SECTION.name);
    if (file.toString('latin1', name, file.indexOf(0, name)) !== wanted) continue;
    return {
      offset: Number(file.readBigUInt64LE(at + SECTION.offset)),
      size: Number(file.readBigUInt64LE(at + SECTION.size)),
    };
  }
  throw new Error(`there is no section ${wanted}`);
}
