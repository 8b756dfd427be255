// SPDX-License-Identifier: MIT
/** Makes the veth pair: vnet0 in the user's namespace, its other end in the hidden one. */
import * as fs from 'node:fs';

import { HINTS, VnetError } from '../errors';
import { randomBytes } from '../native/random';
import { bigTcp } from './big-tcp';
import { IFLA, ifinfo, linkByName, RTM_NEWLINK, setUp, type Link } from './links';
import { addVeth } from './make-links';
import { message, numberAttribute } from './message';
import type { Netns } from './netns';
import { refused } from './refused';
import { change } from './rtnetlink';

/** The largest MTU of an Ethernet device (ETH_MAX_MTU): the peer takes whatever vnet0 can send. */
export const MAX_MTU = 65535;
export const MIN_MTU = 68;
export const DEFAULT_MTU = 1500;
/** The kernel's default (GSO_MAX_SEGS in include/linux/netdevice.h). */
const GSO_MAX_SEGS = 65535;

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
  return mtu > MAX_MTU_OF_SUPERPACKETS ? 1 : GSO_MAX_SEGS;
}

/** Follows a change of the MTU; runs in the interface's namespace. What it need not change is the user's to set. */
export function followMtu(ifindex: number, before: number, now: number): void {
  const segments = superpacketSegments(now);
  if (segments !== superpacketSegments(before)) change(RTM_NEWLINK, message(ifinfo({ ifindex }), numberAttribute(IFLA.GSO_MAX_SEGS, segments)));
}

/** Makes the pair, vnet0 down and the peer up; returns both. Runs in vnet0's namespace. */
export function createVeth(request: VethRequest, peerNetns: Netns): { link: Link; peer: Link } {
  const { iface, peer, mac, mtu } = request;
  const big = bigTcp(request.superpacketBytes);
  try {
    addVeth({ name: iface, mac, mtu, gsoMaxSegs: superpacketSegments(mtu), ...big }, { name: peer, mtu: MAX_MTU, netnsFd: peerNetns.fd, ...big });
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
