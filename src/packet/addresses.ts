// SPDX-License-Identifier: MIT
/** Ethernet and IP addresses, as bytes in a frame and as text. */
import * as net from 'node:net';

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** The six bytes at `at` as text: 02:00:00:00:00:01. */
export function macText(bytes: Uint8Array, at: number): string {
  let text = HEX[bytes[at] as number] as string;
  for (let i = 1; i < 6; i++) text += `:${HEX[bytes[at + i] as number] as string}`;
  return text;
}

/** The four bytes at `at` as text: 192.168.100.1. */
export const ipv4Text = (bytes: Uint8Array, at: number): string =>
  `${bytes[at] as number}.${bytes[at + 1] as number}.${bytes[at + 2] as number}.${bytes[at + 3] as number}`;

/** The sixteen bytes at `at` as text in its shortest form (RFC 5952): fd00::1. */
export function ipv6Text(bytes: Uint8Array, at: number): string {
  const groups = Array.from(
    { length: 8 },
    (_, i) => ((bytes[at + 2 * i] as number) << 8) | (bytes[at + 2 * i + 1] as number),
  );
  let [from, length] = [-1, 1]; // a single zero group is not shortened
  for (let i = 0; i < 8; i++) {
    let run = 0;
    while (i + run < 8 && groups[i + run] === 0) run++;
    if (run > length) [from, length] = [i, run];
  }
  const hex = groups.map((group) => group.toString(16));
  return from < 0 ? hex.join(':') : `${hex.slice(0, from).join(':')}::${hex.slice(from + length).join(':')}`;
}

/** The six bytes of a text such as 02:00:00:00:00:01. Throws a RangeError for anything else. */
export function macBytes(text: string): Uint8Array {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) throw new RangeError(`"${text}" is not an Ethernet address`);
  return Uint8Array.from(text.split(':'), (byte) => parseInt(byte, 16));
}

/** The four bytes of a text such as 192.168.100.1. Throws a RangeError for anything else. */
export function ipv4Bytes(text: string): Uint8Array {
  if (!net.isIPv4(text)) throw new RangeError(`"${text}" is not an IPv4 address`);
  return Uint8Array.from(text.split('.'), Number);
}

/** The sixteen bytes of a text such as fd00::1. Throws a RangeError for anything else. */
export function ipv6Bytes(text: string): Uint8Array {
  if (!net.isIPv6(text) || text.includes('%')) throw new RangeError(`"${text}" is not an IPv6 address`);
  const [head = '', tail] = text.split('::') as [string, string | undefined];
  const first = groupsOf(head);
  const last = tail === undefined ? [] : groupsOf(tail);
  return Uint8Array.from([...first, ...Array<number>(16 - first.length - last.length).fill(0), ...last]);
}

/** The bytes of a part without `::`; its last group may be an IPv4 address. */
function groupsOf(part: string): number[] {
  if (part === '') return [];
  return part.split(':').flatMap((group) => {
    if (group.includes('.')) return [...ipv4Bytes(group)];
    const value = parseInt(group, 16);
    return [value >>> 8, value & 0xff];
  });
}
