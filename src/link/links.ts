// SPDX-License-Identifier: MIT
/**
 * The links of the calling thread's network namespace and their qdiscs: reading, making and changing them. Wrap calls
 * in Netns.run(). Failures are SystemErrors.
 */
import * as fs from 'node:fs';

import { errnoOf, SystemError } from '../native/libc';
import { macBytes, macText } from '../packet/addresses';
import {
  AF_INET,
  askAll,
  askOne,
  attribute,
  attributesOf,
  bytesOf,
  change,
  message,
  NLM_F_CREATE,
  NLM_F_EXCL,
  numberAttribute,
  openRtnetlink,
  textAttribute,
  textOf,
} from './rtnetlink';

export const RTM_NEWLINK = 16;
export const RTM_GETLINK = 18;
/** struct ifinfomsg: family, type, ifindex, flags, change. */
export const IFINFO_BYTES = 16;
const IFINDEX_AT = 4;
export const FLAGS_AT = 8;
const CHANGE_AT = 12;
export const IFF_UP = 0x1;
const IFF_NOARP = 0x80;
const ETH_ALEN = 6;

// include/uapi/linux/if_link.h
export const IFLA = {
  ADDRESS: 1,
  IFNAME: 3,
  MTU: 4,
  LINK: 5,
  QDISC: 6,
  MASTER: 10,
  LINKINFO: 18,
  STATS64: 23,
  AF_SPEC: 26,
  GROUP: 27,
  NET_NS_FD: 28,
  LINK_NETNSID: 37,
  GSO_MAX_SEGS: 40,
  GSO_MAX_SIZE: 41,
  XDP: 43,
  TARGET_NETNSID: 46,
  CARRIER_DOWN_COUNT: 48,
  MAX_MTU: 51,
  GSO_IPV4_MAX_SIZE: 63,
};
export const IFLA_INFO = { KIND: 1, DATA: 2 };
const IFLA_XDP_ATTACHED = 2;
const IFLA_INET_CONF = 1;
/** Offset of IPV4_DEVCONF_ACCEPT_LOCAL (include/uapi/linux/ip.h), which counts from 1. */
const ACCEPT_LOCAL_AT = 4 * (23 - 1);
/** Offsets of tx_packets and rx_dropped in struct rtnl_link_stats64. */
const TX_PACKETS = 8;
export const RX_DROPPED = 48;

export interface Link {
  name: string;
  ifindex: number;
  /** ifindex of the other end of a veth, or null. */
  peerIfindex: number | null;
  /** The rtnl kind (`veth`, `dummy`, `tun`, `bridge`), or null for a physical device. */
  kind: string | null;
  up: boolean;
  /** Whether it resolves addresses to Ethernet addresses, with ARP and neighbour discovery. */
  resolves: boolean;
  /** Its link group; 0 unless it was put into another. */
  group: number;
  mac: string;
  mtu: number;
  /** The kind of its root qdisc; `noqueue` and `noop` mean that there is none. */
  qdisc: string;
  /** Settings that other programs may change: see docs/coexistence.md. */
  settings: LinkSettings;
}

export interface LinkSettings {
  /** The largest superpacket in bytes; for IPv4, too, if the kernel has no limit of its own for that. */
  gsoMaxSize: number;
  /** The same for IPv4; null before Linux 6.3. */
  gsoIpv4MaxSize: number | null;
  gsoMaxSegs: number;
  /** The largest MTU that it may have at the moment, in bytes. */
  maxMtu: number;
  /** ifindex of the bridge, bond or VRF that it belongs to, or 0. */
  master: number;
  xdp: Xdp;
  /** How often it has lost its carrier. */
  carrierDowns: number;
  /** The sysctl accept_local of IPv4; also false if there is no IPv4. */
  acceptLocal: boolean;
}

/** How an XDP program is attached; `several`: more than one, in different places. */
export type Xdp = 'none' | 'native' | 'generic' | 'offloaded' | 'several';
/** The modes by XDP_ATTACHED_* (include/uapi/linux/if_link.h). */
const XDP_MODES: readonly Xdp[] = ['none', 'native', 'generic', 'offloaded', 'several'];

