// SPDX-License-Identifier: MIT
/**
 * The IP addresses of an interface, routes to them, and its permanent neighbours. Everything works in the calling
 * thread's network namespace. Failures are SystemErrors.
 */
import * as fs from 'node:fs';

import { SystemError } from '../native/libc';
import { macBytes, macText } from '../packet/addresses';
import { linkByName } from './links';
import {
  AF_INET,
  AF_INET6,
  askAll,
  askOne,
  attribute,
  attributesOf,
  bytesOf,
  change,
  familyOf,
  ipBytes,
  ipTextOf,
  message,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  numberAttribute,
  openRtnetlink,
} from './rtnetlink';

// Permanent neighbours: the interface's own addresses, with its own Ethernet address.

const RTM_NEWNEIGH = 28;
const RTM_DELNEIGH = 29;
const RTM_GETNEIGH = 30;
/** struct ndmsg: family, three bytes of padding, ifindex, state, flags, type. */
const NDMSG_BYTES = 12;
const IFINDEX_AT = 4;
const STATE_AT = 8;
const NUD_PERMANENT = 0x80;
const NDA = { DST: 1, LLADDR: 2, IFINDEX: 8 };
const ETH_ALEN = 6;

export interface NeighbourAddress {
  family: 4 | 6;
  address: string;
}

function ndmsg(ifindex: number, { family, address }: NeighbourAddress, state: number): Uint8Array[] {
  const header = new Uint8Array(NDMSG_BYTES);
  const view = new DataView(header.buffer);
  view.setUint8(0, familyOf(family));
  view.setInt32(IFINDEX_AT, ifindex, true);
  view.setUint16(STATE_AT, state, true);
  return [header, attribute(NDA.DST, ipBytes(family, address))];
}

/** The Ethernet address of a permanent neighbour, or null if there is none. Throws SystemError. */
export function permanentNeighbour(ifindex: number, address: NeighbourAddress): string | null {
  const socket = openRtnetlink();
  try {
    const answer = askOne(socket, RTM_GETNEIGH, message(...ndmsg(ifindex, address, 0)));
    return permanentMac(answer);
  } catch (error) {
    if (error instanceof SystemError && error.code === 'ENOENT') return null;
    throw error;
  } finally {
    fs.closeSync(socket);
  }
}

/** The permanent neighbours of an interface: Ethernet addresses by IP address. Throws SystemError. */
export function permanentNeighbours(ifindex: number, family: 4 | 6): Map<string, string> {
  const header = new Uint8Array(NDMSG_BYTES);
  header[0] = familyOf(family);
  const found = askAll(RTM_GETNEIGH, message(header, numberAttribute(NDA.IFINDEX, ifindex)), true);
  return new Map(
    found.flatMap((answer): [string, string][] => {
      const address = attributesOf(answer, NDMSG_BYTES).get(NDA.DST);
      const mac = permanentMac(answer);
      return address && mac !== null ? [[ipTextOf(address), mac]] : [];
    }),
  );
}

function permanentMac(answer: DataView): string | null {
  const mac = attributesOf(answer, NDMSG_BYTES).get(NDA.LLADDR);
  const isPermanent = (answer.getUint16(STATE_AT, true) & NUD_PERMANENT) !== 0;
  return isPermanent && mac?.byteLength === ETH_ALEN ? macText(bytesOf(mac), 0) : null;
}

/** Adds a permanent neighbour, or replaces what was known of it. Throws SystemError. */
export const setNeighbour = (ifindex: number, address: NeighbourAddress, mac: string): void =>
  change(
    RTM_NEWNEIGH,
    message(...ndmsg(ifindex, address, NUD_PERMANENT), attribute(NDA.LLADDR, macBytes(mac))),
    NLM_F_CREATE | NLM_F_REPLACE,
  );

/** Removes a neighbour. Throws SystemError; ENOENT if there is none. */
export const removeNeighbour = (ifindex: number, address: NeighbourAddress): void =>
  change(RTM_DELNEIGH, message(...ndmsg(ifindex, address, 0)));

// Addresses.

const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
/** struct ifaddrmsg: family, prefix length, flags, scope, ifindex. */
const IFADDR_BYTES = 8;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
export const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_HOST = 254;
const IFA_F_NODAD = 0x02;
const IFA_F_TENTATIVE = 0x40;

export interface Address {
  /** ifindex of the interface that has it. */
  ifindex: number;
  family: 4 | 6;
  address: string;
  prefix: number;
  /** Whether its scope is `global`: it can be used beyond this link. */
  global: boolean;
  /** Whether the kernel does not use it yet, because it is still asking whether another host has it. */
  tentative: boolean;
}

/** The IPv4 and IPv6 addresses of an interface; none if there is no such interface. */
export function addresses(iface: string): Address[] {
  const ifindex = linkByName(iface)?.ifindex;
  return ifindex === undefined ? [] : addressesOf(ifindex);
}

export const addressesOf = (ifindex: number): Address[] => addressesWhere((index) => index === ifindex);

/** The addresses of all interfaces but one. */
export const addressesBeside = (ifindex: number): Address[] => addressesWhere((index) => index !== ifindex);

