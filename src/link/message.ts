// SPDX-License-Identifier: MIT
/** Writes what rtnetlink is told: structures and attributes, each padded to four bytes. */

const concat = (parts: readonly Uint8Array[]): Uint8Array => Uint8Array.from(Buffer.concat(parts));

/** A body: the structure of its kind, then attributes. */
export const message = (...parts: readonly Uint8Array[]): Uint8Array => concat(parts);

/** struct rtattr and what follows it: a value, or other attributes. */
export function attribute(type: number, ...content: readonly Uint8Array[]): Uint8Array {
  const length = 4 + content.reduce((sum, { length }) => sum + length, 0);
  const header = new Uint8Array(4);
  new DataView(header.buffer).setUint16(0, length, true);
  new DataView(header.buffer).setUint16(2, type, true);
  return concat([header, ...content, new Uint8Array(-length & 3)]);
}

/** An attribute that holds text, with its final zero. */
export const textAttribute = (type: number, text: string): Uint8Array => attribute(type, Buffer.from(`${text}\0`));

/** An attribute that holds a u32, or an int. */
export function numberAttribute(type: number, value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value >>> 0, true);
  return attribute(type, bytes);
}
