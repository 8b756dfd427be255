// SPDX-License-Identifier: MIT
/**
 * Cuts a superpacket into the frames that the kernel or a NIC would make of it: tcp_gso_segment
 * (net/ipv4/tcp_offload.c) and __udp_gso_segment (net/ipv4/udp_offload.c), told by a
 * virtio_net_hdr. The pieces have their checksums of IPv4, but not those of TCP and UDP: the
 * field holds the sum of the pseudo-header, for completeChecksum().
 */
import { fixIpv4Header, finish, pseudoHeader } from './checksum';
import { HeaderOffsets } from './header-offsets';
import { PROTOCOL, TCP_FLAG, UDP_HEADER_BYTES } from './protocols';

/** VIRTIO_NET_HDR_GSO_* of include/uapi/linux/virtio_net.h. */
export const GSO = { none: 0, tcpv4: 1, tcpv6: 4, udpL4: 5, ecn: 0x80 } as const;

/** More pieces than this the kernel makes of no superpacket of 256 KiB with a sensible segment size. */
export const MAX_PIECES = 1024;

const CHECKSUM_AT = { tcp: 16, udp: 6 } as const;

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
    return this.isTcp ? CHECKSUM_AT.tcp : CHECKSUM_AT.udp;
  }

  private get isTcp(): boolean {
    return this.headers.protocol === PROTOCOL.tcp;
  }

  /**
   * Takes the superpacket in `memory[start, start + length)`. Returns into how many pieces it is
   * to be cut; 0 if it is not what its virtio_net_hdr says, which only a frame made by hand is.
   */
  open(memory: Uint8Array, start: number, length: number, gsoType: number, gsoSize: number): number {
    const headers = this.headers.find(memory, start, length);
    const kind = gsoType & ~GSO.ecn;
    const expected = kind === GSO.udpL4 ? PROTOCOL.udp : PROTOCOL.tcp;
    const v6 = kind === GSO.udpL4 ? headers.v6 : kind === GSO.tcpv6;
    if (headers.transport === 0 || headers.protocol !== expected || headers.v6 !== v6 || headers.fragment || gsoSize === 0) return 0;
    this.memory = memory;
    this.start = start;
    const tcpHeader = ((memory[start + headers.transport + 12] as number) >>> 4) * 4;
    this.headerBytes = headers.transport + (kind === GSO.udpL4 ? UDP_HEADER_BYTES : tcpHeader);
    this.payloadBytes = length - this.headerBytes;
    this.size = gsoSize;
    this.pieces = Math.ceil(this.payloadBytes / gsoSize);
    return this.payloadBytes > 0 && this.pieces <= MAX_PIECES ? this.pieces : 0;
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
