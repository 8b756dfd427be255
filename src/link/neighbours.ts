// SPDX-License-Identifier: MIT
/** Neighbours that stay: addresses of an interface, with its own Ethernet address, in the calling thread's network namespace. */
import * as fs from 'node:fs';

import { SystemError } from '../native/libc';
import { macBytes, macText } from '../packet/addresses';
import { attribute, message, numberAttribute } from './message';
import { askAll, askOne, attributesOf, bytesOf, change, familyOf, ipBytes, ipTextOf, NLM_F_CREATE, NLM_F_REPLACE, openRtnetlink } from './rtnetlink';

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

/** The permanent neighbours of an interface: Ethernet addresses by address. Throws SystemError. */
export function permanentNeighbours(ifindex: number, family: 4 | 6): Map<string, string> {
  const header = new Uint8Array(NDMSG_BYTES);
  header[0] = familyOf(family);
  const found = askAll(RTM_GETNEIGH, message(header, numberAttribute(NDA.IFINDEX, ifindex)), true);
  return new Map(found.flatMap((answer): [string, string][] => {
    const address = attributesOf(answer, NDMSG_BYTES).get(NDA.DST);
    const mac = permanentMac(answer);
    return address && mac !== null ? [[ipTextOf(address), mac]] : [];
  }));
}

function permanentMac(answer: DataView): string | null {
  const mac = attributesOf(answer, NDMSG_BYTES).get(NDA.LLADDR);
  const isPermanent = (answer.getUint16(STATE_AT, true) & NUD_PERMANENT) !== 0;
  return isPermanent && mac?.byteLength === ETH_ALEN ? macText(bytesOf(mac), 0) : null;
}

/** Makes a neighbour permanent, whatever was known of it. Throws SystemError. */
export const setNeighbour = (ifindex: number, address: NeighbourAddress, mac: string): void =>
  change(RTM_NEWNEIGH, message(...ndmsg(ifindex, address, NUD_PERMANENT), attribute(NDA.LLADDR, macBytes(mac))), NLM_F_CREATE | NLM_F_REPLACE);

/** Forgets a neighbour; ENOENT if there is none. */
export const removeNeighbour = (ifindex: number, address: NeighbourAddress): void => change(RTM_DELNEIGH, message(...ndmsg(ifindex, address, 0)));
