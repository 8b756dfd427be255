// SPDX-License-Identifier: MIT
/**
 * Frames that a fault makes from another: changed, shortened or marked frames, and the answers of a network that
 * refuses it.
 */
import { ethernet, icmp, icmpv6, ipv4, ipv6, type Packet, reply, type Segment, tcp } from '../packet/build';
import { Frame } from '../packet/frame';
import { HeaderOffsets, PROTOCOL, TCP_FLAG, TCP_HEADER_BYTES, UDP_HEADER_BYTES } from '../packet/headers';
import { fixChecksums } from '../packet/offload';
import type { FramePart, Side, Unreachable } from './rules';

const ETH_HEADER_BYTES = 14;

/** Where a part of a frame lies; if the frame does not have that part, the next outer one. */
export function partOf(frame: Uint8Array, wanted: FramePart): { from: number; to: number } {
  const { ip, ipPayload, ipEnd, transport, protocol } = new HeaderOffsets().find(frame, 0, frame.length);
  if (ip === 0) return { from: Math.min(ETH_HEADER_BYTES, frame.length - 1), to: frame.length };
  const header = transport === 0 ? 0 : protocol === PROTOCOL.tcp ? tcpHeaderBytes(frame, transport) : UDP_HEADER_BYTES;
  const payload = transport === 0 ? ipPayload : Math.min(ipEnd, transport + header);
  if (wanted === 'payload' && payload < ipEnd) return { from: payload, to: ipEnd };
  if (wanted !== 'ip' && transport > 0) return { from: transport, to: payload };
  return { from: ip, to: ipPayload };
}

/** A frame may claim a shorter header than TCP's. */
const tcpHeaderBytes = (frame: Uint8Array, transport: number): number =>
  Math.max(TCP_HEADER_BYTES, ((frame[transport + 12] as number) >>> 4) * 4);

/**
 * Flips one bit of a frame, in place, and returns its number in the part. `bit` counts from the beginning of the part,
 * and wraps around at its end.
 */
export function corrupt(frame: Uint8Array, part: FramePart, bit: number, valid: boolean): number {
  const { from, to } = partOf(frame, part);
  const at = bit % ((to - from) * 8);
  const index = from + (at >>> 3);
  frame[index] = (frame[index] as number) ^ (0x80 >>> (at & 7));
  if (valid) fixChecksums(frame);
  return at;
}

/** The codepoints of RFC 3168, in the last two bits of the traffic class. */
const ECN = { bits: 3, notCapable: 0, congestion: 3 } as const;

/** Marks a frame, in place, as having met congestion; false if it is not ECN-capable, or marked already. */
export function markCongestion(frame: Uint8Array): boolean {
  const { ip, v6 } = new HeaderOffsets().find(frame, 0, frame.length);
  if (ip === 0) return false;
  // IPv6 has the traffic class in the middle of its first two bytes.
  const [at, shift] = v6 ? [ip + 1, 4] : [ip + 1, 0];
  const is = ((frame[at] as number) >>> shift) & ECN.bits;
  if (is === ECN.notCapable || is === ECN.congestion) return false;
  frame[at] = (frame[at] as number) | (ECN.congestion << shift);
  fixChecksums(frame);
  return true;
}