function toLink(answer: DataView): Link {
  const found = attributesOf(answer, IFINFO_BYTES);
  const info = found.get(IFLA.LINKINFO);
  const mac = found.get(IFLA.ADDRESS);
  return {
    name: textOf(found.get(IFLA.IFNAME)) ?? '',
    ifindex: answer.getInt32(IFINDEX_AT, true),
    peerIfindex: found.get(IFLA.LINK)?.getUint32(0, true) ?? null,
    kind: (info && textOf(attributesOf(info, 0).get(IFLA_INFO.KIND))) ?? null,
    up: (answer.getUint32(FLAGS_AT, true) & IFF_UP) !== 0,
    resolves: (answer.getUint32(FLAGS_AT, true) & IFF_NOARP) === 0,
    group: found.get(IFLA.GROUP)?.getUint32(0, true) ?? 0,
    mac: mac?.byteLength === ETH_ALEN ? macText(bytesOf(mac), 0) : '',
    mtu: found.get(IFLA.MTU)?.getUint32(0, true) ?? 0,
    qdisc: textOf(found.get(IFLA.QDISC)) ?? '',
    settings: toSettings(found),
  };
}

function toSettings(found: ReadonlyMap<number, DataView>): LinkSettings {
  const number = (type: number): number | undefined => found.get(type)?.getUint32(0, true);
  const xdp = found.get(IFLA.XDP);
  const families = found.get(IFLA.AF_SPEC);
  const inet = families && attributesOf(families, 0).get(AF_INET);
  const conf = inet && attributesOf(inet, 0).get(IFLA_INET_CONF);
  return {
    gsoMaxSize: number(IFLA.GSO_MAX_SIZE) ?? 0,
    gsoIpv4MaxSize: number(IFLA.GSO_IPV4_MAX_SIZE) ?? null,
    gsoMaxSegs: number(IFLA.GSO_MAX_SEGS) ?? 0,
    maxMtu: number(IFLA.MAX_MTU) || Infinity,
    master: number(IFLA.MASTER) ?? 0,
    xdp: XDP_MODES[(xdp && attributesOf(xdp, 0).get(IFLA_XDP_ATTACHED)?.getUint8(0)) ?? 0] ?? 'several',
    carrierDowns: number(IFLA.CARRIER_DOWN_COUNT) ?? 0,
    acceptLocal: conf !== undefined && conf.byteLength > ACCEPT_LOCAL_AT && conf.getUint32(ACCEPT_LOCAL_AT, true) !== 0,
  };
}

/** Every link. */
export const links = (): Link[] => askAll(RTM_GETLINK, new Uint8Array(IFINFO_BYTES)).map(toLink);

/** One link by name, or null. */
export const linkByName = (name: string): Link | null =>
  onSocket((socket) => linkOf(socket, message(ifinfo({}), textAttribute(IFLA.IFNAME, name))));

/** One link by ifindex, or null. */
export const linkByIndex = (ifindex: number): Link | null => onSocket((socket) => linkOf(socket, ifinfo({ ifindex })));

/** Sets a link up. Throws SystemError. */
export const setUp = (ifindex: number): void => change(RTM_NEWLINK, ifinfo({ ifindex, up: true }));

/** Sets a link down. Throws SystemError. */
export const setDown = (ifindex: number): void => change(RTM_NEWLINK, ifinfo({ ifindex, up: false }));

/** Puts a link into a group. Throws SystemError. */
export const setGroup = (ifindex: number, group: number): void =>
  change(RTM_NEWLINK, message(ifinfo({ ifindex }), numberAttribute(IFLA.GROUP, group)));

/** Numeric settings of a link. */
export interface LinkNumbers {
  mtu?: number;
  gsoMaxSize?: number;
  gsoMaxSegs?: number;
  /** Only if the kernel has this limit. */
  gsoIpv4MaxSize?: number;
}

/**
 * The attributes, in the order in which they are set: up to 64 KiB, gso_max_size also sets the limit of IPv4
 * (netif_set_gso_max_size).
 */
const NUMBERS = {
  mtu: IFLA.MTU,
  gsoMaxSize: IFLA.GSO_MAX_SIZE,
  gsoMaxSegs: IFLA.GSO_MAX_SEGS,
  gsoIpv4MaxSize: IFLA.GSO_IPV4_MAX_SIZE,
} as const;

/** The settings as attributes of a message. */
export const linkNumbers = (numbers: LinkNumbers): Uint8Array[] =>
  (Object.keys(NUMBERS) as (keyof LinkNumbers)[]).flatMap((name) =>
    numbers[name] === undefined ? [] : [numberAttribute(NUMBERS[name], numbers[name])],
  );

/** Changes settings of a link. Throws SystemError. */
export const setNumbers = (ifindex: number, numbers: LinkNumbers): void =>
  change(RTM_NEWLINK, message(ifinfo({ ifindex }), ...linkNumbers(numbers)));

/** Changes the Ethernet address of a link. Throws SystemError. */
export const setMac = (ifindex: number, mac: string): void =>
  change(RTM_NEWLINK, message(ifinfo({ ifindex }), attribute(IFLA.ADDRESS, macBytes(mac))));

/**
 * Number of all frames that the link has transmitted, asked on an rtnetlink socket; null if there is none of that
 * index.
 */
