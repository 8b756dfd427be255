// SPDX-License-Identifier: MIT
/** Finds the headers of a frame, and knows the numbers of their protocols. A header is found only if it is complete. */

// Numbers of known protocols (IEEE 802 and IANA).

/** EtherTypes: what follows the Ethernet header. */
export const ETHER_TYPE = { ipv4: 0x0800, arp: 0x0806, vlan: 0x8100, qinq: 0x88a8, ipv6: 0x86dd } as const;

/** Protocol numbers: what follows the IP header. */
export const PROTOCOL = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58 } as const;

/** IPv6 extension headers that may come before a packet's payload. */
export const EXTENSION = { hopByHop: 0, routing: 43, fragment: 44, authentication: 51, destination: 60 } as const;

/** Bits of the TCP flags byte. */
export const TCP_FLAG = {
  fin: 0x01,
  syn: 0x02,
  rst: 0x04,
  psh: 0x08,
  ack: 0x10,
  urg: 0x20,
  ece: 0x40,
  cwr: 0x80,
} as const;

export const ETH_HEADER_BYTES = 14;
export const VLAN_TAG_BYTES = 4;
export const IPV4_HEADER_BYTES = 20;
export const IPV6_HEADER_BYTES = 40;
export const UDP_HEADER_BYTES = 8;
export const TCP_HEADER_BYTES = 20;
export const ICMP_HEADER_BYTES = 8;
export const ARP_BYTES = 28;

/** The shortest header of each transport protocol. */
export const TRANSPORT_BYTES: Readonly<Record<number, number>> = {
  [PROTOCOL.tcp]: TCP_HEADER_BYTES,
  [PROTOCOL.udp]: UDP_HEADER_BYTES,
  [PROTOCOL.icmp]: ICMP_HEADER_BYTES,
  [PROTOCOL.icmpv6]: ICMP_HEADER_BYTES,
};

/**
 * The places of a frame's headers. All offsets count from the first byte of the frame; 0 means that there is no such
 * header.
 */
export class HeaderOffsets {
  /** The EtherType after the Ethernet header and its VLAN tags. */
  etherType = 0;
  vlan = 0;
  arp = 0;
  ip = 0;
  v6 = false;
  /** The offset after the IPv4 header and its options, or after the IPv6 header. */
  ipPayload = 0;
  /** Where the IP packet ends: what follows is padding. */
  ipEnd = 0;
  /** Whether the IP packet ends where the frame does, as its own header says. */
  fillsFrame = false;
  /** The protocol that the IP packet carries, after any extension headers. */
  protocol = 0;
  /** Whether this is only a part of a packet. */
  fragment = false;
  /** Where in the packet that part begins, in bytes. */
  fragmentOffset = 0;
  /** Where the content of these headers begins: a transport header, or anything unknown. */
  payload = 0;
  /** TCP, UDP, ICMP or ICMPv6; 0 in a fragment that is not the first. */
  transport = 0;

  /** Finds the headers of the frame in `memory[start, start + length)`. */
  find(memory: Uint8Array, start: number, length: number): this {
    this.vlan =
      this.arp =
      this.ip =
      this.ipPayload =
      this.ipEnd =
      this.protocol =
      this.payload =
      this.transport =
      this.etherType =
      this.fragmentOffset =
        0;
    this.fragment = this.v6 = this.fillsFrame = false;
    if (length < ETH_HEADER_BYTES) return this;
    let at = ETH_HEADER_BYTES;
    let type = u16(memory, start + 12);
    while ((type === ETHER_TYPE.vlan || type === ETHER_TYPE.qinq) && at + VLAN_TAG_BYTES <= length) {
      this.vlan ||= at;
      type = u16(memory, start + at + 2);
      at += VLAN_TAG_BYTES;
    }
    this.etherType = type;
    this.payload = at;
    if (type === ETHER_TYPE.ipv4) this.findIpv4(memory, start, length, at);
    else if (type === ETHER_TYPE.ipv6) this.findIpv6(memory, start, length, at);
    else if (type === ETHER_TYPE.arp && at + ARP_BYTES <= length) this.arp = at;
    return this;
  }

  private findIpv4(memory: Uint8Array, start: number, length: number, at: number): void {
    if (at + IPV4_HEADER_BYTES > length || (memory[start + at] as number) >>> 4 !== 4) return;
    const header = ((memory[start + at] as number) & 15) * 4;
    // 0: a superpacket with more bytes than the field can say (iph_totlen in include/linux/ip.h).
    const total = u16(memory, start + at + 2) || length - at;
    if (header < IPV4_HEADER_BYTES || at + header > length) return;
    this.ip = at;
    this.ipPayload = this.payload = at + header;
    this.ipEnd = Math.min(length, at + Math.max(header, total));
    this.fillsFrame = at + total === length;
    this.protocol = memory[start + at + 9] as number;
    const fragment = u16(memory, start + at + 6) & 0x3fff;
    this.fragment = fragment !== 0;
    this.fragmentOffset = (fragment & 0x1fff) * 8;
    if (this.fragmentOffset === 0) this.findTransport(this.ipPayload);
  }

