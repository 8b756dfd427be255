// SPDX-License-Identifier: MIT
/** A frame as a hook sees it, and its description in words. Headers that it does not have are null. */
import { ETHER_TYPE, FrameData, PROTOCOL, TCP_FLAG } from './headers';
import { Arp, Ethernet, Icmp, Icmpv6, Ipv4, Ipv6, Tcp, Udp, Vlan } from './layers';

/**
 * Headers are read in place: nothing is copied, and nothing allocated except for addresses as text. One object shows
 * all frames, so it is valid until the hook returns.
 */
export class Frame {
  readonly ethernet: Ethernet;
  private readonly views: {
    vlan: Vlan;
    arp: Arp;
    ipv4: Ipv4;
    ipv6: Ipv6;
    icmp: Icmp;
    icmpv6: Icmpv6;
    udp: Udp;
    tcp: Tcp;
  };

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

  /** A frame outside of a loop, such as one in a test. `bytes` is not copied. */
  static of(bytes: Uint8Array): Frame {
    const data = new FrameData(() => bytes);
    data.open(bytes, 0, bytes.length);
    return new Frame(data);
  }

  /** The memory of a frame, for code that reads frames without copying them. @internal */
  static dataOf(frame: Frame): FrameData {
    return frame.data;
  }

  /** Length in bytes, VLAN tags included. */
  get length(): number {
    this.data.requireOpen();
    return this.data.length;
  }

  /**
   * The whole frame with complete checksums: a copy that is made when it is first asked for. It may be changed, and
   * returned as an answer; fixChecksums() makes its checksums right again after a change. Valid until the hook returns.
   */
  get bytes(): Uint8Array {
    return this.data.bytes();
  }

  /** A copy that stays valid. */
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
  /** The IP header of either version. */
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

// A frame in words, a line for each header.

const nameIn = (table: Readonly<Record<string, number>>, number: number): string =>
  Object.keys(table).find((name) => table[name] === number) ?? `0x${number.toString(16)}`;

const ECHO: Readonly<Record<number, string>> = {
  0: 'echo reply',
  8: 'echo request',
  128: 'echo request',
  129: 'echo reply',
};
const NEIGHBOUR: Readonly<Record<number, string>> = { 135: 'neighbour solicitation', 136: 'neighbour advertisement' };

/** Lines such as `ipv4      10.0.0.1 > 10.0.0.2, ttl 64`. */
export function summaryOf(frame: Frame): string[] {
  const { ethernet, vlan, arp, ipv4, ipv6 } = frame;
  const lines = [
    [
      'ethernet',
      `${ethernet.source} > ${ethernet.destination}, ${nameIn(ETHER_TYPE, ethernet.type)}, ${frame.length} bytes`,
    ],
  ];
  if (vlan) lines.push(['vlan', `${vlan.id}, priority ${vlan.priority}`]);
  if (arp) {
    const what =
      arp.operation === 1 ? `who has ${arp.targetIp}? tell ${arp.senderIp}` : `${arp.senderIp} is at ${arp.senderMac}`;
    lines.push(['arp', what]);
  }
  const part = (frame.ip?.isFragment ?? false) ? ', a fragment' : '';
  if (ipv4)
    lines.push(['ipv4', `${ipv4.source} > ${ipv4.destination}, ttl ${ipv4.ttl}, protocol ${ipv4.protocol}${part}`]);
  if (ipv6)
    lines.push([
      'ipv6',
      `${ipv6.source} > ${ipv6.destination}, hop limit ${ipv6.hopLimit}, protocol ${ipv6.protocol}${part}`,
    ]);
  lines.push(...transportOf(frame));
  return lines.map(([name = '', text = '']) => `${name.padEnd(9)} ${text}`);
}

function transportOf({ icmp, icmpv6, udp, tcp }: Frame): string[][] {
  if (icmpv6?.target) return [['icmpv6', `${NEIGHBOUR[icmpv6.type] ?? `type ${icmpv6.type}`} for ${icmpv6.target}`]];
  const message = icmp ?? icmpv6;
  if (message) {
    const echo = ECHO[message.type];
    const what =
      echo === undefined
        ? `type ${message.type}, code ${message.code}`
        : `${echo}, id ${message.identifier}, sequence ${message.sequence}`;
    return [[icmp ? 'icmp' : 'icmpv6', what]];
  }
  if (udp) return [['udp', `port ${udp.sourcePort} > ${udp.destinationPort}, ${udp.length - 8} bytes`]];
  if (!tcp) return [];
  const flags = Object.entries(TCP_FLAG)
    .filter(([, bit]) => (tcp.flags & bit) !== 0)
    .map(([name]) => name.toUpperCase());
  return [
    [
      'tcp',
      `port ${tcp.sourcePort} > ${tcp.destinationPort}, ${flags.join(' ') || 'no flags'}, sequence ${tcp.sequence}, window ${tcp.window}`,
    ],
  ];
}

/** Bytes as `xxd` shows them: offset, sixteen bytes, and their text. */
export function hexDump(bytes: Uint8Array): string[] {
  return Array.from({ length: Math.ceil(bytes.length / 16) }, (_, i) => {
    const row = [...bytes.subarray(i * 16, i * 16 + 16)];
    const hex = row.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const text = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('');
    return `${(i * 16).toString(16).padStart(4, '0')}  ${hex.padEnd(47)}  ${text}`;
  });
}
