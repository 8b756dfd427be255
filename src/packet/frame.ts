// SPDX-License-Identifier: MIT
/** A frame as a hook sees it, and the same in words. Headers that it does not have are null. */
import { FrameData } from './frame-data';
import { Ipv4, Ipv6 } from './ip-layers';
import { Arp, Ethernet, Vlan } from './link-layers';
import { PROTOCOL } from './protocols';
import { Icmp, Icmpv6, Tcp, Udp } from './transport-layers';

/**
 * The fields of headers are read where the frame lies: nothing is copied and nothing allocated but
 * addresses as text. One object shows all frames, so it is good until the hook returns.
 */
export class Frame {
  readonly ethernet: Ethernet;
  private readonly views: { vlan: Vlan; arp: Arp; ipv4: Ipv4; ipv6: Ipv6; icmp: Icmp; icmpv6: Icmpv6; udp: Udp; tcp: Tcp };

  constructor(private readonly data: FrameData) {
    this.ethernet = new Ethernet(data);
    this.views = {
      vlan: new Vlan(data),
      arp: new Arp(data),
      ipv4: new Ipv4(data),
      ipv6: new Ipv6(data),
      icmp: new Icmp(data),
      icmpv6: new Icmpv6(data),
      udp: new Udp(data),
      tcp: new Tcp(data),
    };
  }

  /** A frame that is not in a loop, such as one in a test. `bytes` is not copied. */
  static of(bytes: Uint8Array): Frame {
    const data = new FrameData(() => bytes);
    data.open(bytes, 0, bytes.length);
    return new Frame(data);
  }

  /** Bytes, VLAN tags included. */
  get length(): number {
    this.data.requireOpen();
    return this.data.length;
  }

  /**
   * The whole frame, checksums complete: a copy made when it is first asked for. It may be written to and answered
   * with; if it was changed, fixChecksums() makes its checksums right again. It is good until the hook returns.
   */
  get bytes(): Uint8Array {
    return this.data.bytes();
  }

  /** A copy that stays. */
  copy(): Uint8Array {
    return Uint8Array.from(this.bytes);
  }

  /** The outermost VLAN tag. */
  get vlan(): Vlan | null {
    return this.data.offsets().vlan > 0 ? this.views.vlan : null;
  }
  get arp(): Arp | null {
    return this.data.offsets().arp > 0 ? this.views.arp : null;
  }
  get ipv4(): Ipv4 | null {
    const { ip, v6 } = this.data.offsets();
    return ip > 0 && !v6 ? this.views.ipv4 : null;
  }
  get ipv6(): Ipv6 | null {
    const { ip, v6 } = this.data.offsets();
    return ip > 0 && v6 ? this.views.ipv6 : null;
  }
  /** The IP header, whichever version. */
  get ip(): Ipv4 | Ipv6 | null {
    return this.ipv4 ?? this.ipv6;
  }
  get icmp(): Icmp | null {
    return this.carries(PROTOCOL.icmp) ? this.views.icmp : null;
  }
  get icmpv6(): Icmpv6 | null {
    return this.carries(PROTOCOL.icmpv6) ? this.views.icmpv6 : null;
  }
  get udp(): Udp | null {
    return this.carries(PROTOCOL.udp) ? this.views.udp : null;
  }
  get tcp(): Tcp | null {
    return this.carries(PROTOCOL.tcp) ? this.views.tcp : null;
  }

  private carries(protocol: number): boolean {
    const offsets = this.data.offsets();
    return offsets.transport > 0 && offsets.protocol === protocol;
  }
}