  private findIpv6(memory: Uint8Array, start: number, length: number, at: number): void {
    if (at + IPV6_HEADER_BYTES > length || (memory[start + at] as number) >>> 4 !== 6) return;
    this.ip = at;
    this.v6 = true;
    this.ipPayload = at + IPV6_HEADER_BYTES;
    let next = memory[start + at + 6] as number;
    const bytes = u16(memory, start + at + 4);
    // The kernel then takes everything up to the end, a jumbo payload or not (ip6_rcv_core in net/ipv6/ip6_input.c).
    const toTheEnd = bytes === 0 && next === EXTENSION.hopByHop;
    this.ipEnd = toTheEnd ? length : Math.min(length, this.ipPayload + bytes);
    this.fillsFrame = toTheEnd || this.ipPayload + bytes === length;
    let header = this.ipPayload;
    let first = true;
    // What follows the header of a later fragment is not a header.
    while (first && isExtension(next) && header + 8 <= this.ipEnd) {
      const kind = next;
      if (kind === EXTENSION.fragment) {
        this.fragment = true;
        this.fragmentOffset = u16(memory, start + header + 2) & 0xfff8;
        first = this.fragmentOffset === 0;
      }
      next = memory[start + header] as number;
      header += extensionBytes(kind, memory[start + header + 1] as number);
    }
    this.protocol = next;
    this.payload = header;
    if (first) this.findTransport(header);
  }

  private findTransport(at: number): void {
    const bytes = TRANSPORT_BYTES[this.protocol];
    if (bytes !== undefined && at + bytes <= this.ipEnd) this.transport = at;
  }
}

const u16 = (memory: Uint8Array, at: number): number => ((memory[at] as number) << 8) | (memory[at + 1] as number);

const isExtension = (kind: number): boolean =>
  kind === EXTENSION.hopByHop ||
  kind === EXTENSION.routing ||
  kind === EXTENSION.fragment ||
  kind === EXTENSION.destination ||
  kind === EXTENSION.authentication;

/**
 * The length of an extension header. RFC 8200 counts in units of 8 bytes beyond the first, RFC 4302 in units of 4
 * beyond the second.
 */
function extensionBytes(kind: number, units: number): number {
  if (kind === EXTENSION.fragment) return 8;
  return kind === EXTENSION.authentication ? (units + 2) * 4 : (units + 1) * 8;
}

// The memory behind a Frame. One object is used for frame after frame, so that looking at a frame allocates nothing.
// Headers are found when the first of them is asked for.

const NOTHING = new Uint8Array(0);

/** Makes a copy that may be changed, with complete checksums. */
export type MakeWritable = (data: FrameData) => Uint8Array;

export class FrameData {
  memory: Uint8Array = NOTHING;
  start = 0;
  length = 0;
  /** The copy that a caller has been given, or null. */
  writable: Uint8Array | null = null;
  private readonly headers = new HeaderOffsets();
  private found = false;
  private isOpen = false;

  constructor(private readonly makeWritable: MakeWritable) {}

  /** Shows the frame in `memory[start, start + length)` from now on. */
  open(memory: Uint8Array, start: number, length: number): void {
    this.memory = memory;
    this.start = start;
    this.length = length;
    this.writable = null;
    this.found = false;
    this.isOpen = true;
  }

  /** Ends the validity of the frame: every view of it throws from now on. */
  close(): void {
    this.isOpen = false;
  }

  requireOpen(): void {
    if (!this.isOpen) {
      throw new Error(
        'this frame was looked at after the hook had returned: its memory holds another one now; frame.copy() makes one that stays',
      );
    }
  }

  offsets(): HeaderOffsets {
    this.requireOpen();
    if (!this.found) {
      this.headers.find(this.memory, this.start, this.length);
      this.found = true;
    }
    return this.headers;
  }

  u8(offset: number): number {
    this.requireOpen();
    return this.memory[this.start + offset] as number;
  }

  u16(offset: number): number {
    return (this.u8(offset) << 8) | (this.memory[this.start + offset + 1] as number);
  }

  u32(offset: number): number {
    return this.u16(offset) * 0x10000 + this.u16(offset + 2);
  }

  /** The writable copy, from which everything is read from now on. */
  bytes(): Uint8Array {
    this.requireOpen();
    if (this.writable === null) {
      const copy = this.makeWritable(this);
      this.memory = copy;
      this.start = 0;
      this.writable = copy;
    }
    this.found = false; // the caller may write into it
    return this.writable;
  }
}
