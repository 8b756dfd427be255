// SPDX-License-Identifier: MIT
/**
 * Merges neighbouring datagrams of one flow on the reinject path into one packet, which the kernel segments again: one
 * system call, one buffer and one copy instead of up to 64. Only the headers are rebuilt; payload stays in the ring,
 * with an iovec for each piece. Behind a veth, a mark distinguishes a merged packet from one that an application sent
 * as one (UDP_SEGMENT) and that stays whole. `resegment` on the peer's egress (bpf/vnet.bpf.c) makes the kernel segment
 * marked packets before the peer transmits them, so `ip -s link` counts the frames that were sent, and everything that
 * listens on vnet0 sees frames.
 *
 * The rules are those of udp_gro_receive (net/ipv4/udp_offload.c): the same addresses, ports and header fields, and the
 * same length except for the last datagram, which may be shorter. Merged datagrams are next to each other in the ring,
 * so none overtakes another. Only frames with an unfinished checksum qualify: those that this machine sent.
 *
 * What the kernel computes anew for each segment has to be what was sent, because senders with a packet socket write
 * any header: a checksum that differs would spoil the datagrams of others, or repair a broken one. The identification
 * of IPv4 counts up from the first (inet_gso_segment), as with a connected socket. Where all are equal, as with sockets
 * that never fragment, they are merged all the same, as by inet_gro_flush (include/net/gro.h): nobody may evaluate the
 * identification of a datagram with "do not fragment" (RFC 6864).
 */
import type { MappedMemory } from 'libbpf-ts';

import { GSO_UDP_L4, MERGED_MARK, NEEDS_CSUM, RECORD, VNET_HDR_BYTES } from '../layout';

/** Maximum number of segments in a superpacket: UDP_MAX_SEGMENTS of older kernels (include/linux/udp.h). */
export const GRO_MAX_SEGMENTS = 64;
/** Bytes for one set of headers: virtio_net_hdr, Ethernet, IPv6 and UDP. */
const HEADER_ROOM = 72;
/** The largest IP packet, in bytes. */
const IP_BYTES_MAX = 65535;

const ETH_BYTES = 14;
const UDP_BYTES = 8;
/** Bytes of the Ethernet, IP and UDP headers. */
const IPV4_HEADERS = ETH_BYTES + 20 + UDP_BYTES;
const IPV6_HEADERS = ETH_BYTES + 40 + UDP_BYTES;
/** Values of 16 bits in network order, as a little-endian machine reads them. */
const ETH_P_IP_SWAPPED = 0x0008;
const ETH_P_IPV6_SWAPPED = 0xdd86;
const DONT_FRAGMENT_SWAPPED = 0x0040;
const VERSION_4_NO_OPTIONS = 0x45;
const IPPROTO_UDP = 17;
const UDP_CHECK_OFFSET = 6;

const swap16 = (value: number): number => ((value & 0xff) << 8) | (value >>> 8);

/** One's complement sum of 16-bit words, folded. */
const fold = (sum: number): number => {
  const once = (sum & 0xffff) + (sum >>> 16);
  return (once & 0xffff) + (once >>> 16);
};

/** A word whose upper half is a length in network order, `by` bytes shorter. */
const shortened = (word: number, by: number): number =>
  by === 0 ? word : ((word & 0xffff) | (swap16(swap16(word >>> 16) - by) << 16)) >>> 0;

/** An unfinished checksum in network order, over a length that becomes `by` bytes shorter. */
const shortenedSum = (sum: number, by: number): number => (by === 0 ? sum : swap16(fold(swap16(sum) + 0xffff - by)));

/** Bytes of a control message with one int, padding included: CMSG_SPACE(sizeof(int)). */
export const CONTROL_BYTES = 24;
const CONTROL_LENGTH = 20;
const SOL_SOCKET = 1;
const SO_MARK = 36;

/** Bytes for the headers of a batch of `budget` records, and for the control message. */
export const groHeaderBytes = (budget: number): number => budget * HEADER_ROOM + CONTROL_BYTES;

