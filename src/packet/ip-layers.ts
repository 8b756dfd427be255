// SPDX-License-Identifier: MIT
/** IPv4 (RFC 791) and IPv6 (RFC 8200). */
import { ipv4Text, ipv6Text } from './addresses';
import { Layer } from './layer';

abstract class Ip extends Layer {
  get offset(): number {
    return this.data.offsets().ip;
  }
  /** What it carries: 1 ICMP, 6 TCP, 17 UDP, 58 ICMPv6. IPv6 extension headers are passed over. */
  get protocol(): number {
    return this.data.offsets().protocol;
  }
  /** Whether this is a part of a packet only. */
  get isFragment(): boolean {
    return this.data.offsets().fragment;
  }
  /** Where in the packet this part begins, bytes: 0 in the first, and in a packet that is whole. */
  get fragmentOffset(): number {
    return this.data.offsets().fragmentOffset;
  }
  /** Behind the header; a copy that may be written to, as `frame.bytes`. */
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
  /** The address as a number, for looking it up without making a text of it. */
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
  /** Bytes of the packet as its header says; 0 in a superpacket of more than 64 KiB. */
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
  /** Bytes behind the header as it says. */
  get payloadLength(): number {
    return this.u16(4);
  }
}