function addressesWhere(isWanted: (ifindex: number) => boolean): Address[] {
  return askAll(RTM_GETADDR, new Uint8Array(IFADDR_BYTES)).flatMap((message) => {
    const family = message.getUint8(0);
    const ifindex = message.getUint32(4, true);
    if (!isWanted(ifindex) || (family !== AF_INET && family !== AF_INET6)) return [];
    const found = attributesOf(message, IFADDR_BYTES);
    // With a peer (`ip addr add A peer B`) IFA_ADDRESS is the address of the peer.
    const bytes = found.get(IFA_LOCAL) ?? found.get(IFA_ADDRESS);
    if (!bytes) return [];
    const [prefix, flags, scope] = [1, 2, 3].map((at) => message.getUint8(at)) as [number, number, number];
    return [
      {
        ifindex,
        family: family === AF_INET ? 4 : 6,
        address: ipTextOf(bytes),
        prefix,
        global: scope === RT_SCOPE_UNIVERSE,
        tentative: (flags & IFA_F_TENTATIVE) !== 0,
      },
    ];
  });
}

type Prefix = Pick<Address, 'family' | 'address' | 'prefix'>;

/**
 * Adds an address to an interface, or updates one that it has. An IPv6 address is ready at once, without duplicate
 * address detection.
 */
export const setAddress = (ifindex: number, address: Prefix): void =>
  change(RTM_NEWADDR, described(ifindex, address), NLM_F_CREATE | NLM_F_REPLACE);

/** Removes an address. Throws SystemError; EADDRNOTAVAIL if the interface does not have it. */
export const removeAddress = (ifindex: number, address: Prefix): void =>
  change(RTM_DELADDR, described(ifindex, address));

function described(ifindex: number, { family, address, prefix }: Prefix): Uint8Array {
  const bytes = ipBytes(family, address);
  const header = new Uint8Array(IFADDR_BYTES);
  const scope = family === 4 && bytes[0] === 127 ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
  header.set([familyOf(family), prefix, family === 6 ? IFA_F_NODAD : 0, scope]);
  new DataView(header.buffer).setInt32(4, ifindex, true);
  return message(header, attribute(IFA_LOCAL, bytes), attribute(IFA_ADDRESS, bytes));
}

// Routes to single addresses.

const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;
const RTA = { DST: 1, OIF: 4, PREFSRC: 7, TABLE: 15 };
/** struct rtmsg: family, prefix lengths, tos, table, protocol, scope, type, flags. */
const RTMSG_BYTES = 12;
const PROTOCOL_AT = 5;
const RT_SCOPE_LINK = 253;
const RT_SCOPE_NOWHERE = 255;
const RTN_UNICAST = 1;

/** A route to an address of the interface itself. */
export interface Route {
  family: 4 | 6;
  address: string;
  table: number;
}

/** The beginning of a route message. The table is an attribute, because its number may be too large for the header. */
function rtmsg({ family, address, table }: Route, protocol: number, scope: number, type: number): Uint8Array[] {
  const header = new Uint8Array(RTMSG_BYTES);
  header.set([
    familyOf(family),
    family === 4 ? 32 : 128,
    0,
    0,
    0,
    protocol,
    family === 4 ? scope : RT_SCOPE_UNIVERSE,
    type,
  ]);
  return [header, attribute(RTA.DST, ipBytes(family, address)), numberAttribute(RTA.TABLE, table)];
}

/**
 * Routes an address out of an interface that has it. `replace` replaces another route; `add` throws EEXIST if there is
 * one.
 */
export function setRoute(how: 'add' | 'replace', route: Route, ifindex: number, protocol: number): void {
  const { family, address } = route;
  const parts = [
    ...rtmsg(route, protocol, RT_SCOPE_LINK, RTN_UNICAST),
    numberAttribute(RTA.OIF, ifindex),
    attribute(RTA.PREFSRC, ipBytes(family, address)),
  ];
  change(RTM_NEWROUTE, message(...parts), NLM_F_CREATE | (how === 'add' ? NLM_F_EXCL : NLM_F_REPLACE));
}

export const removeRoute = (route: Route): void =>
  change(RTM_DELROUTE, message(...rtmsg(route, 0, RT_SCOPE_NOWHERE, 0)));

/**
 * ifindex of the interface through which packets of this machine to an address leave: that of `lo` if they are answered
 * at once, 0 if there is no route.
 */
export function outputInterface(family: 4 | 6, address: string): number {
  const header = new Uint8Array(RTMSG_BYTES);
  header.set([familyOf(family), family === 4 ? 32 : 128]);
  const socket = openRtnetlink();
  try {
    return (
      attributesOf(
        askOne(socket, RTM_GETROUTE, message(header, attribute(RTA.DST, ipBytes(family, address)))),
        RTMSG_BYTES,
      )
        .get(RTA.OIF)
        ?.getUint32(0, true) ?? 0
    );
  } catch (error) {
    if (error instanceof SystemError) return 0;
    throw error;
  } finally {
    fs.closeSync(socket);
  }
}

/** The routes of a table that have this protocol. */
export function routesOf(family: 4 | 6, table: number, protocol: number): Route[] {
  const header = new Uint8Array(RTMSG_BYTES);
  header[0] = familyOf(family);
  return askAll(RTM_GETROUTE, message(header, numberAttribute(RTA.TABLE, table)), true).flatMap((route) => {
    const to = attributesOf(route, RTMSG_BYTES).get(RTA.DST);
    return to && route.getUint8(PROTOCOL_AT) === protocol ? [{ family, address: ipTextOf(to), table }] : [];
  });
}