/** Writes the control message after the headers; returns its address. */
function writeMark({ buffer, address }: MappedMemory): number {
  const at = buffer.byteLength - CONTROL_BYTES;
  const message = new DataView(buffer, at);
  message.setUint32(0, CONTROL_LENGTH, true);
  message.setUint32(8, SOL_SOCKET, true);
  message.setUint32(12, SO_MARK, true);
  message.setUint32(16, MERGED_MARK, true);
  return address + at;
}

export class Gro {
  /** Bytes of the headers in the last merge, from the Ethernet header on. */
  headerBytes = 0;
  /** Payload of each frame in the last merge, and of its last frame, in bytes. */
  segmentBytes = 0;
  lastBytes = 0;

  /**
   * The longest frame that is merged, in bytes. When the kernel segments a merged packet, it reports only what became
   * of the last frame, and a short last frame passes even after others that are too long for vnet0.
   */
  frameMax = Infinity;
  /** Set when a frame was not merged because of its length: frameMax may have grown since. */
  passedOver = false;

  /** The first IPv4 identification of the current run, and by how much it grows with each datagram: 0 or 1. */
  private identification = 0;
  private identificationStep = 0;
  private varyingSum = 0;

  private readonly words: Uint32Array;
  private readonly halves: Uint16Array;
  private readonly bytes: Uint8Array;
  private readonly headers: Uint8Array;
  private readonly headersAddress: number;
  /**
   * Address of the control message with the mark of merged packets (SO_MARK, packet_snd in net/packet/af_packet.c); 0:
   * none.
   */
  readonly controlAddress: number;

  /**
   * `data` is the mapped ring; `headers` has groHeaderBytes(budget) bytes, which must not move. Both are borrowed.
   * `resegment`: the kernel segments merged packets before they are transmitted, rather than delivering them whole.
   */
  constructor(data: Uint8Array, headers: MappedMemory, resegment: boolean) {
    this.bytes = data;
    this.words = new Uint32Array(data.buffer, data.byteOffset, data.byteLength >>> 2);
    this.halves = new Uint16Array(data.buffer, data.byteOffset, data.byteLength >>> 1);
    this.headers = new Uint8Array(headers.buffer);
    this.headersAddress = headers.address;
    this.controlAddress = resegment ? writeMark(headers) : 0;
  }

  /**
   * Returns how many records, beginning with record `from`, make one superpacket; 1 if that record is not merged. If
   * there are several, headerBytes, segmentBytes and lastBytes describe the superpacket.
   */
  run(offsets: Uint32Array, from: number, leased: number): number {
    const first = offsets[from] as number;
    const headerBytes = this.headersOf(first);
    if (headerBytes === 0) return 1;
    const length = this.words[first >>> 2] as number;
    if (length > this.frameMax) {
      this.passedOver = true;
      return 1;
    }
    const segment = length - headerBytes;
    const most = Math.min(
      leased - from,
      GRO_MAX_SEGMENTS,
      Math.floor((IP_BYTES_MAX - headerBytes + ETH_BYTES) / segment),
    );
    let count = 1;
    let last = segment;
    while (count < most) {
      const next = offsets[from + count] as number;
      const payload = (this.words[next >>> 2] as number) - headerBytes;
      if (payload > segment || payload <= 0 || !this.continues(first, next, headerBytes, count, segment - payload))
        break;
      count++;
      last = payload;
      if (payload < segment) break;
    }
    this.headerBytes = headerBytes;
    this.segmentBytes = segment;
    this.lastBytes = last;
    return count;
  }