export function transmittedFrames(socket: number, ifindex: number): number | null {
  const answer = answerOf(socket, ifinfo({ ifindex }));
  const stats = answer && attributesOf(answer, IFINFO_BYTES).get(IFLA.STATS64);
  return stats ? Number(stats.getBigUint64(TX_PACKETS, true)) : null;
}

/** The same, on a socket of its own. */
export const transmittedFramesOf = (ifindex: number): number | null =>
  onSocket((socket) => transmittedFrames(socket, ifindex));

/** A struct ifinfomsg that names a link by its ifindex, if given, and sets it up or down if `up` is given. */
export function ifinfo({ ifindex = 0, up }: { ifindex?: number; up?: boolean }): Uint8Array {
  const bytes = new Uint8Array(IFINFO_BYTES);
  const view = new DataView(bytes.buffer);
  view.setInt32(IFINDEX_AT, ifindex, true);
  view.setUint32(FLAGS_AT, up ? IFF_UP : 0, true);
  view.setUint32(CHANGE_AT, up === undefined ? 0 : IFF_UP, true);
  return bytes;
}

function linkOf(socket: number, body: Uint8Array): Link | null {
  const answer = answerOf(socket, body);
  return answer && toLink(answer);
}

function answerOf(socket: number, body: Uint8Array): DataView | null {
  try {
    return askOne(socket, RTM_GETLINK, body);
  } catch (error) {
    if (error instanceof SystemError && error.errno === errnoOf['ENODEV']) return null;
    throw error;
  }
}

function onSocket<T>(ask: (socket: number) => T): T {
  const socket = openRtnetlink();
  try {
    return ask(socket);
  } finally {
    fs.closeSync(socket);
  }
}

// Making links.

// include/uapi/linux/veth.h, and if_link.h
const VETH_INFO_PEER = 1;
const IFLA_MACVLAN_MODE = 1;
const MACVLAN_MODE_PRIVATE = 1;

export interface NewLink extends LinkNumbers {
  name: string;
  mtu: number;
  /** Chosen by the kernel unless given. */
  ifindex?: number;
  /** Down unless true. */
  up?: boolean;
  mac?: string;
  /** Descriptor of the namespace in which it is made; for the other end of a veth. Borrowed. */
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
  change(
    RTM_NEWLINK,
    message(...parts, attribute(IFLA.LINKINFO, textAttribute(IFLA_INFO.KIND, kind), attribute(IFLA_INFO.DATA, data))),
    NLM_F_CREATE | NLM_F_EXCL,
  );

/**
 * Makes a veth pair: what one end sends, the other receives. The peer cannot be up from the start (veth_open in
 * drivers/net/veth.c looks for its own peer).
 */
export const addVeth = (link: NewLink, peer: NewLink): void =>
  add('veth', attribute(VETH_INFO_PEER, ...described(peer)), ...described(link));

/** Makes a macvlan in private mode, on top of the link `lower`. */
export const addMacvlan = (link: NewLink, lower: number): void =>
  add(
    'macvlan',
    numberAttribute(IFLA_MACVLAN_MODE, MACVLAN_MODE_PRIVATE),
    ...described(link),
    numberAttribute(IFLA.LINK, lower),
  );

// Queueing disciplines.

const RTM_GETQDISC = 38;
/** struct tcmsg: family, ifindex, handle, parent, info. */
const TC_BYTES = 20;
const TC_IFINDEX_AT = 4;
const TCA_KIND = 1;
const TCA_STATS2 = 7;
/** struct gnet_stats_queue: qlen, backlog, drops, requeues, overlimits. */
const TCA_STATS_QUEUE = 3;

export interface Qdisc {
  kind: string;
  /** Number of frames that wait in it. */
  qlen: number;
  /** Bytes of these frames. */
  backlog: number;
  /** Number of frames that it has dropped. */
  drops: number;
}

/** The qdiscs of an interface; none if there is no such interface. */
export function qdiscsOf(iface: string): Qdisc[] {
  const ifindex = linkByName(iface)?.ifindex;
  return askAll(RTM_GETQDISC, new Uint8Array(TC_BYTES)).flatMap((message) => {
    if (message.getInt32(TC_IFINDEX_AT, true) !== ifindex) return [];
    const found = attributesOf(message, TC_BYTES);
    const stats = found.get(TCA_STATS2);
    const queue = stats && attributesOf(stats, 0).get(TCA_STATS_QUEUE);
    return [
      {
        kind: textOf(found.get(TCA_KIND)) ?? '',
        qlen: queue?.getUint32(0, true) ?? 0,
        backlog: queue?.getUint32(4, true) ?? 0,
        drops: queue?.getUint32(8, true) ?? 0,
      },
    ];
  });
}
