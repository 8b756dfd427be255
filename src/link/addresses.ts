// SPDX-License-Identifier: MIT
/** The IP addresses of an interface of the calling thread's network namespace. What fails is a SystemError. */
import { linkByName } from './links';
import { attribute, message } from './message';
import { AF_INET, AF_INET6, askAll, attributesOf, change, familyOf, ipBytes, ipTextOf, NLM_F_CREATE, NLM_F_REPLACE } from './rtnetlink';

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
  family: 4 | 6;
  address: string;
  prefix: number;
  /** Of use beyond this link: its scope is `global`. */
  global: boolean;
  /** The kernel does not use it yet: it asks whether somebody else has it. */
  tentative: boolean;
}

/** Those of IPv4 and IPv6; none if there is no such interface. */
export function addresses(iface: string): Address[] {
  const ifindex = linkByName(iface)?.ifindex;
  if (ifindex === undefined) return [];
  return askAll(RTM_GETADDR, new Uint8Array(IFADDR_BYTES)).flatMap((message) => {
    const family = message.getUint8(0);
    if (message.getUint32(4, true) !== ifindex || (family !== AF_INET && family !== AF_INET6)) return [];
    const found = attributesOf(message, IFADDR_BYTES);
    // With a peer (`ip addr add A peer B`) IFA_ADDRESS is the peer's.
    const bytes = found.get(IFA_LOCAL) ?? found.get(IFA_ADDRESS);
    if (!bytes) return [];
    const [prefix, flags, scope] = [1, 2, 3].map((at) => message.getUint8(at)) as [number, number, number];
    return [{ family: family === AF_INET ? 4 : 6, address: ipTextOf(bytes), prefix, global: scope === RT_SCOPE_UNIVERSE, tentative: (flags & IFA_F_TENTATIVE) !== 0 }];
  });
}

type Prefix = Pick<Address, 'family' | 'address' | 'prefix'>;

/** Gives an interface an address, or sets one that it has already. One of IPv6 is ready at once, without detection of duplicates. */
export const setAddress = (ifindex: number, address: Prefix): void => change(RTM_NEWADDR, described(ifindex, address), NLM_F_CREATE | NLM_F_REPLACE);

/** Takes an address away; EADDRNOTAVAIL if the interface does not have it. */
export const removeAddress = (ifindex: number, address: Prefix): void => change(RTM_DELADDR, described(ifindex, address));

function described(ifindex: number, { family, address, prefix }: Prefix): Uint8Array {
  const bytes = ipBytes(family, address);
  const header = new Uint8Array(IFADDR_BYTES);
  const scope = family === 4 && bytes[0] === 127 ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
  header.set([familyOf(family), prefix, family === 6 ? IFA_F_NODAD : 0, scope]);
  new DataView(header.buffer).setInt32(4, ifindex, true);
  return message(header, attribute(IFA_LOCAL, bytes), attribute(IFA_ADDRESS, bytes));
}
