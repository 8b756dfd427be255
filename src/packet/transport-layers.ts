// SPDX-License-Identifier: MIT
/** What IP carries: ICMP (RFC 792), ICMPv6 (RFC 4443, 4861), UDP (RFC 768), TCP (RFC 9293). */
import { ipv6Text } from './addresses';
import { Layer } from './layer';
import { ICMP_HEADER_BYTES, TCP_FLAG, UDP_HEADER_BYTES } from './protocols';

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
  /** Behind the first eight bytes. */
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
  /** Bytes, header included, as the header says. */
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
