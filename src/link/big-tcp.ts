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
import { IFLA, ifinfo, RTM_NEWLINK } from './links';
import { message, numberAttribute } from './message';
import { change } from './rtnetlink';

const SUPERPACKET_BYTES = 64 << 10;
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
  const { gsoIpv4MaxSize } = bigTcp(superpacketBytes);
  if (gsoIpv4MaxSize !== undefined) change(RTM_NEWLINK, message(ifinfo({ ifindex }), numberAttribute(IFLA.GSO_IPV4_MAX_SIZE, gsoIpv4MaxSize)));
}
