// SPDX-License-Identifier: MIT
/** What the kernel leaves to a NIC: checksums, and cutting a superpacket into frames. */
import { HeaderOffsets, TRANSPORT_BYTES } from './header-offsets';
import { PROTOCOL } from './protocols';

// The Internet checksum (RFC 1071): a ones' complement sum of 16-bit words. Words are added as the machine has them,
// little end first, two at a time; only the result is turned round.

/** The sum over `bytes[from, to)` on top of `sum`, not yet folded. Exact for more than 64 KiB. */
export function addWords(view: DataView, from: number, to: number, sum = 0): number {
  let at = from;
  for (; at + 4 <= to; at += 4) sum += view.getUint32(at, true);
  if (at + 2 <= to) {
    sum += view.getUint16(at, true);
    at += 2;
  }
  return at < to ? sum + view.getUint8(at) : sum;
}

/** A sum of addWords() as the 16 bits that go into a checksum field, big end first. */
export function finish(sum: number): number {
  let folded = (sum % 0x100000000) + Math.floor(sum / 0x100000000);
  while (folded > 0xffff) folded = (folded % 0x10000) + Math.floor(folded / 0x10000);
  const inverted = ~folded & 0xffff;
  return ((inverted & 0xff) << 8) | (inverted >>> 8);
}

/** A big-endian 16-bit number as addWords() would have added it. */
export const word = (value: number): number => ((value & 0xff) << 8) | (value >>> 8);

export const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/**
 * Ends a checksum that was left to the hardware: the field holds the sum of the pseudo-header
 * already (skb_checksum_help in net/core/dev.c). `start` is where the covered bytes begin and
 * `offset` where in them the field lies. False if it does not lie in the frame.
 */
export function completeChecksum(frame: Uint8Array, start: number, offset: number): boolean {
  const at = start + offset;
  if (at + 2 > frame.length) return false;
  const view = viewOf(frame);
  // 0 means "no checksum" in UDP; 0xffff is the same number in ones' complement.
  view.setUint16(at, finish(addWords(view, start, frame.length)) || 0xffff);
  return true;
}

/**
 * Whether a checksum that was left to the hardware can lie there: in the transport header that the frame has, or in
 * what its headers carry, as with tunnels. A frame made by hand may name an address or a port instead.
 */
export function isChecksumPlace(headers: HeaderOffsets, length: number, start: number, offset: number): boolean {
  const { transport, protocol, payload } = headers;
  if (start + offset + 2 > length) return false;
  if (transport === 0) return start >= payload;
  return start === transport ? offset === CHECKSUM_AT[protocol] : start >= transport + (TRANSPORT_BYTES[protocol] as number);
}

/** The sum of the pseudo-header of an IP packet (RFC 768, RFC 8200). */
export function pseudoHeader(view: DataView, headers: HeaderOffsets, bytes: number): number {
  const addresses = headers.v6 ? addWords(view, headers.ip + 8, headers.ip + 40) : addWords(view, headers.ip + 12, headers.ip + 20);
  return addresses + word(headers.protocol) + word(bytes & 0xffff) + word(bytes >>> 16);
}

/** Where in the header of a transport protocol its checksum lies. */
export const CHECKSUM_AT: Readonly<Record<number, number>> = { [PROTOCOL.tcp]: 16, [PROTOCOL.udp]: 6, [PROTOCOL.icmp]: 2, [PROTOCOL.icmpv6]: 2 };

/**
 * Makes the checksums of a frame right after it was changed: IPv4 header, TCP, UDP, ICMP, ICMPv6.
 * Fragments keep theirs, which cover more than is in the frame. Returns the same bytes.
 */
export function fixChecksums<T extends Uint8Array>(frame: T): T {
  const headers = new HeaderOffsets().find(frame, 0, frame.length);
  const view = viewOf(frame);
  if (headers.ip > 0 && !headers.v6) fixIpv4Header(view, headers.ip, headers.ipPayload);
  const field = CHECKSUM_AT[headers.protocol];
  if (headers.transport === 0 || headers.fragment || field === undefined) return frame;
  const { transport, ipEnd } = headers;
  const at = transport + field;
  if (at + 2 > ipEnd) return frame;
  view.setUint16(at, 0);
  const pseudo = headers.protocol === PROTOCOL.icmp ? 0 : pseudoHeader(view, headers, ipEnd - transport);
  const sum = finish(addWords(view, transport, ipEnd, pseudo));
  view.setUint16(at, headers.protocol === PROTOCOL.udp ? sum || 0xffff : sum);
  return frame;
}

/** Puts the sum of the pseudo-header into the checksum field of TCP or UDP, for somebody else to go on from. */
export function preparePartialChecksum(frame: Uint8Array): void {
  const headers = new HeaderOffsets().find(frame, 0, frame.length);
  const field = CHECKSUM_AT[headers.protocol];
  if (headers.transport === 0 || field === undefined) return;
  const view = viewOf(frame);
  if (!headers.v6) fixIpv4Header(view, headers.ip, headers.ipPayload);
  view.setUint16(headers.transport + field, ~finish(pseudoHeader(view, headers, headers.ipEnd - headers.transport)) & 0xffff);
}

/** The checksum of an IPv4 header that lies in `[ip, end)`. */
export function fixIpv4Header(view: DataView, ip: number, end: number): void {
  view.setUint16(ip + 10, 0);
  view.setUint16(ip + 10, finish(addWords(view, ip, end)));
}
