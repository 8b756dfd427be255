// SPDX-License-Identifier: MIT
/** Which conversation a frame belongs to, and what it says in it: pure functions of the frame's first bytes. */
import { ipv4Text, ipv6Text } from '../../packet/addresses';
import { HeaderOffsets, PROTOCOL, TCP_FLAG, TCP_HEADER_BYTES, UDP_HEADER_BYTES } from '../../packet/headers';

/** What TCP does in a frame. */
export interface TcpSegment {
  sequence: number;
  acknowledgment: number;
  flags: number;
  /** As in the header, not scaled. */
  window: number;
  /** Bytes of payload. */
  payload: number;
  /** The shift of the option "window scale" of a SYN; null without it. */
  scale: number | null;
}

export interface Packet {
  /** TCP, UDP, ICMP, ARP and so on. */
  protocol: string;
  /** Address and port, or address alone. */
  source: string;
  target: string;
  /** The same for all frames of the two ends, until they begin anew. */
  key: string;
  /** Whether the client has sent it; null if the frame does not say. */
  fromClient: boolean | null;
  /** What it is, in a few words; of a TCP segment the caller says more. */
  label: string;
  tcp: TcpSegment | null;
}

const ECHO: Readonly<Record<number, boolean>> = { 8: true, 0: false };
const ECHO_V6: Readonly<Record<number, boolean>> = { 128: true, 129: false };
const ICMP_NAMES: Readonly<Record<number, string>> = { 3: 'unreachable', 5: 'redirect', 11: 'time exceeded' };
const ICMPV6_NAMES: Readonly<Record<number, string>> = {
  1: 'unreachable', 2: 'packet too big', 3: 'time exceeded', 133: 'router solicitation', 134: 'router advertisement',
  135: 'neighbour solicitation', 136: 'neighbour advertisement', 143: 'listener report',
}; // prettier-ignore
const OTHER_NAMES: Readonly<Record<number, string>> = { 2: 'IGMP', 47: 'GRE', 50: 'ESP', 132: 'SCTP' };

const OPTION = { end: 0, nothing: 1, windowScale: 3 } as const;
/** The largest shift (RFC 7323, 2.3). */
const SCALE_MAX = 14;

const u8 = (bytes: Uint8Array, at: number): number => bytes[at] ?? 0;
const u16 = (bytes: Uint8Array, at: number): number => u8(bytes, at) * 256 + u8(bytes, at + 1);
const u32 = (bytes: Uint8Array, at: number): number => u16(bytes, at) * 65536 + u16(bytes, at + 2);

const size = (count: number): string => `${count.toLocaleString('en')} byte${count === 1 ? '' : 's'}`;

const offsets = new HeaderOffsets();

/** `bytes`: the beginning of a frame of `length` bytes. Null if it has neither IP nor ARP. */
export function packetOf(bytes: Uint8Array, length: number): Packet | null {
  const at = offsets.find(bytes, 0, length);
  const vlan = at.vlan > 0 ? `vlan ${u16(bytes, at.vlan) & 0xfff} ` : '';
  if (at.arp > 0 && at.arp + 28 <= bytes.length) return arp(bytes, at.arp, vlan);
  if (at.ip === 0 || at.ip + (at.v6 ? 40 : 20) > bytes.length) return null;
  const [source, target] = at.v6
    ? [ipv6Text(bytes, at.ip + 8), ipv6Text(bytes, at.ip + 24)]
    : [ipv4Text(bytes, at.ip + 12), ipv4Text(bytes, at.ip + 16)];
  const ends = { source, target, vlan };
  if (at.transport === 0 || at.transport + 8 > bytes.length) return other(ends, at.protocol, at.ipEnd - at.payload);
  if (at.protocol === PROTOCOL.icmp || at.protocol === PROTOCOL.icmpv6) return icmp(ends, bytes, at.transport, at.v6);
  const isTcp = at.protocol === PROTOCOL.tcp;
  if (isTcp && at.transport + TCP_HEADER_BYTES > bytes.length) return other(ends, at.protocol, at.ipEnd - at.payload);
  const end = (address: string, port: number): string => (at.v6 ? `[${address}]:${port}` : `${address}:${port}`);
  const ported = {
    source: end(source, u16(bytes, at.transport)),
    target: end(target, u16(bytes, at.transport + 2)),
    vlan,
  };
  return isTcp ? tcp(ported, bytes, at.transport, at.ipEnd) : udp(ported, at.ipEnd - at.transport);
}

interface Ends {
  source: string;
  target: string;
  vlan: string;
}

