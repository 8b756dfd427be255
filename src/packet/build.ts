// SPDX-License-Identifier: MIT
/**
 * Makes frames from the inside out: ethernet({...}, ipv4({...}, udp({...}, payload))). Each function fills in the
 * lengths and checksums that it knows.
 */
import { ipv4Bytes, ipv6Bytes, macBytes } from './addresses';
import type { Frame } from './frame';
import {
  ARP_BYTES,
  ETH_HEADER_BYTES,
  ETHER_TYPE,
  ICMP_HEADER_BYTES,
  IPV4_HEADER_BYTES,
  IPV6_HEADER_BYTES,
  PROTOCOL,
  TCP_HEADER_BYTES,
  UDP_HEADER_BYTES,
  VLAN_TAG_BYTES,
} from './headers';
import { fixChecksums, fixIpv4Header, viewOf } from './offload';

/** What an IP packet carries. */
export interface Segment {
  protocol: number;
  bytes: Uint8Array;
}

/** What an Ethernet frame carries. */
export interface Packet {
  type: number;
  bytes: Uint8Array;
}

const NOTHING = new Uint8Array(0);

/** A header of `bytes` zero bytes, followed by the payload. */
function headed(bytes: number, payload: Uint8Array): { all: Uint8Array; view: DataView } {
  const all = new Uint8Array(bytes + payload.length);
  all.set(payload, bytes);
  return { all, view: viewOf(all) };
}

export interface EthernetFields {
  source: string;
  destination: string;
  /** An 802.1Q tag. */
  vlan?: { id: number; priority?: number };
}

/** A whole frame, with the checksums of what it carries. Not padded. */
export function ethernet({ source, destination, vlan }: EthernetFields, packet: Packet): Uint8Array {
  const header = ETH_HEADER_BYTES + (vlan ? VLAN_TAG_BYTES : 0);
  const { all, view } = headed(header, packet.bytes);
  all.set(macBytes(destination), 0);
  all.set(macBytes(source), 6);
  if (vlan) {
    view.setUint16(12, ETHER_TYPE.vlan);
    view.setUint16(14, ((vlan.priority ?? 0) << 13) | vlan.id);
  }
  view.setUint16(header - 2, packet.type);
  return fixChecksums(all);
}

export interface ArpFields {
  /** 1 is a request, 2 a reply. */
  operation: 1 | 2;
  senderMac: string;
  senderIp: string;
  targetMac: string;
  targetIp: string;
}

export function arp({ operation, senderMac, senderIp, targetMac, targetIp }: ArpFields): Packet {
  const { all, view } = headed(ARP_BYTES, NOTHING);
  view.setUint16(0, 1); // Ethernet
  view.setUint16(2, ETHER_TYPE.ipv4);
  view.setUint8(4, 6);
  view.setUint8(5, 4);
  view.setUint16(6, operation);
  all.set(macBytes(senderMac), 8);
  all.set(ipv4Bytes(senderIp), 14);
  all.set(macBytes(targetMac), 18);
  all.set(ipv4Bytes(targetIp), 24);
  return { type: ETHER_TYPE.arp, bytes: all };
}

export interface Ipv4Fields {
  source: string;
  destination: string;
  ttl?: number;
  identification?: number;
  tos?: number;
}

/** An IPv4 packet without options, with DF set. */
export function ipv4(
  { source, destination, ttl = 64, identification = 0, tos = 0 }: Ipv4Fields,
  { protocol, bytes }: Segment,
): Packet {
  const { all, view } = headed(IPV4_HEADER_BYTES, bytes);
  view.setUint8(0, 0x45);
  view.setUint8(1, tos);
  view.setUint16(2, all.length);
  view.setUint16(4, identification);
  view.setUint16(6, 0x4000);
  view.setUint8(8, ttl);
  view.setUint8(9, protocol);
  all.set(ipv4Bytes(source), 12);
  all.set(ipv4Bytes(destination), 16);
  fixIpv4Header(view, 0, IPV4_HEADER_BYTES);
  return { type: ETHER_TYPE.ipv4, bytes: all };
}

export interface Ipv6Fields {
  source: string;
  destination: string;
  hopLimit?: number;
  trafficClass?: number;
  flowLabel?: number;
}

export function ipv6(
  { source, destination, hopLimit = 64, trafficClass = 0, flowLabel = 0 }: Ipv6Fields,
  { protocol, bytes }: Segment,
): Packet {
  const { all, view } = headed(IPV6_HEADER_BYTES, bytes);
  view.setUint32(0, (6 * 0x10000000 + trafficClass * 0x100000 + flowLabel) >>> 0);
  view.setUint16(4, bytes.length);
  view.setUint8(6, protocol);
  view.setUint8(7, hopLimit);
  all.set(ipv6Bytes(source), 8);
  all.set(ipv6Bytes(destination), 24);
  return { type: ETHER_TYPE.ipv6, bytes: all };
}

/**
 * An ICMP message. `rest` are the four bytes after the checksum: in an echo, the identifier and the sequence number.
 */
export const icmp = (type: number, code: number, rest: number, payload: Uint8Array = NOTHING): Segment =>
  icmpOf(PROTOCOL.icmp, type, code, rest, payload);

export const icmpv6 = (type: number, code: number, rest: number, payload: Uint8Array = NOTHING): Segment =>
  icmpOf(PROTOCOL.icmpv6, type, code, rest, payload);

