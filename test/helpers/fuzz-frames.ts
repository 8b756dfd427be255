// SPDX-License-Identifier: MIT
/**
 * Frames as nobody should send them: of every EtherType and size, with stacks of VLAN tags, cut-off
 * and lying IP headers, and a virtio_net_hdr that does not fit. From a seed, written into place.
 */
import type { Random } from './random';

export const VNET_HDR_BYTES = 10;
/** The virtio_net_hdr, the largest IP packet, its Ethernet header and one more byte. */
export const LARGEST_BYTES = VNET_HDR_BYTES + 65550;

const ETH_HEADER_BYTES = 14;
const ETHERTYPES = [0x0800, 0x86dd, 0x0806, 0x8100, 0x88a8, 0x8847, 0x8863, 0x8864, 0x88cc, 0x88e5, 0x22f3, 0x894f, 0x88b5, 0x0000, 0xffff];
const PROTOCOLS = [0, 1, 2, 4, 6, 17, 41, 43, 44, 47, 50, 51, 58, 59, 60, 132, 135, 136, 255];
const VLAN_TPIDS = [0x8100, 0x88a8];
const GSO_TYPES = [0, 1, 3, 4, 5, 0x81, 0x84, 2, 0x7f, 0xff];

export class FrameFuzzer {
  constructor(
    private readonly random: Random,
    private readonly mac: Buffer,
    /** 4 bytes of the interface's own address. */
    private readonly address: readonly number[],
  ) {}

  /** Writes a virtio_net_hdr and a frame; the bytes of both. */
  write(to: Buffer): number {
    const { random } = this;
    const length = this.length();
    const end = VNET_HDR_BYTES + length;
    // What the last frame left there is as good as random; some of it is made new.
    for (let i = 0; i < 24; i++) to.writeUInt32LE(random.bits(), VNET_HDR_BYTES + (random.bits() % Math.max(1, length - 4)));
    let at = this.ethernet(to, end);
    if (random.chance(70)) at = this.network(to, at, end);
    this.vnetHeader(to, at, length);
    return end;
  }

  private length(): number {
    const { random } = this;
    if (random.chance(5)) return random.between(14, 65550);
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

  /** An IP header that is right in most fields and lies in some; it may be cut off. */
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
    // The EtherType in front says what it is, unless the frame is to lie there too.
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