/** The resets that the sides of a TCP connection receive in place of a frame. */
export function resets(frame: Frame, from: Side, to: Side | 'both'): Uint8Array[] {
  const { tcp: segment } = frame;
  if (segment === null) return [];
  const { sourcePort, destinationPort, sequence, acknowledgment } = segment;
  const made: Uint8Array[] = [];
  // Each side accepts a reset only with the sequence number that it expects next.
  if (to === 'both' || to !== from) {
    const flags = segment.ack ? TCP_FLAG.rst | TCP_FLAG.ack : TCP_FLAG.rst;
    made.push(
      onward(
        frame,
        tcp({
          sourcePort,
          destinationPort,
          sequence,
          acknowledgment: segment.ack ? acknowledgment : 0,
          flags,
          window: 0,
        }),
      ),
    );
  }
  if (to === 'both' || to === from) {
    const length = segment.payload.length + (segment.syn ? 1 : 0) + (segment.fin ? 1 : 0);
    const answer = segment.ack
      ? { sequence: acknowledgment, flags: TCP_FLAG.rst }
      : { sequence: 0, acknowledgment: (sequence + length) >>> 0, flags: TCP_FLAG.rst | TCP_FLAG.ack };
    made.push(reply(frame, tcp({ sourcePort: destinationPort, destinationPort: sourcePort, window: 0, ...answer })));
  }
  return made;
}

/** A frame with the addresses of another, and other contents. */
function onward({ ethernet: link, ipv4: v4, ipv6: v6, vlan }: Frame, segment: Segment): Uint8Array {
  const { source = '', destination = '' } = v4 ?? v6 ?? {};
  const packet: Packet = v4 ? ipv4({ source, destination }, segment) : ipv6({ source, destination }, segment);
  return ethernet(
    {
      source: link.source,
      destination: link.destination,
      ...(vlan && { vlan: { id: vlan.id, priority: vlan.priority } }),
    },
    packet,
  );
}

// ICMP errors (RFC 792, RFC 4443), which quote the first bytes of the packet that they are about.

/** Codes of "destination unreachable", in ICMP and ICMPv6. */
const UNREACHABLE: Readonly<Record<Unreachable, { v4: number; v6: number }>> = {
  net: { v4: 0, v6: 0 },
  host: { v4: 1, v6: 3 },
  protocol: { v4: 2, v6: 3 },
  port: { v4: 3, v6: 4 },
  prohibited: { v4: 13, v6: 1 },
};
const TYPE = { v4: { unreachable: 3 }, v6: { unreachable: 1, tooBig: 2 } } as const;
const FRAGMENTATION_NEEDED = 4;
/** The most bytes of the packet that an error quotes: with them the error has 576 bytes, or 1280. */
const QUOTED = { v4: 548, v6: 1232 } as const;

export function unreachable(frame: Frame, what: Unreachable): Uint8Array | null {
  const { v4, v6 } = UNREACHABLE[what];
  return icmpError(
    frame,
    (quoted) => icmp(TYPE.v4.unreachable, v4, 0, quoted),
    (quoted) => icmpv6(TYPE.v6.unreachable, v6, 0, quoted),
  );
}

/** The error for a packet longer than `mtu`; null for any other packet. */
export function tooBig(frame: Frame, mtu: number): Uint8Array | null {
  const { ip, ipEnd } = Frame.dataOf(frame).offsets();
  if (ipEnd - ip <= mtu) return null;
  return icmpError(
    frame,
    (quoted) => icmp(TYPE.v4.unreachable, FRAGMENTATION_NEEDED, mtu, quoted),
    (quoted) => icmpv6(TYPE.v6.tooBig, 0, mtu, quoted),
  );
}

/**
 * Null if no error may answer the frame: it is not an IP packet, is sent to a group, or is an error itself (RFC 1122).
 */
function icmpError(
  frame: Frame,
  v4: (quoted: Uint8Array) => Segment,
  v6: (quoted: Uint8Array) => Segment,
): Uint8Array | null {
  const { ip, icmp: message, icmpv6: message6 } = frame;
  if (ip === null || ip.fragmentOffset > 0 || frame.ethernet.isGroup) return null;
  if ((message && message.type !== 8 && message.type !== 0) || (message6 && message6.type < 128)) return null;
  const { ip: at, ipEnd } = Frame.dataOf(frame).offsets();
  const packet = frame.bytes.subarray(at, ipEnd);
  return reply(frame, frame.ipv4 ? v4(packet.slice(0, QUOTED.v4)) : v6(packet.slice(0, QUOTED.v6)));
}