function icmpOf(protocol: number, type: number, code: number, rest: number, payload: Uint8Array): Segment {
  const { all, view } = headed(ICMP_HEADER_BYTES, payload);
  view.setUint8(0, type);
  view.setUint8(1, code);
  view.setUint32(4, rest >>> 0);
  return { protocol, bytes: all };
}

export interface UdpFields {
  sourcePort: number;
  destinationPort: number;
}

export function udp({ sourcePort, destinationPort }: UdpFields, payload: Uint8Array = NOTHING): Segment {
  const { all, view } = headed(UDP_HEADER_BYTES, payload);
  view.setUint16(0, sourcePort);
  view.setUint16(2, destinationPort);
  view.setUint16(4, all.length);
  return { protocol: PROTOCOL.udp, bytes: all };
}

export interface TcpFields {
  sourcePort: number;
  destinationPort: number;
  sequence: number;
  acknowledgment?: number;
  /** Bits of TCP_FLAG. */
  flags: number;
  window?: number;
  /** A multiple of four bytes, at most 40. */
  options?: Uint8Array;
}

export function tcp(fields: TcpFields, payload: Uint8Array = NOTHING): Segment {
  const {
    sourcePort,
    destinationPort,
    sequence,
    acknowledgment = 0,
    flags,
    window = 65535,
    options = NOTHING,
  } = fields;
  if (options.length % 4 !== 0 || options.length > 40) throw new RangeError(`TCP options of ${options.length} bytes`);
  const header = TCP_HEADER_BYTES + options.length;
  const { all, view } = headed(header, payload);
  view.setUint16(0, sourcePort);
  view.setUint16(2, destinationPort);
  view.setUint32(4, sequence >>> 0);
  view.setUint32(8, acknowledgment >>> 0);
  view.setUint8(12, (header / 4) << 4);
  view.setUint8(13, flags);
  view.setUint16(14, window);
  all.set(options, TCP_HEADER_BYTES);
  return { protocol: PROTOCOL.tcp, bytes: all };
}

// Frames that go back to where a frame came from.

/**
 * A frame that carries an answer back: source and destination change places. `source` is for an answer to a group
 * address, which cannot be a source.
 */
export function reply(frame: Frame, segment: Segment, source = frame.ethernet.destination): Uint8Array {
  return ethernet({ source, destination: frame.ethernet.source, ...tagOf(frame) }, packetBack(frame, segment));
}

function packetBack({ ipv4: v4, ipv6: v6 }: Frame, segment: Segment): Packet {
  if (v4) return ipv4({ source: v4.destination, destination: v4.source }, segment);
  if (v6) return ipv6({ source: v6.destination, destination: v6.source }, segment);
  throw new TypeError('a reply to a frame without IP');
}

const tagOf = ({ vlan }: Frame): { vlan?: { id: number; priority: number } } =>
  vlan ? { vlan: { id: vlan.id, priority: vlan.priority } } : {};

const ECHO = { v4: { request: 8, reply: 0 }, v6: { request: 128, reply: 129 } } as const;

/** The answer to a ping; null if the frame is none. */
export function echoReply(frame: Frame): Uint8Array | null {
  const { icmp: v4, icmpv6: v6 } = frame;
  if (v4?.type === ECHO.v4.request)
    return reply(frame, icmp(ECHO.v4.reply, 0, v4.identifier * 65536 + v4.sequence, v4.payload));
  if (v6?.type === ECHO.v6.request)
    return reply(frame, icmpv6(ECHO.v6.reply, 0, v6.identifier * 65536 + v6.sequence, v6.payload));
  return null;
}

// Address resolution: the answers to ARP and to IPv6 neighbour solicitations (RFC 4861).

const SOLICITATION = 135;
const ADVERTISEMENT = 136;
const SOLICITED_AND_OVERRIDE = 0x60000000;
const TARGET_ADDRESS_OPTION = [2, 1] as const; // of one unit of eight bytes

/** The address that a frame asks for; null if it does not ask for one. */
export function askedAddress({ arp: request, icmpv6: message }: Frame): string | null {
  if (request?.operation === 1) return request.targetIp;
  return message?.type === SOLICITATION ? message.target : null;
}

/**
 * The answer to a frame that asks for an address: "it is at `mac`". Null if the frame does not ask for one, or does not
 * say who asks.
 */
export function neighbourReply(frame: Frame, mac: string): Uint8Array | null {
  const address = askedAddress(frame);
  if (address === null) return null;
  const { arp: request, ipv6: packet } = frame;
  const link = { source: mac, destination: frame.ethernet.source };
  if (request) {
    const { senderMac, senderIp } = request;
    return ethernet(
      link,
      arp({ operation: 2, senderMac: mac, senderIp: address, targetMac: senderMac, targetIp: senderIp }),
    );
  }
  if (!packet || packet.source === '::') return null;
  const body = Uint8Array.from([...ipv6Bytes(address), ...TARGET_ADDRESS_OPTION, ...macBytes(mac)]);
  // Neighbour discovery is accepted only if no router was in between: with a hop limit of 255.
  return ethernet(
    link,
    ipv6(
      { source: address, destination: packet.source, hopLimit: 255 },
      icmpv6(ADVERTISEMENT, 0, SOLICITED_AND_OVERRIDE, body),
    ),
  );
}
