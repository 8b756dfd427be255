// SPDX-License-Identifier: MIT
/**
 * Malformed frames: of every EtherType and size, with stacks of VLAN tags, truncated and lying IP headers, and a
 * virtio_net_hdr that does not fit. They are generated from a seed, in place.
 */
import type { Random } from './random';

export const VNET_HDR_BYTES = 10;
/** The largest frame without GSO: the largest IP packet, its Ethernet header and one more byte. */
const LARGEST_PLAIN = 65550;
/** The largest superpacket of BIG TCP. */
const LARGEST_SUPERPACKET = 256 << 10;
export const LARGEST_BYTES = VNET_HDR_BYTES + LARGEST_SUPERPACKET;

const ETH_HEADER_BYTES = 14;
const ETHERTYPES = [
  0x0800, 0x86dd, 0x0806, 0x8100, 0x88a8, 0x8847, 0x8863, 0x8864, 0x88cc, 0x88e5, 0x22f3, 0x894f, 0x88b5, 0x0000,
  0xffff,
];
const PROTOCOLS = [0, 1, 2, 4, 6, 17, 41, 43, 44, 47, 50, 51, 58, 59, 60, 132, 135, 136, 255];
const VLAN_TPIDS = [0x8100, 0x88a8];
const GSO_TYPES = [0, 1, 3, 4, 5, 0x81, 0x84, 2, 0x7f, 0xff];
const GSO = { tcp4: 1, udp: 3, tcp6: 4, udpL4: 5, ecn: 0x80 };
const PROTOCOL = { hopByHop: 0, tcp: 6, udp: 17, routing: 43, fragment: 44, destination: 60 };
const EXTENSIONS = [PROTOCOL.hopByHop, PROTOCOL.routing, PROTOCOL.fragment, PROTOCOL.destination];
const EXTENSION_BYTES = 8;

export class FrameFuzzer {
  constructor(
    private readonly random: Random,
    private readonly mac: Buffer,
    /** 4 bytes of the interface's own address. */
    private readonly address: readonly number[],
  ) {}

  /** Writes a virtio_net_hdr and a frame; returns the number of bytes of both. */
  write(to: Buffer): number {
    return this.random.chance(50) ? this.lyingSuperpacket(to) : this.anything(to);
  }

  private anything(to: Buffer): number {
    const { random } = this;
    const length = this.length();
    const end = VNET_HDR_BYTES + length;
    // The rest of the last frame is as good as random; some of it is replaced.
    for (let i = 0; i < 24; i++)
      to.writeUInt32LE(random.bits(), VNET_HDR_BYTES + (random.bits() % Math.max(1, length - 4)));
    let at = this.ethernet(to, end);
    if (random.chance(70)) at = this.network(to, at, end);
    this.vnetHeader(to, at, length);
    return end;
  }

  /**
   * A superpacket that is right except for at most two lies, because a frame that passes the first checks of the kernel
   * gets further. It may have any length: a gso_size beyond its end makes it a plain frame, however long.
   */
  private lyingSuperpacket(to: Buffer): number {
    const { random, mac } = this;
    const tcp = random.chance(60);
    const v4 = random.chance(60);
    const length = random.chance(2)
      ? random.between(200, LARGEST_SUPERPACKET)
      : random.chance(20)
        ? random.between(1400, 9100)
        : random.between(150, 1700);
    to.fill(0x41, VNET_HDR_BYTES, VNET_HDR_BYTES + Math.min(length, 300));
    let at = VNET_HDR_BYTES;
    mac.copy(to, at);
    to.fill(0x02, at + 6, at + 12);
    at += 12;
    for (let tags = random.chance(20) ? random.between(1, 2) : 0; tags > 0; tags--, at += 4) {
      to.writeUInt16BE(random.pick(VLAN_TPIDS), at);
      to.writeUInt16BE(random.between(0, 4095), at + 2);
    }
    to.writeUInt16BE(v4 ? 0x0800 : 0x86dd, at);
    at += 2;
    const protocol = tcp ? PROTOCOL.tcp : PROTOCOL.udp;
    const transport = v4
      ? this.ipv4Header(to, at, VNET_HDR_BYTES + length, protocol)
      : this.ipv6Headers(to, at, VNET_HDR_BYTES + length, protocol);
    if (tcp) to[transport + 12] = (random.chance(60) ? 5 : random.between(0, 15)) << 4;
    else to.writeUInt16BE(this.lie(10, VNET_HDR_BYTES + length - transport) & 0xffff, transport + 4);
    const headers = transport + (tcp ? 20 : 8) - VNET_HDR_BYTES;
    const kind = tcp
      ? (v4 ? GSO.tcp4 : GSO.tcp6) | (random.chance(10) ? GSO.ecn : 0)
      : random.chance(80)
        ? GSO.udpL4
        : GSO.udp;
    to[0] = random.chance(75) ? 1 : random.pick([0, 2, 3, 4, 0xff]);
    to[1] = random.chance(85) ? kind : random.pick(GSO_TYPES);
    to.writeUInt16LE(this.lie(20, headers), 2);
    to.writeUInt16LE(
      random.chance(60)
        ? random.between(1, 1448)
        : random.pick([0, 1, length - headers, length - headers - 1, 60_000, 0xffff]) & 0xffff,
      4,
    );
    to.writeUInt16LE(this.lie(15, transport - VNET_HDR_BYTES), 6);
    to.writeUInt16LE(this.lie(15, tcp ? 16 : 6), 8);
    return VNET_HDR_BYTES + length;
  }

  /** Returns the true value or, in `percent` percent of the cases, a value near it or a random one. */
  private lie(percent: number, truth: number): number {
    const { random } = this;
    if (!random.chance(percent)) return truth & 0xffff;
    return (random.chance(50) ? truth + random.between(0, 40) - 20 : random.bits()) & 0xffff;
  }

