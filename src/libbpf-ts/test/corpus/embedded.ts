// SPDX-License-Identifier: MIT
/** BPF objects in other files: tools that bring theirs along contain them as bytes. */

const ELF64 = Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2]);
const EM_BPF = 247;
const HEADER_SIZE = 64;

/** The length of an ELF file of BPF that begins at an offset: its section headers are its end. 0 if there is none. */
function lengthAt(bytes: Buffer, offset: number): number {
  const header = bytes.subarray(offset, offset + HEADER_SIZE);
  if (header.length < HEADER_SIZE) return 0;
  const little = header[5] === 1;
  const u16 = (at: number): number => (little ? header.readUInt16LE(at) : header.readUInt16BE(at));
  if (u16(18) !== EM_BPF) return 0;
  const table = Number(little ? header.readBigUInt64LE(40) : header.readBigUInt64BE(40));
  const length = table + u16(58) * u16(60);
  return offset + length <= bytes.length ? length : 0;
}

/** The objects in a file: itself, or those that it contains. */
export function objectsInside(bytes: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = bytes.indexOf(ELF64); at >= 0; at = bytes.indexOf(ELF64, at)) {
    const length = lengthAt(bytes, at);
    if (length > 0) found.push(bytes.subarray(at, at + length));
    at += Math.max(length, 1);
  }
  return found;
}
