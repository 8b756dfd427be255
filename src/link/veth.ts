// SPDX-License-Identifier: MIT
/**
 * The veth back end: vnet0 in the user's namespace, its other end in the peer namespace, and how large its packets may
 * be.
 */
import * as fs from 'node:fs';

import { exhaustion, HINTS, VnetError } from '../errors';
import { SystemError } from '../native/libc';
import { randomBytes } from '../native/random';
import { MAX_MTU } from '../options/values';
import { passesBigTcp } from '../requirements';
import { addVeth, type Link, linkByName, type LinkNumbers, type LinkSettings, setNumbers, setUp } from './links';
import type { Netns } from './netns';

/**
 * The error for a change that the kernel refused. The errno `missing` means that the kernel lacks something: `lack`
 * says what, and `fix` how to get it.
 */
export function refused(what: string, cause: unknown, missing: string, lack: string, fix: string): unknown {
  if (!(cause instanceof SystemError)) return cause;
  const exhausted = exhaustion(cause, what);
  if (exhausted) return exhausted;
  const isMissing = cause.code === missing;
  return new VnetError('COMMAND_FAILED', what, isMissing ? lack : `the kernel refuses it (${cause.code})`, {
    hint: isMissing ? fix : HINTS.doctor,
    cause,
  });
}

// BIG TCP: superpackets of TCP over IPv4 with more bytes than the length field of the IP header can hold; the field is
// 0 then (iph_totlen in include/linux/ip.h). Much of what a superpacket costs on its way round does not depend on its
// size, so superpackets of four times the size make TCP a third faster or more.
//
// An interface that transmits one has to allow it, or the kernel segments it (gso_features_check in net/core/dev.c):
// vnet0, the peer on the reinject path, and the waiting room in between. TCP over IPv6 stays at 64 KiB: of larger
// superpackets, which have a hop-by-hop header, hardly any came back (Linux 6.18).

/** The largest superpacket of anything but TCP over IPv4, and of a kernel without BIG TCP, in bytes. */
export const SUPERPACKET_BYTES = 64 << 10;
/** The longest frame that libpcap and Wireshark read, in bytes (MAXIMUM_SNAPLEN, WTAP_MAX_PACKET_SIZE_STANDARD). */
const BIG_TCP_BYTES = 256 << 10;
/** The least number of superpackets that a ring has to hold: a smaller one is full with a single burst. */
const SUPERPACKETS_IN_RING = 16;

/** The largest superpacket of TCP over IPv4 that an interface with such a ring is to transmit, in bytes. */
export function superpacketBytesOf(backend: 'veth' | 'dummy', ringBytes: number): number {
  if (backend !== 'veth' || !passesBigTcp()) return SUPERPACKET_BYTES;
  return Math.max(SUPERPACKET_BYTES, Math.min(BIG_TCP_BYTES, ringBytes / SUPERPACKETS_IN_RING));
}

/** The limits with which the interfaces of the loop are made; empty if the kernel's defaults are enough. */
export const bigTcp = (superpacketBytes: number): { gsoIpv4MaxSize?: number } =>
  superpacketBytes > SUPERPACKET_BYTES ? { gsoIpv4MaxSize: superpacketBytes } : {};

/** Sets the same limits on an interface that takes its own from another one when it is made. */
export function allowBigTcp(ifindex: number, superpacketBytes: number): void {
  const numbers = bigTcp(superpacketBytes);
  if (numbers.gsoIpv4MaxSize !== undefined) setNumbers(ifindex, numbers);
}

/**
 * The settings that lower an interface's limits to what the loop carries; null if they are not above that. Lower limits
 * are the user's to set.
 */
export function loopableLimits(
  { gsoMaxSize, gsoIpv4MaxSize }: LinkSettings,
  superpacketBytes: number,
): LinkNumbers | null {
  if (gsoMaxSize <= SUPERPACKET_BYTES && (gsoIpv4MaxSize ?? 0) <= superpacketBytes) return null;
  const size = Math.min(gsoMaxSize, SUPERPACKET_BYTES);
  return {
    gsoMaxSize: size,
    ...(gsoIpv4MaxSize === null ? {} : { gsoIpv4MaxSize: Math.min(gsoIpv4MaxSize, superpacketBytes) }),
  };
}

