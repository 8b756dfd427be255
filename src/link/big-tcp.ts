// SPDX-License-Identifier: MIT
/**
 * BIG TCP: superpackets of TCP over IPv4 with more bytes than the length field of the IP header can
 * say; it is 0 then (iph_totlen in include/linux/ip.h). Much of what a superpacket costs on its way
 * round does not depend on its size, so four times as large ones make TCP a third faster or more.
 *
 * An interface that transmits one has to allow it, or the kernel cuts it up (gso_features_check in
 * net/core/dev.c): vnet0, the peer on the way back, and the waiting room in between. TCP over IPv6
 * stays at 64 KiB: of larger ones, which have a hop-by-hop header, hardly any came back (Linux 6.18).
 */
import { passesBigTcp } from '../kernel-features';
import { setNumbers, type LinkNumbers, type LinkSettings } from './links';

/** The largest superpacket of anything but TCP over IPv4, and of a kernel without BIG TCP; bytes. */
export const SUPERPACKET_BYTES = 64 << 10;
/** The longest frame that libpcap and Wireshark read (MAXIMUM_SNAPLEN, WTAP_MAX_PACKET_SIZE_STANDARD). */
const BIG_TCP_BYTES = 256 << 10;
/** A ring for fewer of them is full with a single burst. */
const SUPERPACKETS_IN_RING = 16;

/** The largest superpacket of TCP over IPv4 that an interface with such a ring is to transmit; bytes. */
export function superpacketBytesOf(backend: 'veth' | 'dummy', ringBytes: number): number {
  if (backend !== 'veth' || !passesBigTcp()) return SUPERPACKET_BYTES;
  return Math.max(SUPERPACKET_BYTES, Math.min(BIG_TCP_BYTES, ringBytes / SUPERPACKETS_IN_RING));
}

/** What the interfaces of the loop are made with; nothing where the kernel's default is enough. */
export const bigTcp = (superpacketBytes: number): { gsoIpv4MaxSize?: number } =>
  superpacketBytes > SUPERPACKET_BYTES ? { gsoIpv4MaxSize: superpacketBytes } : {};

/** The same for an interface that takes its limits from another one when it is made. */
export function allowBigTcp(ifindex: number, superpacketBytes: number): void {
  const numbers = bigTcp(superpacketBytes);
  if (numbers.gsoIpv4MaxSize !== undefined) setNumbers(ifindex, numbers);
}

/** What has to be set so that an interface's limits are not above what the loop carries; null if they are not. Lower ones are the user's to set. */
export function loopableLimits({ gsoMaxSize, gsoIpv4MaxSize }: LinkSettings, superpacketBytes: number): LinkNumbers | null {
  if (gsoMaxSize <= SUPERPACKET_BYTES && (gsoIpv4MaxSize ?? 0) <= superpacketBytes) return null;
  const size = Math.min(gsoMaxSize, SUPERPACKET_BYTES);
  return { gsoMaxSize: size, ...(gsoIpv4MaxSize === null ? {} : { gsoIpv4MaxSize: Math.min(gsoIpv4MaxSize, superpacketBytes) }) };
}