  /**
   * Writes the virtio_net_hdr and the headers of the superpacket that run() has just found into a slot; returns their
   * address.
   */
  writeHeaders(slot: number, first: number, count: number): number {
    const { headers, headerBytes, segmentBytes, lastBytes } = this;
    const at = slot * HEADER_ROOM;
    const from = first + RECORD.vnet;
    for (let i = 0; i < VNET_HDR_BYTES + headerBytes; i++) headers[at + i] = this.bytes[from + i] as number;
    const more = (count - 1) * segmentBytes + lastBytes - segmentBytes;
    headers[at + 1] = GSO_UDP_L4;
    this.put16(at + 2, headerBytes); // hdr_len, native order
    this.put16(at + 4, segmentBytes); // gso_size
    const frame = at + VNET_HDR_BYTES;
    if (headerBytes === IPV4_HEADERS) {
      const length = this.network16(frame + 16) + more;
      // RFC 1624: updates a checksum that covers the old length.
      const sum = fold((~this.network16(frame + 24) & 0xffff) + more);
      this.putNetwork16(frame + 16, length);
      this.putNetwork16(frame + 24, ~sum & 0xffff);
    } else {
      this.putNetwork16(frame + 18, this.network16(frame + 18) + more);
    }
    const udp = frame + headerBytes - UDP_BYTES;
    this.putNetwork16(udp + 4, this.network16(udp + 4) + more);
    // This sum covers the pseudo-header, which contains the length.
    this.putNetwork16(udp + UDP_CHECK_OFFSET, fold(this.network16(udp + UDP_CHECK_OFFSET) + more));
    return this.headersAddress + at;
  }

  /** Bytes of the Ethernet, IP and UDP headers of a datagram that may be merged; 0 for other frames. */
  private headersOf(record: number): number {
    const { halves, bytes, words } = this;
    const half = record >>> 1;
    // flags and gso_type
    if (halves[half + 3] !== NEEDS_CSUM) return 0;
    const frame = half + (RECORD.frame >>> 1);
    const length = words[record >>> 2] as number;
    const type = halves[frame + 6] as number;
    if (type === ETH_P_IP_SWAPPED) {
      const at = record + RECORD.frame;
      const headers = IPV4_HEADERS;
      if (
        bytes[at + 14] !== VERSION_4_NO_OPTIONS ||
        bytes[at + 23] !== IPPROTO_UDP ||
        halves[frame + 10] !== DONT_FRAGMENT_SWAPPED
      )
        return 0;
      return this.isWhole(half, headers, length, swap16(halves[frame + 8] as number) + ETH_BYTES) ? headers : 0;
    }
    if (type === ETH_P_IPV6_SWAPPED) {
      const headers = IPV6_HEADERS;
      if (bytes[record + RECORD.frame + 20] !== IPPROTO_UDP) return 0;
      return this.isWhole(half, headers, length, swap16(halves[frame + 9] as number) + ETH_BYTES + 40) ? headers : 0;
    }
    return 0;
  }

  /**
   * Whether the frame is as long as its IP header says and has payload, and its unfinished checksum is that of UDP and
   * not 0, which would come back as 0xffff.
   */
  private isWhole(half: number, headers: number, length: number, said: number): boolean {
    const { halves } = this;
    const udpLength = swap16(halves[half + ((RECORD.frame + headers - 4) >>> 1)] as number);
    return (
      length === said &&
      length > headers &&
      udpLength === length - headers + UDP_BYTES &&
      halves[half + 6] === headers - UDP_BYTES &&
      halves[half + 7] === UDP_CHECK_OFFSET &&
      halves[half + ((RECORD.frame + headers - 2) >>> 1)] !== 0
    );
  }

