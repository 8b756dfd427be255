// SPDX-License-Identifier: MIT
/** The headers of a frame as objects with fields. Fields are read in the frame itself. */
import { ipv4Text, ipv6Text, macText } from './addresses';
import { type FrameData, ICMP_HEADER_BYTES, TCP_FLAG, UDP_HEADER_BYTES } from './headers';

export abstract class Layer {
  constructor(protected readonly data: FrameData) {}

  /** Where the header begins, in bytes from the start of the frame. */
  abstract get offset(): number;

  protected u8(at: number): number {
    return this.data.u8(this.offset + at);
  }

  protected u16(at: number): number {
    return this.data.u16(this.offset + at);
  }

  protected u32(at: number): number {
    return this.data.u32(this.offset + at);
  }

  /** An address as text; `text` reads it at a place in memory. */
  protected text(text: (memory: Uint8Array, at: number) => string, at: number): string {
    const { offset, data } = this;
    return text(data.memory, data.start + offset + at);
  }

  /** Part of the writable copy, from one place in the frame to another. */
  protected part(from: number, to: number): Uint8Array {
    return this.data.bytes().subarray(from, Math.max(from, to));
  }
}

// Ethernet, VLAN tags and ARP.

export class Ethernet extends Layer {
  get offset(): number {
    this.data.requireOpen();
    return 0;
  }
  get destination(): string {
    return this.text(macText, 0);
  }
  get source(): string {
    return this.text(macText, 6);
  }
  /** True for broadcast and multicast. */
  get isGroup(): boolean {
    return (this.u8(0) & 1) !== 0;
  }
  /** The EtherType of what the frame carries, after its VLAN tags. */
  get type(): number {
    return this.data.offsets().etherType;
  }
}

/** The outermost 802.1Q or 802.1ad tag. */
export class Vlan extends Layer {
  get offset(): number {
    return this.data.offsets().vlan;
  }
  /** 0x8100 or 0x88a8. */
  get tpid(): number {
    return this.u16(-2);
  }
  /** 0 to 4095. */
  get id(): number {
    return this.u16(0) & 0xfff;
  }
  /** 0 to 7. */
  get priority(): number {
    return this.u16(0) >>> 13;
  }
}

/** ARP for IPv4 on Ethernet (RFC 826). */
export class Arp extends Layer {
  get offset(): number {
    return this.data.offsets().arp;
  }
  /** 1 is a request, 2 a reply. */
  get operation(): number {
    return this.u16(6);
  }
  get senderMac(): string {
    return this.text(macText, 8);
  }
  get senderIp(): string {
    return this.text(ipv4Text, 14);
  }
  get targetMac(): string {
    return this.text(macText, 18);
  }
  get targetIp(): string {
    return this.text(ipv4Text, 24);
  }
}

// IPv4 (RFC 791) and IPv6 (RFC 8200).

abstract class Ip extends Layer {
  get offset(): number {
    return this.data.offsets().ip;
  }
  /** The protocol that it carries: 1 ICMP, 6 TCP, 17 UDP, 58 ICMPv6. IPv6 extension headers are skipped. */
  get protocol(): number {
    return this.data.offsets().protocol;
  }
  /** Whether this is only a part of a packet. */
  get isFragment(): boolean {
    return this.data.offsets().fragment;
  }
  /** Where in the packet this part begins, in bytes: 0 in the first part, and in a whole packet. */
  get fragmentOffset(): number {
    return this.data.offsets().fragmentOffset;
  }
  /** The bytes after the header: part of a copy that may be changed, as `frame.bytes`. */
  get payload(): Uint8Array {
    const { ipPayload, ipEnd } = this.data.offsets();
    return this.part(ipPayload, ipEnd);
  }
}

