// SPDX-License-Identifier: MIT
/** What the kernel leaves to a NIC: checksums, and cutting superpackets into frames. */
import { HeaderOffsets, PROTOCOL, TCP_FLAG, TCP_HEADER_BYTES, TRANSPORT_BYTES, UDP_HEADER_BYTES } from './headers';

// The Internet checksum (RFC 1071): a ones' complement sum of 16-bit words. Words are added in the byte order of the
// machine, little-endian, two at a time; only the result is swapped.

/** The sum over `bytes[from, to)` added to `sum`, not yet folded. Exact for more than 64 KiB. */
export function addWords(view: DataView, from: number, to: number, sum = 0): number {
  let at = from;
  for (; at + 4 <= to; at += 4) sum += view.getUint32(at, true);
  if (at + 2 <= to) {
    sum += view.getUint16(at, true);
    at += 2;
  }
  return at < to ? sum + view.getUint8(at) : sum;
}

/** A sum of addWords() as the 16 bits that go into a checksum field, big-endian. */
export function finish(sum: number): number {
  let folded = (sum % 0x100000000) + Math.floor(sum / 0x100000000);
  while (folded > 0xffff) folded = (folded % 0x10000) + Math.floor(folded / 0x10000);
  const inverted = ~folded & 0xffff;
  return ((inverted & 0xff) << 8) | (inverted >>> 8);
}

/** A big-endian 16-bit number as addWords() would have added it. */
export const word = (value: number): number => ((value & 0xff) << 8) | (value >>> 8);

export const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/**
 * Completes a checksum that was left to the hardware: the field already holds the sum of the pseudo-header
 * (skb_checksum_help in net/core/dev.c). `start` is where the covered bytes begin, and `offset` where the field is in
 * them. False if the field is not in the frame.
 */
export function completeChecksum(frame: Uint8Array, start: number, offset: number): boolean {
  const at = start + offset;
  if (at + 2 > frame.length) return false;
  const view = viewOf(frame);
  // 0 means "no checksum" in UDP; 0xffff is the same number in ones' complement.
  view.setUint16(at, finish(addWords(view, start, frame.length)) || 0xffff);
  return true;
}

/**
 * Whether a checksum that was left to the hardware can be at this place: in the transport header of the frame, or in
 * what its headers carry, as with tunnels. In a frame made by hand, the place may be that of an address or a port.
 */
export function isChecksumPlace(headers: HeaderOffsets, length: number, start: number, offset: number): boolean {
  const { transport, protocol, payload } = headers;
  if (start + offset + 2 > length) return false;
  if (transport === 0) return start >= payload;
  return start === transport
    ? offset === CHECKSUM_AT[protocol]
    : start >= transport + (TRANSPORT_BYTES[protocol] as number);
}

/** The sum of the pseudo-header of an IP packet (RFC 768, RFC 8200). */
export function pseudoHeader(view: DataView, headers: HeaderOffsets, bytes: number): number {
  const addresses = headers.v6
    ? addWords(view, headers.ip + 8, headers.ip + 40)
    : addWords(view, headers.ip + 12, headers.ip + 20);
  return addresses + word(headers.protocol) + word(bytes & 0xffff) + word(bytes >>> 16);
}

/** Offset of the checksum in the header of each transport protocol. */
export const CHECKSUM_AT: Readonly<Record<number, number>> = {
  [PROTOCOL.tcp]: 16,
  [PROTOCOL.udp]: 6,
  [PROTOCOL.icmp]: 2,
  [PROTOCOL.icmpv6]: 2,
};

/**
 * Corrects the checksums of a frame after a change: IPv4 header, TCP, UDP, ICMP, ICMPv6. Fragments keep theirs, which
 * cover more than is in the frame. Returns the same bytes.
 */
export function fixChecksums<T extends Uint8Array>(frame: T): T {
  const headers = new HeaderOffsets().find(frame, 0, frame.length);
  const view = viewOf(frame);
  if (headers.ip > 0 && !headers.v6) fixIpv4Header(view, headers.ip, headers.ipPayload);
  const field = CHECKSUM_AT[headers.protocol];
  if (headers.transport === 0 || headers.fragment || field === undefined) return frame;
  const { transport, ipEnd } = headers;
  const at = transport + field;
  if (at + 2 > ipEnd) return frame;
  view.setUint16(at, 0);
  const pseudo = headers.protocol === PROTOCOL.icmp ? 0 : pseudoHeader(view, headers, ipEnd - transport);
  const sum = finish(addWords(view, transport, ipEnd, pseudo));
  view.setUint16(at, headers.protocol === PROTOCOL.udp ? sum || 0xffff : sum);
  return frame;
}

/**
 * Puts the sum of the pseudo-header into the checksum field of TCP or UDP, for completeChecksum() or the kernel to
 * complete.
 */
export function preparePartialChecksum(frame: Uint8Array): void {
  const headers = new HeaderOffsets().find(frame, 0, frame.length);
  const field = CHECKSUM_AT[headers.protocol];
  if (headers.transport === 0 || field === undefined) return;
  const view = viewOf(frame);
  if (!headers.v6) fixIpv4Header(view, headers.ip, headers.ipPayload);
  view.setUint16(
    headers.transport + field,
    ~finish(pseudoHeader(view, headers, headers.ipEnd - headers.transport)) & 0xffff,
  );
}

