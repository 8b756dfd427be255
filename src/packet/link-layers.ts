// SPDX-License-Identifier: MIT
/** Ethernet, VLAN tags and ARP. */
import { ipv4Text, macText } from './addresses';
import { Layer } from './layer';

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
  /** What the frame carries, behind its VLAN tags. */
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
  /** 1 asks, 2 answers. */
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