export class Ipv4 extends Ip {
  get source(): string {
    return this.text(ipv4Text, 12);
  }
  get destination(): string {
    return this.text(ipv4Text, 16);
  }
  /** The address as a number, to look it up without making a text of it. */
  get sourceBits(): number {
    return this.u32(12);
  }
  get destinationBits(): number {
    return this.u32(16);
  }
  get ttl(): number {
    return this.u8(8);
  }
  /** Differentiated services and congestion bits. */
  get tos(): number {
    return this.u8(1);
  }
  get identification(): number {
    return this.u16(4);
  }
  get dontFragment(): boolean {
    return (this.u8(6) & 0x40) !== 0;
  }
  /** Bytes, options included. */
  get headerLength(): number {
    return (this.u8(0) & 15) * 4;
  }
  /** Bytes of the packet according to its header; 0 in a superpacket of more than 64 KiB. */
  get totalLength(): number {
    return this.u16(2);
  }
}

export class Ipv6 extends Ip {
  get source(): string {
    return this.text(ipv6Text, 8);
  }
  get destination(): string {
    return this.text(ipv6Text, 24);
  }
  get hopLimit(): number {
    return this.u8(7);
  }
  /** Differentiated services and congestion bits. */
  get trafficClass(): number {
    return (this.u16(0) >>> 4) & 0xff;
  }
  get flowLabel(): number {
    return this.u32(0) % 0x100000;
  }
  /** Bytes after the header, according to the header. */
  get payloadLength(): number {
    return this.u16(4);
  }
}

// What IP carries: ICMP (RFC 792), ICMPv6 (RFC 4443, 4861), UDP (RFC 768), TCP (RFC 9293).

abstract class Transport extends Layer {
  get offset(): number {
    return this.data.offsets().transport;
  }
  protected behind(header: number): Uint8Array {
    const { transport, ipEnd } = this.data.offsets();
    return this.part(transport + header, ipEnd);
  }
}

export class Icmp extends Transport {
  get type(): number {
    return this.u8(0);
  }
  get code(): number {
    return this.u8(1);
  }
  /** Of an echo. */
  get identifier(): number {
    return this.u16(4);
  }
  /** Of an echo. */
  get sequence(): number {
    return this.u16(6);
  }
  /** The bytes after the first eight. */
  get payload(): Uint8Array {
    return this.behind(ICMP_HEADER_BYTES);
  }
}

export class Icmpv6 extends Icmp {
  /** The address that a neighbour solicitation or advertisement is about; null in other messages. */
  get target(): string | null {
    const { transport, ipEnd } = this.data.offsets();
    const is = this.type === 135 || this.type === 136;
    return is && transport + 24 <= ipEnd ? this.text(ipv6Text, 8) : null;
  }
}

abstract class Ported extends Transport {
  get sourcePort(): number {
    return this.u16(0);
  }
  get destinationPort(): number {
    return this.u16(2);
  }
}

export class Udp extends Ported {
  get payload(): Uint8Array {
    return this.behind(UDP_HEADER_BYTES);
  }
  /** Bytes according to the header, which is included. */
  get length(): number {
    return this.u16(4);
  }
}

export class Tcp extends Ported {
  get sequence(): number {
    return this.u32(4);
  }
  get acknowledgment(): number {
    return this.u32(8);
  }
  /** Bytes, options included. */
  get headerLength(): number {
    return (this.u8(12) >>> 4) * 4;
  }
  /** The bits of TCP_FLAG. */
  get flags(): number {
    return this.u8(13);
  }
  get syn(): boolean {
    return (this.flags & TCP_FLAG.syn) !== 0;
  }
  get ack(): boolean {
    return (this.flags & TCP_FLAG.ack) !== 0;
  }
  get fin(): boolean {
    return (this.flags & TCP_FLAG.fin) !== 0;
  }
  get rst(): boolean {
    return (this.flags & TCP_FLAG.rst) !== 0;
  }
  get psh(): boolean {
    return (this.flags & TCP_FLAG.psh) !== 0;
  }
  get window(): number {
    return this.u16(14);
  }
  get payload(): Uint8Array {
    return this.behind(this.headerLength);
  }
}
