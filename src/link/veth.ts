// SPDX-License-Identifier: MIT
/** Makes the veth pair: vnet0 in the user's namespace, its other end in the hidden one. */
import * as fs from 'node:fs';

import { MAX_MTU } from '../controller/options';
import { HINTS, VnetError } from '../errors';
import { randomBytes } from '../native/random';
import { bigTcp } from './big-tcp';
import { linkByName, setUp, type Link } from './links';
import { addVeth } from './make-links';
import type { Netns } from './netns';
import { refused } from './refused';

export const DEFAULT_MTU = 1500;
/** The kernel's default (GSO_MAX_SEGS in include/linux/netdevice.h). */
export const DEFAULT_GSO_MAX_SEGS = 65535;

/**
 * veth takes a native XDP program only while a frame of the other end's MTU fits into a page, with the program's headroom
 * and the skb_shared_info behind it (veth_xdp_set in drivers/net/veth.c); bytes, on x86-64. With a larger one, as without
 * any program, it would be refused on vnet0.
 */
const XDP_MTU = 3506;
/** What the peer has at least, so that most changes of vnet0's MTU need none of the peer's. */
const PEER_MTU = 3072;

/** The MTU of the peer, which has to take whatever vnet0 sends; `max` is the most that the peer may have. */
export function peerMtu(mtu: number, max = MAX_MTU): number {
  const wanted = mtu > XDP_MTU ? MAX_MTU : Math.max(PEER_MTU, mtu);
  return Math.min(wanted, max);
}

/**
 * With a larger MTU even the smallest superpacket of TCP, two segments (net.ipv4.tcp_min_tso_segs),
 * exceeds the 64 KiB of a record: such an interface gets one segment per packet.
 */
const MAX_MTU_OF_SUPERPACKETS = 32767;

/**
 * A random unicast, locally administered address. It is given at creation: udev replaces the
 * address that the kernel makes up (systemd#21185), but leaves one that was set.
 */
export function randomMac(): string {
  const bytes = randomBytes(6);
  bytes[0] = ((bytes[0] as number) & 0xfc) | 0x02;
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/** The name of the other end, unique in the hidden namespace. */
export const peerName = (id: string): string => `vp${id}`;

export interface VethRequest {
  iface: string;
  peer: string;
  mac: string;
  mtu: number;
  /** The largest superpacket of TCP over IPv4. */
  superpacketBytes: number;
}

/** How many segments a superpacket may have: with a large MTU two of them are more than a record holds. */
export function superpacketSegments(mtu: number): number {
  return mtu > MAX_MTU_OF_SUPERPACKETS ? 1 : DEFAULT_GSO_MAX_SEGS;
}

/** Makes the pair, vnet0 down and the peer up; returns both. Runs in vnet0's namespace. */
export function createVeth(request: VethRequest, peerNetns: Netns): { link: Link; peer: Link } {
  const { iface, peer, mac, mtu } = request;
  const big = bigTcp(request.superpacketBytes);
  try {
    addVeth({ name: iface, mac, mtu, gsoMaxSegs: superpacketSegments(mtu), ...big }, { name: peer, mtu: peerMtu(mtu), netnsFd: peerNetns.fd, ...big });
  } catch (cause) {
    throw refused(`interface ${iface}`, cause, 'EOPNOTSUPP', 'this kernel has no veth', 'modprobe veth');
  }
  const link = linkByName(iface);
  if (!link) throw new VnetError('INTERFACE_GONE', `interface ${iface}`, 'somebody removed it while it was being made', { hint: HINTS.removed });
  const peerLink = peerNetns.run(() => {
    const made = linkByName(peer);
    if (made) setUp(made.ifindex);
    return made;
  });
  if (!peerLink) throw new VnetError('INTERFACE_GONE', `interface ${iface}`, 'somebody removed it while it was being made', { hint: HINTS.removed });
  return { link, peer: peerLink };
}

/** Writes a per-interface sysctl; runs in the interface's namespace. */
export function setInterfaceSysctl(iface: string, name: string, value: string, family: 'ipv4' | 'ipv6' = 'ipv4'): void {
  fs.writeFileSync(`/proc/sys/net/${family}/conf/${iface}/${name}`, value);
}