  /**
   * Returns where the payload begins. A third of the few fragments have the flag that GSO forbids: more fragments
   * follow.
   */
  private ipv4Header(to: Buffer, at: number, end: number, protocol: number): number {
    const { random, address } = this;
    to.fill(0, at, at + 20);
    to[at] = random.chance(90) ? 0x45 : 0x40 | random.between(0, 15);
    to.writeUInt16BE(this.lie(15, end - at), at + 2);
    to.writeUInt16BE(random.chance(85) ? 0x4000 : random.pick([0x2000, 0x2001, 0x0010]), at + 6);
    to[at + 8] = 64;
    to[at + 9] = random.chance(95) ? protocol : random.pick(PROTOCOLS);
    to.set([10, 77, 0, 2, ...address], at + 12);
    to.writeUInt16BE(checksum(to.subarray(at, at + 20)), at + 10);
    return at + 20;
  }

  /** The same after a chain of extension headers, which may have no end. */
  private ipv6Headers(to: Buffer, at: number, end: number, protocol: number): number {
    const { random } = this;
    to.fill(0, at, at + 40);
    to[at] = 0x60;
    to.writeUInt16BE(this.lie(15, end - at - 40), at + 4);
    to[at + 7] = 64;
    to[at + 8] = to[at + 24] = 0xfd;
    let next = at + 6; // where the next header is named
    let place = at + 40;
    for (let chain = random.chance(40) ? random.between(1, 6) : 0; chain > 0; chain--, place += EXTENSION_BYTES) {
      to[next] = random.pick(EXTENSIONS);
      to.fill(0, place, place + EXTENSION_BYTES);
      to[place + 1] = random.chance(95) ? 0 : random.bits() & 0xff; // its length in units of 8 bytes, less one
      next = place;
    }
    to[next] = random.chance(95) ? protocol : random.pick(PROTOCOLS);
    return place;
  }

  private length(): number {
    const { random } = this;
    if (random.chance(5)) return random.between(14, LARGEST_PLAIN);
    if (random.chance(10)) return random.between(1400, 1530);
    return random.between(14, 400);
  }

  /** Where the next header would start. */
  private ethernet(to: Buffer, end: number): number {
    const { random, mac } = this;
    const at = VNET_HDR_BYTES;
    if (random.chance(60)) mac.copy(to, at);
    else if (random.chance(50)) to.fill(0xff, at, at + 6);
    let next = at + 12;
    for (let tags = random.chance(25) ? random.between(1, 10) : 0; tags > 0 && next + 6 <= end; tags--) {
      to.writeUInt16BE(random.pick(VLAN_TPIDS), next);
      to.writeUInt16BE(random.bits() & 0xffff, next + 2);
      next += 4;
    }
    if (next + 2 > end) return at + ETH_HEADER_BYTES;
    to.writeUInt16BE(random.chance(80) ? random.pick(ETHERTYPES) : random.bits() & 0xffff, next);
    return next + 2;
  }

  /** An IP header that is right in most fields and lies in some; it may be truncated. */
  private network(to: Buffer, at: number, end: number): number {
    const { random, address } = this;
    const v4 = random.chance(60);
    const header = Buffer.alloc(v4 ? 20 : 40);
    const rest = Math.min(end - at, 65535);
    if (v4) {
      header[0] = random.chance(80) ? 0x45 : random.bits() & 0xff;
      header.writeUInt16BE(random.chance(80) ? rest : random.bits() & 0xffff, 2);
      header.writeUInt16BE(random.chance(70) ? 0 : random.bits() & 0xffff, 6);
      header[8] = random.pick([0, 1, 64, 255]);
      header[9] = random.pick(PROTOCOLS);
      header.writeUInt32BE(random.bits(), 12);
      address.forEach((byte, i) => (header[16 + i] = byte));
      if (random.chance(80)) header.writeUInt16BE(checksum(header), 10);
    } else {
      header[0] = random.chance(80) ? 0x60 : random.bits() & 0xff;
      header.writeUInt16BE(random.chance(80) ? Math.max(0, rest - 40) : random.bits() & 0xffff, 4);
      header[6] = random.pick(PROTOCOLS);
      header[7] = random.pick([0, 1, 64, 255]);
      for (let i = 8; i < 40; i++) header[i] = random.bits() & 0xff;
    }
    const copied = header.copy(to, at, 0, Math.max(0, Math.min(header.length, end - at)));
    // The EtherType before it matches, unless the frame is to lie there, too.
    if (random.chance(80)) to.writeUInt16BE(v4 ? 0x0800 : 0x86dd, at - 2);
    return at + copied;
  }

  private vnetHeader(to: Buffer, transport: number, length: number): void {
    const { random } = this;
    to.fill(0, 0, VNET_HDR_BYTES);
    if (random.chance(50)) return;
    const start = transport - VNET_HDR_BYTES;
    to[0] = random.chance(80) ? random.pick([0, 1, 2, 3]) : random.bits() & 0xff;
    to[1] = random.chance(70) ? 0 : random.pick(GSO_TYPES);
    to.writeUInt16LE(random.chance(70) ? Math.min(start + 20, length) : random.bits() & 0xffff, 2);
    to.writeUInt16LE(random.chance(70) ? random.between(1, 1500) : random.bits() & 0xffff, 4);
    to.writeUInt16LE(random.chance(70) ? start : random.bits() & 0xffff, 6);
    to.writeUInt16LE(random.chance(70) ? random.pick([6, 16, 2]) : random.bits() & 0xffff, 8);
  }
}

function checksum(header: Buffer): number {
  let sum = 0;
  for (let i = 0; i < header.length; i += 2) sum += header.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
