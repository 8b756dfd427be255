// SPDX-License-Identifier: MIT
/** A frame in words, a line for each header. */
import type { Frame } from './frame';
import { ETHER_TYPE, TCP_FLAG } from './protocols';

const nameIn = (table: Readonly<Record<string, number>>, number: number): string => Object.keys(table).find((name) => table[name] === number) ?? `0x${number.toString(16)}`;

const ECHO: Readonly<Record<number, string>> = { 0: 'echo reply', 8: 'echo request', 128: 'echo request', 129: 'echo reply' };
const NEIGHBOUR: Readonly<Record<number, string>> = { 135: 'neighbour solicitation', 136: 'neighbour advertisement' };

/** Lines such as `ipv4      10.0.0.1 > 10.0.0.2, ttl 64`. */
export function summaryOf(frame: Frame): string[] {
  const { ethernet, vlan, arp, ipv4, ipv6 } = frame;
  const lines = [['ethernet', `${ethernet.source} > ${ethernet.destination}, ${nameIn(ETHER_TYPE, ethernet.type)}, ${frame.length} bytes`]];
  if (vlan) lines.push(['vlan', `${vlan.id}, priority ${vlan.priority}`]);
  if (arp) {
    const what = arp.operation === 1 ? `who has ${arp.targetIp}? tell ${arp.senderIp}` : `${arp.senderIp} is at ${arp.senderMac}`;
    lines.push(['arp', what]);
  }
  const part = (frame.ip?.isFragment ?? false) ? ', a fragment' : '';
  if (ipv4) lines.push(['ipv4', `${ipv4.source} > ${ipv4.destination}, ttl ${ipv4.ttl}, protocol ${ipv4.protocol}${part}`]);
  if (ipv6) lines.push(['ipv6', `${ipv6.source} > ${ipv6.destination}, hop limit ${ipv6.hopLimit}, protocol ${ipv6.protocol}${part}`]);
  lines.push(...transportOf(frame));
  return lines.map(([name = '', text = '']) => `${name.padEnd(9)} ${text}`);
}

function transportOf({ icmp, icmpv6, udp, tcp }: Frame): string[][] {
  if (icmpv6?.target) return [['icmpv6', `${NEIGHBOUR[icmpv6.type] ?? `type ${icmpv6.type}`} for ${icmpv6.target}`]];
  const message = icmp ?? icmpv6;
  if (message) {
    const echo = ECHO[message.type];
    const what = echo === undefined ? `type ${message.type}, code ${message.code}` : `${echo}, id ${message.identifier}, sequence ${message.sequence}`;
    return [[icmp ? 'icmp' : 'icmpv6', what]];
  }
  if (udp) return [['udp', `port ${udp.sourcePort} > ${udp.destinationPort}, ${udp.length - 8} bytes`]];
  if (!tcp) return [];
  const flags = Object.entries(TCP_FLAG).filter(([, bit]) => (tcp.flags & bit) !== 0).map(([name]) => name.toUpperCase());
  return [['tcp', `port ${tcp.sourcePort} > ${tcp.destinationPort}, ${flags.join(' ') || 'no flags'}, sequence ${tcp.sequence}, window ${tcp.window}`]];
}

/** Bytes as `xxd` shows them: offset, sixteen bytes, and what of them is text. */
export function hexDump(bytes: Uint8Array): string[] {
  return Array.from({ length: Math.ceil(bytes.length / 16) }, (_, i) => {
    const row = [...bytes.subarray(i * 16, i * 16 + 16)];
    const hex = row.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const text = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('');
    return `${(i * 16).toString(16).padStart(4, '0')}  ${hex.padEnd(47)}  ${text}`;
  });
}
