// SPDX-License-Identifier: MIT
/** A DNS server in a function (RFC 1035): every name has the same two addresses. */
import { ipv4Bytes, ipv6Bytes } from 'vnet-bpf/hooks';

const HEADER_BYTES = 12;
const TYPE = { a: 1, aaaa: 28 } as const;
const CLASS_IN = 1;
const FLAGS = 0x8400; // a response, with authority
const RECURSION_DESIRED = 0x0100;
const TTL_SECONDS = 60;
const POINTER_TO_QUESTION = 0xc000 | HEADER_BYTES;

/** The response to a query with one question; null for anything else. */
export function dnsAnswer(query: Uint8Array, { v4, v6 }: { v4: string; v6: string }): Uint8Array | null {
  const view = new DataView(query.buffer, query.byteOffset, query.byteLength);
  if (query.length < HEADER_BYTES || (view.getUint16(2) & 0x8000) !== 0 || view.getUint16(4) !== 1) return null;
  const end = endOfName(query, HEADER_BYTES) + 4;
  if (end > query.length) return null;
  const [type, class_] = [view.getUint16(end - 4), view.getUint16(end - 2)];
  const address =
    class_ !== CLASS_IN ? null : type === TYPE.a ? ipv4Bytes(v4) : type === TYPE.aaaa ? ipv6Bytes(v6) : null;
  const record = address
    ? [
        ...u16(POINTER_TO_QUESTION),
        ...u16(type),
        ...u16(class_),
        0,
        0,
        ...u16(TTL_SECONDS),
        ...u16(address.length),
        ...address,
      ]
    : [];
  const header = [
    ...u16(view.getUint16(0)),
    ...u16(FLAGS | (view.getUint16(2) & RECURSION_DESIRED)),
    0,
    1,
    0,
    address ? 1 : 0,
    0,
    0,
    0,
    0,
  ];
  return Uint8Array.from([...header, ...query.subarray(HEADER_BYTES, end), ...record]);
}

/** The offset after a name: its labels, and the zero that ends them. */
function endOfName(query: Uint8Array, from: number): number {
  let at = from;
  while (at < query.length && query[at] !== 0) at += 1 + (query[at] as number);
  return at + 1;
}

const u16 = (value: number): [number, number] => [value >>> 8, value & 0xff];