  /**
   * Whether frame `b` is what the kernel makes of the headers of `a` for the segment with this index (1 or more) and
   * `shorter` bytes less of payload.
   */
  private continues(a: number, b: number, headerBytes: number, index: number, shorter: number): boolean {
    const { words } = this;
    const x = (a + RECORD.frame) >>> 2;
    const y = (b + RECORD.frame) >>> 2;
    if (
      // virtio_net_hdr: flags and gso_type; csum_start and csum_offset
      (words[x - 3] as number) >>> 16 !== (words[y - 3] as number) >>> 16 ||
      words[x - 1] !== words[y - 1] ||
      words[x] !== words[y] ||
      words[x + 1] !== words[y + 1] ||
      words[x + 2] !== words[y + 2] ||
      words[x + 3] !== words[y + 3]
    )
      return false;
    if (headerBytes === IPV4_HEADERS) {
      // 20: fragment, TTL, protocol; 24: checksum, source
      return (
        words[x + 5] === words[y + 5] &&
        (words[x + 6] as number) >>> 16 === (words[y + 6] as number) >>> 16 &&
        words[x + 7] === words[y + 7] &&
        words[x + 8] === words[y + 8] &&
        this.udpContinues(x + 9, y + 9, shorter) &&
        this.ipv4Continues(x, y, index, shorter)
      );
    }
    // 16: flow label, length
    if (shortened(words[x + 4] as number, shorter) !== words[y + 4]) return false;
    // Unrolled, because a loop takes a tenth longer.
    return (
      words[x + 5] === words[y + 5] &&
      words[x + 6] === words[y + 6] &&
      words[x + 7] === words[y + 7] &&
      words[x + 8] === words[y + 8] &&
      words[x + 9] === words[y + 9] &&
      words[x + 10] === words[y + 10] &&
      words[x + 11] === words[y + 11] &&
      words[x + 12] === words[y + 12] &&
      words[x + 13] === words[y + 13] &&
      this.udpContinues(x + 14, y + 14, shorter)
    );
  }

  /** The rest of UDP's header; `x` and `y` are the words of the destination port and the length. */
  private udpContinues(x: number, y: number, shorter: number): boolean {
    const { words } = this;
    return (
      shortened(words[x] as number, shorter) === words[y] &&
      shortenedSum((words[x + 1] as number) & 0xffff, shorter) === ((words[y + 1] as number) & 0xffff)
    );
  }

  /** Length, identification and checksum of IPv4; `x` and `y` are the first words of the frames. */
  private ipv4Continues(x: number, y: number, index: number, shorter: number): boolean {
    const { words } = this;
    const size = words[x + 4] as number;
    const nextSize = words[y + 4] as number;
    if (index === 1) {
      if (!this.isIpv4Summed(x)) return false;
      this.identification = swap16(size >>> 16);
      this.identificationStep = size >>> 16 === nextSize >>> 16 ? 0 : 1;
      this.varyingSum = this.varyingIpv4(x);
    }
    return (
      shortened((size << 16) >>> 0, shorter) === (nextSize << 16) >>> 0 &&
      ((swap16(nextSize >>> 16) - this.identification) & 0xffff) === this.identificationStep * index &&
      ((words[y + 6] as number) & 0xffff) !== 0xffff &&
      this.varyingIpv4(y) === this.varyingSum
    );
  }

  /**
   * Sum of what differs between IPv4 headers of a run: length, identification and checksum. It is the same where all
   * checksums are right.
   */
  private varyingIpv4(x: number): number {
    const size = this.words[x + 4] as number;
    return fold((size & 0xffff) + (size >>> 16) + ((this.words[x + 6] as number) & 0xffff));
  }

  /** Whether the checksum of the IPv4 header is right, and written as the kernel does: 0 rather than 0xffff. */
  private isIpv4Summed(x: number): boolean {
    const { words } = this;
    if (((words[x + 6] as number) & 0xffff) === 0xffff) return false;
    let sum = ((words[x + 3] as number) >>> 16) + ((words[x + 8] as number) & 0xffff);
    for (let i = 4; i < 8; i++) sum += ((words[x + i] as number) & 0xffff) + ((words[x + i] as number) >>> 16);
    return fold(sum) === 0xffff;
  }

  private network16(at: number): number {
    return ((this.headers[at] as number) << 8) | (this.headers[at + 1] as number);
  }

  private putNetwork16(at: number, value: number): void {
    this.headers[at] = value >>> 8;
    this.headers[at + 1] = value & 0xff;
  }

  private put16(at: number, value: number): void {
    this.headers[at] = value & 0xff;
    this.headers[at + 1] = value >>> 8;
  }
}
