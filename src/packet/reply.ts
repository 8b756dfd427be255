// SPDX-License-Identifier: MIT
/** What goes back to where a frame came from. */
import { ethernet, icmp, icmpv6, ipv4, ipv6, type Packet, type Segment } from './build';
import type { Frame } from './frame';

/** A frame that carries an answer back: addresses changed places. `source` speaks for a group, which cannot. */
export function reply(frame: Frame, segment: Segment, source = frame.ethernet.destination): Uint8Array {
  return ethernet({ source, destination: frame.ethernet.source, ...tagOf(frame) }, packetBack(frame, segment));
}

function packetBack({ ipv4: v4, ipv6: v6 }: Frame, segment: Segment): Packet {
  if (v4) return ipv4({ source: v4.destination, destination: v4.source }, segment);
  if (v6) return ipv6({ source: v6.destination, destination: v6.source }, segment);
  throw new TypeError('a reply to a frame without IP');
}

const tagOf = ({ vlan }: Frame): { vlan?: { id: number; priority: number } } => (vlan ? { vlan: { id: vlan.id, priority: vlan.priority } } : {});

const ECHO = { v4: { request: 8, reply: 0 }, v6: { request: 128, reply: 129 } } as const;

/** The answer to a ping; null if it is none. */
export function echoReply(frame: Frame): Uint8Array | null {
  const { icmp: v4, icmpv6: v6 } = frame;
  if (v4?.type === ECHO.v4.request) return reply(frame, icmp(ECHO.v4.reply, 0, v4.identifier * 65536 + v4.sequence, v4.payload));
  if (v6?.type === ECHO.v6.request) return reply(frame, icmpv6(ECHO.v6.reply, 0, v6.identifier * 65536 + v6.sequence, v6.payload));
  return null;
}
