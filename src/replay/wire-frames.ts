// SPDX-License-Identifier: MIT
/**
 * Makes of captured frames what a wire would have carried. Captures on the machine that sends, or on a NIC that merges
 * what it receives (GRO), have superpackets of many segments, and checksums that were left to the hardware: a sum of the
 * pseudo-header alone. Of tunnels, the outer headers are looked at.
 */
import { completeChecksum, pseudoHeader, finish, viewOf } from '../packet/checksum';
import { HeaderOffsets } from '../packet/header-offsets';
import { ETH_HEADER_BYTES, ETHER_TYPE, EXTENSION, IPV6_HEADER_BYTES, PROTOCOL, UDP_HEADER_BYTES, VLAN_TAG_BYTES } from '../packet/protocols';
import { GSO, Segmenter } from '../packet/segmenter';

const CHECKSUM_AT: Readonly<Record<number, number>> = { [PROTOCOL.tcp]: 16, [PROTOCOL.udp]: 6 };
const TCP_DATA_OFFSET = 12;
/** The largest that a virtual interface takes. */
const MTU_MAX = 65535;
/** Of a hop-by-hop header with a jumbo payload option and nothing else (RFC 2675). */
const JUMBO_HEADER_BYTES = 8;
const JUMBO_OPTION = 0xc204;

/** The longest frame of an interface: a VLAN tag comes on top (packet_snd in net/packet/af_packet.c). */
const longest = (frame: Uint8Array, mtu: number): number => mtu + ETH_HEADER_BYTES + (isTagged(frame) ? VLAN_TAG_BYTES : 0);
const isTagged = (frame: Uint8Array): boolean => frame.length >= ETH_HEADER_BYTES && viewOf(frame).getUint16(12) === ETHER_TYPE.vlan;

/** The MTU with which a frame of so many bytes can be sent; null if there is none. */
export const mtuFor = (bytes: number): number | null => (bytes - ETH_HEADER_BYTES > MTU_MAX ? null : bytes - ETH_HEADER_BYTES);

export class WireFrames {
  private readonly headers = new HeaderOffsets();
  private readonly segmenter = new Segmenter();
  private frame: Uint8Array = new Uint8Array(0);
  private pieces = 0;
  private jumbo = false;
  /** Superpackets that were cut up, frames made of them, and checksums that were completed in other frames. */
  superpackets = 0;
  segments = 0;
  completed = 0;

  constructor(private readonly mtu: number) {}

  /** Takes a frame. Returns how many frames a wire would have carried in its place; 0 if it is too long and cannot be cut up. */
  open(frame: Uint8Array): number {
    this.frame = frame;
    this.pieces = 1;
    this.headers.find(frame, 0, frame.length);
    const unfinished = this.isUnfinished(frame);
    if (frame.length > longest(frame, this.mtu)) return this.cut(frame, unfinished);
    if (unfinished) {
      this.frame = frame.slice();
      this.complete();
      this.completed++;
    }
    return 1;
  }

  /** Frame `index` of those; borrowed until the next open(). */
  piece(index: number): Uint8Array {
    if (this.pieces === 1) return this.frame;
    const piece = new Uint8Array(this.segmenter.lengthOf(index));
    this.segmenter.write(index, piece);
    completeChecksum(piece, this.segmenter.checksumStart, this.segmenter.checksumOffset);
    return this.jumbo ? withoutJumbo(piece, this.headers.ip) : piece;
  }

  /** Whether the checksum of TCP or UDP is that of the pseudo-header. */
  private isUnfinished(frame: Uint8Array): boolean {
    const { transport, protocol, fragment, ipEnd } = this.headers;
    const field = CHECKSUM_AT[protocol];
    if (transport === 0 || fragment || field === undefined) return false;
    const view = viewOf(frame);
    const sum = view.getUint16(transport + field);
    return sum === (~finish(pseudoHeader(view, this.headers, ipEnd - transport)) & 0xffff);
  }

  /** Covers what the IP packet has; what follows is padding. */
  private complete(): void {
    const { transport, protocol, ipEnd } = this.headers;
    completeChecksum(this.frame.subarray(0, ipEnd), transport, CHECKSUM_AT[protocol] as number);
  }

  private cut(frame: Uint8Array, unfinished: boolean): number {
    const { protocol } = this.headers;
    // A datagram with a checksum of its own is one that was sent whole.
    if (protocol !== PROTOCOL.tcp && !(protocol === PROTOCOL.udp && unfinished)) return 0;
    const { transport, v6 } = this.headers;
    if (transport === 0) return 0;
    const isTcp = protocol === PROTOCOL.tcp;
    const headerBytes = transport + (isTcp ? ((frame[transport + TCP_DATA_OFFSET] as number) >>> 4) * 4 : UDP_HEADER_BYTES);
    const size = longest(frame, this.mtu) - headerBytes;
    if (size <= 0) return 0;
    const pieces = this.segmenter.open(frame, 0, frame.length, isTcp ? (v6 ? GSO.tcpv6 : GSO.tcpv4) : GSO.udpL4, size);
    if (pieces < 2) return 0;
    this.jumbo = hasJumbo(frame, this.headers);
    this.superpackets++;
    this.segments += pieces;
    return (this.pieces = pieces);
  }
}

/** Whether a superpacket of IPv6 has more than 64 KiB: the option for that is not for its segments. */
function hasJumbo(frame: Uint8Array, { ip, v6 }: HeaderOffsets): boolean {
  const option = ip + IPV6_HEADER_BYTES;
  return v6 && frame[ip + 6] === EXTENSION.hopByHop && frame[option + 1] === 0 && viewOf(frame).getUint16(option + 2) === JUMBO_OPTION;
}

function withoutJumbo(piece: Uint8Array, ip: number): Uint8Array {
  const option = ip + IPV6_HEADER_BYTES;
  const view = viewOf(piece);
  view.setUint8(ip + 6, piece[option] as number);
  view.setUint16(ip + 4, view.getUint16(ip + 4) - JUMBO_HEADER_BYTES);
  piece.copyWithin(option, option + JUMBO_HEADER_BYTES);
  return piece.subarray(0, piece.length - JUMBO_HEADER_BYTES);
}
