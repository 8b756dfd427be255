// SPDX-License-Identifier: MIT
/**
 * Cuts a superpacket into the frames that the kernel or a NIC would make of it: tcp_gso_segment
 * (net/ipv4/tcp_offload.c) and __udp_gso_segment (net/ipv4/udp_offload.c), told by a
 * virtio_net_hdr. The pieces have their checksums of IPv4, but not those of TCP and UDP: the
 * field holds the sum of the pseudo-header, for completeChecksum().
 */
import { CHECKSUM_AT, fixIpv4Header, finish, pseudoHeader } from './checksum';
import { HeaderOffsets } from './header-offsets';
import { PROTOCOL, TCP_FLAG, TCP_HEADER_BYTES, UDP_HEADER_BYTES } from './protocols';

/** VIRTIO_NET_HDR_GSO_* of include/uapi/linux/virtio_net.h. */
export const GSO = { none: 0, tcpv4: 1, tcpv6: 4, udpL4: 5, ecn: 0x80 } as const;

/** The most pieces that a hook is shown: what the kernel makes of 256 KiB with a segment size of 256 bytes. */
export const MAX_PIECES = 1024;
/** Bytes of all pieces together: of 256 KiB of payload, and of headers with all options for each piece. */
export const MAX_PIECES_BYTES = 512 << 10;

export class Segmenter {
  private readonly headers = new HeaderOffsets();
  private memory: Uint8Array = new Uint8Array(0);
  private start = 0;
  private size = 0;
  private headerBytes = 0;
  private payloadBytes = 0;
  private pieces = 0;

  /** Where the checksum of each piece covers from, and where in there its field lies. */
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
   * virtio_net_hdr says, which only a frame made by hand is.
   */
  open(memory: Uint8Array, start: number, length: number, gsoType: number, gsoSize: number): number {
    const headers = this.headers.find(memory, start, length);
    const kind = gsoType & ~GSO.ecn;
    const isUdp = kind === GSO.udpL4;
    const expected = isUdp ? PROTOCOL.udp : PROTOCOL.tcp;
    if (!isUdp && kind !== (headers.v6 ? GSO.tcpv6 : GSO.tcpv4)) return 0;
    if (headers.transport === 0 || headers.protocol !== expected || headers.fragment || !headers.fillsFrame || gsoSize === 0) return 0;
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

  /** Whether the pieces are so few, and so small, that they can be shown one by one. */
  get fits(): boolean {
    return this.pieces <= MAX_PIECES && this.pieces * this.headerBytes + this.payloadBytes <= MAX_PIECES_BYTES;
  }

  /** Bytes of piece `index`. */
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

  /** Sequence numbers go on; PSH and FIN belong to the last piece, CWR to the first. */
  private numberTcp(view: DataView, index: number): void {
    const { transport } = this.headers;
    view.setUint32(transport + 4, (view.getUint32(transport + 4) + index * this.size) >>> 0);
    let flags = view.getUint8(transport + 13);
    if (index < this.pieces - 1) flags &= ~(TCP_FLAG.psh | TCP_FLAG.fin);
    if (index > 0) flags &= ~TCP_FLAG.cwr;
    view.setUint8(transport + 13, flags);
  }
}
