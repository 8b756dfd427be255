// SPDX-License-Identifier: MIT
/**
 * Tells from a record's bytes alone whether its virtio_net_hdr fits its frame, for the frames that most traffic consists
 * of: TCP and UDP, whole, right behind an Ethernet header and an IP header without options or extensions. Other frames
 * are looked at more closely (judge.ts).
 */
import { NEEDS_CSUM, RECORD, VNET } from '../layout';
import {
  ETH_HEADER_BYTES,
  IPV4_HEADER_BYTES,
  IPV6_HEADER_BYTES,
  PROTOCOL,
  TCP_HEADER_BYTES,
  UDP_HEADER_BYTES,
} from '../packet/headers';
import { CHECKSUM_AT, GSO } from '../packet/offload';

const TCP_CHECKSUM_AT = CHECKSUM_AT[PROTOCOL.tcp] as number;
const UDP_CHECKSUM_AT = CHECKSUM_AT[PROTOCOL.udp] as number;
const IPV4_TRANSPORT = ETH_HEADER_BYTES + IPV4_HEADER_BYTES;
const IPV6_TRANSPORT = ETH_HEADER_BYTES + IPV6_HEADER_BYTES;
/** The first byte of an IPv4 header without options. */
const IPV4_PLAIN = 0x45;

/** Whether the record at `offset`, with a frame of `length` bytes, is ordinary and what its virtio_net_hdr says. */
export function isOrdinary(ring: Uint8Array, offset: number, length: number): boolean {
  const header = offset + RECORD.vnet;
  const gsoType = ring[header + VNET.gsoType] as number;
  const lacksChecksum = ((ring[header + VNET.flags] as number) & NEEDS_CSUM) !== 0;
  if (!lacksChecksum) return gsoType === GSO.none;
  const frame = offset + RECORD.frame;
  const isV4 = ring[frame + 12] === 0x08 && ring[frame + 13] === 0x00 && ring[frame + 14] === IPV4_PLAIN;
  if (!isV4 && !(ring[frame + 12] === 0x86 && ring[frame + 13] === 0xdd && (ring[frame + 14] as number) >>> 4 === 6))
    return false;
  const transport = isV4 ? IPV4_TRANSPORT : IPV6_TRANSPORT;
  const protocol = ring[frame + (isV4 ? 23 : 20)] as number;
  // More fragments to come, or an offset.
  if (isV4 && ((ring[frame + 20] as number) & 0x3f) + (ring[frame + 21] as number) > 0) return false;
  const isTcp = protocol === PROTOCOL.tcp;
  if (!isTcp && protocol !== PROTOCOL.udp) return false;
  if (u16(ring, header + VNET.checksumStart) !== transport) return false;
  if (u16(ring, header + VNET.checksumOffset) !== (isTcp ? TCP_CHECKSUM_AT : UDP_CHECKSUM_AT)) return false;
  // Bytes from the transport header on, according to IP. A superpacket may have more than IPv4 can say, and says 0.
  const said = ((ring[frame + (isV4 ? 16 : 18)] as number) << 8) | (ring[frame + (isV4 ? 17 : 19)] as number);
  const bytes = isV4 ? (said || length - ETH_HEADER_BYTES) - IPV4_HEADER_BYTES : said;
  if (bytes < (isTcp ? TCP_HEADER_BYTES : UDP_HEADER_BYTES) || transport + bytes > length) return false;
  if (gsoType === GSO.none) return true;
  const kind = gsoType & ~GSO.ecn;
  if (kind !== (isTcp ? (isV4 ? GSO.tcpv4 : GSO.tcpv6) : GSO.udpL4)) return false;
  const own = isTcp ? ((ring[frame + transport + 12] as number) >>> 4) * 4 : UDP_HEADER_BYTES;
  return (
    transport + bytes === length &&
    own >= (isTcp ? TCP_HEADER_BYTES : UDP_HEADER_BYTES) &&
    own < bytes &&
    u16(ring, header + VNET.gsoSize) > 0
  );
}

const u16 = (memory: Uint8Array, at: number): number => (memory[at] as number) | ((memory[at + 1] as number) << 8);
