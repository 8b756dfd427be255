// SPDX-License-Identifier: MIT
/** Makes links, in the calling thread's network namespace. What fails is a SystemError. */
import { macBytes } from '../packet/addresses';
import { IFLA, IFLA_INFO, ifinfo, linkNumbers, RTM_NEWLINK, type LinkNumbers } from './links';
import { attribute, message, numberAttribute, textAttribute } from './message';
import { change, NLM_F_CREATE, NLM_F_EXCL } from './rtnetlink';

// include/uapi/linux/veth.h, and if_link.h
const VETH_INFO_PEER = 1;
const IFLA_MACVLAN_MODE = 1;
const MACVLAN_MODE_PRIVATE = 1;

export interface NewLink extends LinkNumbers {
  name: string;
  mtu: number;
  /** The kernel chooses one unless it is given. */
  ifindex?: number;
  /** Down unless true. */
  up?: boolean;
  mac?: string;
  /** A descriptor of the namespace in which it is made; for the other end of a veth. */
  netnsFd?: number;
}

const described = (link: NewLink): Uint8Array[] => [
  ifinfo(link),
  textAttribute(IFLA.IFNAME, link.name),
  ...linkNumbers(link),
  ...(link.mac === undefined ? [] : [attribute(IFLA.ADDRESS, macBytes(link.mac))]),
  ...(link.netnsFd === undefined ? [] : [numberAttribute(IFLA.NET_NS_FD, link.netnsFd)]),
];

const add = (kind: string, data: Uint8Array, ...parts: Uint8Array[]): void =>
  change(RTM_NEWLINK, message(...parts, attribute(IFLA.LINKINFO, textAttribute(IFLA_INFO.KIND, kind), attribute(IFLA_INFO.DATA, data))), NLM_F_CREATE | NLM_F_EXCL);

/** A pair of Ethernet interfaces: what one sends, the other receives. The peer cannot be made up (veth_open in drivers/net/veth.c looks for its own peer). */
export const addVeth = (link: NewLink, peer: NewLink): void => add('veth', attribute(VETH_INFO_PEER, ...described(peer)), ...described(link));

/** A macvlan that keeps to itself, on top of the link `lower`. */
export const addMacvlan = (link: NewLink, lower: number): void =>
  add('macvlan', numberAttribute(IFLA_MACVLAN_MODE, MACVLAN_MODE_PRIVATE), ...described(link), numberAttribute(IFLA.LINK, lower));