/** Corrects the checksum of the IPv4 header in `[ip, end)`. */
export function fixIpv4Header(view: DataView, ip: number, end: number): void {
  view.setUint16(ip + 10, 0);
  view.setUint16(ip + 10, finish(addWords(view, ip, end)));
}

// Cutting a superpacket into the frames that the kernel or a NIC would make of it: tcp_gso_segment
// (net/ipv4/tcp_offload.c) and __udp_gso_segment (net/ipv4/udp_offload.c), as its virtio_net_hdr says. The pieces have
// correct checksums of IPv4, but not of TCP and UDP: that field holds the sum of the pseudo-header, for
// completeChecksum().

/** VIRTIO_NET_HDR_GSO_* of include/uapi/linux/virtio_net.h. */
export const GSO = { none: 0, tcpv4: 1, tcpv6: 4, udpL4: 5, ecn: 0x80 } as const;

/** The most pieces that a hook is shown: as many as the kernel makes of 256 KiB with a segment size of 256 bytes. */
export const MAX_PIECES = 1024;
/** The most bytes of all pieces together: 256 KiB of payload, and headers with all options for each piece. */
export const MAX_PIECES_BYTES = 512 << 10;

export class Segmenter {
  private readonly headers = new HeaderOffsets();
  private memory: Uint8Array = new Uint8Array(0);
  private start = 0;
  private size = 0;
  private headerBytes = 0;
  private payloadBytes = 0;
  private pieces = 0;

  /** Where the bytes begin that the checksum of each piece covers, and the offset of its field in them. */
  get checksumStart(): number {
    return this.headers.transport;
  }
  get checksumOffset(): number {
    return CHECKSUM_AT[this.headers.protocol] as number;
  }

  private get isTcp(): boolean {
    return this.headers.protocol === PROTOCOL.tcp;
  }

  /**
   * Takes the superpacket in `memory[start, start + length)`. Returns how many pieces it has; 0 if it is not what its
   * virtio_net_hdr says, which happens only to a frame made by hand.
   */
  open(memory: Uint8Array, start: number, length: number, gsoType: number, gsoSize: number): number {
    const headers = this.headers.find(memory, start, length);
    const kind = gsoType & ~GSO.ecn;
    const isUdp = kind === GSO.udpL4;
    const expected = isUdp ? PROTOCOL.udp : PROTOCOL.tcp;
    if (!isUdp && kind !== (headers.v6 ? GSO.tcpv6 : GSO.tcpv4)) return 0;
    if (
      headers.transport === 0 ||
      headers.protocol !== expected ||
      headers.fragment ||
      !headers.fillsFrame ||
      gsoSize === 0
    )
      return 0;
    const transportBytes = isUdp ? UDP_HEADER_BYTES : ((memory[start + headers.transport + 12] as number) >>> 4) * 4;
    const payloadBytes = length - headers.transport - transportBytes;
    if (payloadBytes <= 0 || (!isUdp && transportBytes < TCP_HEADER_BYTES)) return 0;
    this.memory = memory;
    this.start = start;
    this.headerBytes = headers.transport + transportBytes;
    this.payloadBytes = payloadBytes;
    this.size = gsoSize;
    this.pieces = Math.ceil(payloadBytes / gsoSize);
    return this.pieces;
  }

  /** Whether the pieces are few and small enough to be shown one by one. */
  get fits(): boolean {
    return this.pieces <= MAX_PIECES && this.pieces * this.headerBytes + this.payloadBytes <= MAX_PIECES_BYTES;
  }

  /** Length of piece `index` in bytes. */
  lengthOf(index: number): number {
    return this.headerBytes + Math.min(this.size, this.payloadBytes - index * this.size);
  }

  /** Writes piece `index` into memory of exactly lengthOf(index) bytes. */
  write(index: number, into: Uint8Array): void {
    const { memory, start, headerBytes, headers } = this;
    const from = start + headerBytes + index * this.size;
    into.set(memory.subarray(start, start + headerBytes));
    into.set(memory.subarray(from, from + into.length - headerBytes), headerBytes);
    const view = new DataView(into.buffer, into.byteOffset, into.length);
    const { ip, transport } = headers;
    if (headers.v6) {
      view.setUint16(ip + 4, into.length - headers.ipPayload);
    } else {
      view.setUint16(ip + 2, into.length - ip);
      view.setUint16(ip + 4, view.getUint16(ip + 4) + index);
      fixIpv4Header(view, ip, headers.ipPayload);
    }
    if (this.isTcp) this.numberTcp(view, index);
    else view.setUint16(transport + 4, into.length - transport);
    const pseudo = pseudoHeader(view, headers, into.length - transport);
    view.setUint16(transport + this.checksumOffset, ~finish(pseudo) & 0xffff);
  }

  /** Sets the TCP fields of a piece: sequence numbers go on; PSH and FIN belong to the last piece, CWR to the first. */
  private numberTcp(view: DataView, index: number): void {
    const { transport } = this.headers;
    view.setUint32(transport + 4, (view.getUint32(transport + 4) + index * this.size) >>> 0);
    let flags = view.getUint8(transport + 13);
    if (index < this.pieces - 1) flags &= ~(TCP_FLAG.psh | TCP_FLAG.fin);
    if (index > 0) flags &= ~TCP_FLAG.cwr;
    view.setUint8(transport + 13, flags);
  }
}