export const DEFAULT_MTU = 1500;
/** The kernel's default (GSO_MAX_SEGS in include/linux/netdevice.h). */
export const DEFAULT_GSO_MAX_SEGS = 65535;

/**
 * The largest MTU of the peer with which vnet0 can have a native XDP program, in bytes, on x86-64. veth accepts one
 * only while a frame of the other end's MTU fits into a page, with the program's headroom and the skb_shared_info
 * behind it (veth_xdp_set in drivers/net/veth.c). With MAX_MTU it would be refused.
 */
const XDP_MTU = 3506;
/** The smallest MTU of the peer in bytes, so that most changes of vnet0's MTU need no change of the peer's. */
const PEER_MTU = 3072;

/** The MTU of the peer, which has to accept whatever vnet0 sends; `max` is the most that the peer may have. */
export function peerMtu(mtu: number, max = MAX_MTU): number {
  const wanted = mtu > XDP_MTU ? MAX_MTU : Math.max(PEER_MTU, mtu);
  return Math.min(wanted, max);
}

/**
 * The largest MTU of an interface with superpackets, in bytes. With a larger one, even the smallest superpacket of TCP,
 * two segments (net.ipv4.tcp_min_tso_segs), exceeds the 64 KiB of a record, so such an interface gets one segment per
 * packet.
 */
const MAX_MTU_OF_SUPERPACKETS = 32767;

/**
 * A random unicast, locally administered address. It is set at creation: udev replaces an address that the kernel makes
 * up (systemd#21185), but leaves one that was set.
 */
export function randomMac(): string {
  const bytes = randomBytes(6);
  bytes[0] = ((bytes[0] as number) & 0xfc) | 0x02;
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/** The name of the peer, unique in the peer namespace. */
export const peerName = (id: string): string => `vp${id}`;

export interface VethRequest {
  iface: string;
  peer: string;
  mac: string;
  mtu: number;
  /** The largest superpacket of TCP over IPv4, in bytes. */
  superpacketBytes: number;
}

/** The most segments of a superpacket: with a large MTU, two are more than a record holds. */
export function superpacketSegments(mtu: number): number {
  return mtu > MAX_MTU_OF_SUPERPACKETS ? 1 : DEFAULT_GSO_MAX_SEGS;
}

/** Makes the veth pair, vnet0 down and the peer up, and returns both. Runs in vnet0's namespace. */
export function createVeth(request: VethRequest, peerNetns: Netns): { link: Link; peer: Link } {
  const { iface, peer, mac, mtu } = request;
  const big = bigTcp(request.superpacketBytes);
  try {
    addVeth(
      { name: iface, mac, mtu, gsoMaxSegs: superpacketSegments(mtu), ...big },
      { name: peer, mtu: peerMtu(mtu), netnsFd: peerNetns.fd, ...big },
    );
  } catch (cause) {
    throw refused(`interface ${iface}`, cause, 'EOPNOTSUPP', 'this kernel has no veth', 'modprobe veth');
  }
  const link = linkByName(iface);
  if (!link)
    throw new VnetError('INTERFACE_GONE', `interface ${iface}`, 'somebody removed it while it was being made', {
      hint: HINTS.removed,
    });
  const peerLink = peerNetns.run(() => {
    const made = linkByName(peer);
    if (made) setUp(made.ifindex);
    return made;
  });
  if (!peerLink)
    throw new VnetError('INTERFACE_GONE', `interface ${iface}`, 'somebody removed it while it was being made', {
      hint: HINTS.removed,
    });
  return { link, peer: peerLink };
}

/** Writes a per-interface sysctl; runs in the interface's namespace. */
export function setInterfaceSysctl(iface: string, name: string, value: string, family: 'ipv4' | 'ipv6' = 'ipv4'): void {
  fs.writeFileSync(`/proc/sys/net/${family}/conf/${iface}/${name}`, value);
}