const keyOf = (protocol: string, { source, target, vlan }: Ends): string =>
  `${vlan}${protocol} ${source < target ? `${source} ${target}` : `${target} ${source}`}`;

function packet(protocol: string, ends: Ends, label: string, more: Partial<Packet> = {}): Packet {
  const { source, target } = ends;
  return { protocol, source, target, key: keyOf(protocol, ends), fromClient: null, label, tcp: null, ...more };
}

function tcp(ends: Ends, bytes: Uint8Array, at: number, end: number): Packet {
  const flags = u8(bytes, at + 13);
  const header = (u8(bytes, at + 12) >>> 4) * 4;
  const isSyn = (flags & TCP_FLAG.syn) !== 0;
  const segment = {
    sequence: u32(bytes, at + 4),
    acknowledgment: u32(bytes, at + 8),
    flags,
    window: u16(bytes, at + 14),
    payload: Math.max(0, end - at - Math.max(TCP_HEADER_BYTES, header)),
    scale: isSyn ? windowScale(bytes, at + TCP_HEADER_BYTES, at + header) : null,
  };
  return packet('TCP', ends, tcpLabel(segment), { tcp: segment, fromClient: clientOf(flags) ?? byPort(ends) });
}

/** A SYN comes from the client, its answer does not. */
const clientOf = (flags: number): boolean | null =>
  (flags & TCP_FLAG.syn) === 0 ? null : (flags & TCP_FLAG.ack) === 0;

/** A client has the higher port, as for faults. */
function byPort({ source, target }: Ends): boolean | null {
  const [from, to] = [source, target].map((end) => Number(end.slice(end.lastIndexOf(':') + 1)));
  return from === to ? null : (from ?? 0) > (to ?? 0);
}

function tcpLabel({ flags, payload }: TcpSegment): string {
  const names = Object.entries(TCP_FLAG).filter(([, bit]) => (flags & bit) !== 0);
  const words = names.map(([name]) => name.toUpperCase()).join(' ') || 'no flags';
  return payload > 0 ? `${words}, ${size(payload)}` : words;
}

function windowScale(bytes: Uint8Array, from: number, to: number): number | null {
  for (let at = from; at < Math.min(to, bytes.length);) {
    const kind = u8(bytes, at);
    if (kind === OPTION.end) return null;
    if (kind === OPTION.windowScale) return Math.min(SCALE_MAX, u8(bytes, at + 2));
    at += kind === OPTION.nothing ? 1 : Math.max(2, u8(bytes, at + 1));
  }
  return null;
}

const udp = (ends: Ends, length: number): Packet => packet('UDP', ends, size(Math.max(0, length - UDP_HEADER_BYTES)));

function icmp(ends: Ends, bytes: Uint8Array, at: number, v6: boolean): Packet {
  const [protocol, names, echo] = v6 ? ['ICMPv6', ICMPV6_NAMES, ECHO_V6] : ['ICMP', ICMP_NAMES, ECHO];
  const [type, code] = [u8(bytes, at), u8(bytes, at + 1)];
  const isRequest = echo[type];
  if (isRequest === undefined) return packet(protocol, ends, names[type] ?? `type ${type}, code ${code}`);
  // Both ends may have one address, and then only the type says which of them has sent it.
  const [client, server] = isRequest ? [ends.source, ends.target] : [ends.target, ends.source];
  const id = u16(bytes, at + 4);
  const key = `${ends.vlan}${protocol} echo ${client} ${server} ${id}`;
  const label = `echo ${isRequest ? 'request' : 'reply'} ${u16(bytes, at + 6)}`;
  return packet(`${protocol} echo`, ends, label, { key, fromClient: isRequest });
}

function other(ends: Ends, protocol: number, length: number): Packet {
  const known = Object.entries(PROTOCOL).find(([, number]) => number === protocol)?.[0];
  const name = known?.replace('icmpv6', 'ICMPv6') ?? OTHER_NAMES[protocol];
  const label = known === undefined ? size(Math.max(0, length)) : `a fragment, ${size(Math.max(0, length))}`;
  const words = name === undefined ? `IP protocol ${protocol}` : name === 'ICMPv6' ? name : name.toUpperCase();
  return packet(known === undefined ? words : `${words} fragments`, ends, label);
}

function arp(bytes: Uint8Array, at: number, vlan: string): Packet {
  const ends = { source: ipv4Text(bytes, at + 14), target: ipv4Text(bytes, at + 24), vlan };
  const isRequest = u16(bytes, at + 6) === 1;
  const label = isRequest ? `who has ${ends.target}?` : `${ends.source} is here`;
  return packet('ARP', ends, label, { fromClient: isRequest });
}
