// SPDX-License-Identifier: MIT
/**
 * Ring records as only a hostile sender produces them: good frames of every kind, changed at random, with a
 * virtio_net_hdr that fits, lies, or is noise. They are generated from a seed.
 */
import { arp, ethernet, icmp, icmpv6, ipv4, ipv6, tcp, TCP_FLAG, udp } from '../../src/packet';
import { GSO } from '../../src/packet/offload';
import { FrameFuzzer, LARGEST_BYTES, VNET_HDR_BYTES } from './fuzz-frames';
import type { Random } from './random';

export interface FuzzRecord {
  frame: Buffer;
  vnet: Buffer;
}

interface Seed extends FuzzRecord {
  /** Bytes in which all headers lie. */
  headers: number;
}

const LINK = { source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' };
const V4 = { source: '10.77.0.1', destination: '10.77.0.2' };
const V6 = { source: 'fd77::1', destination: 'fd77::2' };
const PORTS = { sourcePort: 1234, destinationPort: 53 };
const TCP = { ...PORTS, sequence: 1, flags: TCP_FLAG.ack, options: Uint8Array.from({ length: 12 }, () => 1) };
const MAC_BYTES = 6;
const GSO_SIZES = [0, 100, 536, 1000, 1448, 9000, 65535];

export function virtioHeader(
  flags: number,
  gsoType: number,
  gsoSize: number,
  checksumStart: number,
  checksumOffset: number,
): Buffer {
  const vnet = Buffer.alloc(VNET_HDR_BYTES);
  vnet[0] = flags;
  vnet[1] = gsoType;
  vnet.writeUInt16LE(gsoSize, 4);
  vnet.writeUInt16LE(checksumStart, 6);
  vnet.writeUInt16LE(checksumOffset, 8);
  return vnet;
}

/** One frame of each kind: superpackets, tags, extension headers, and protocols other than UDP and TCP. */
function seeds(): Seed[] {
  const payload = Buffer.alloc(3000, 'x');
  const small = payload.subarray(0, 40);
  const vlan = { ...LINK, vlan: { id: 7 } };
  const hopByHop = {
    protocol: 0,
    bytes: Buffer.concat([Buffer.from([17, 0, 1, 4, 0, 0, 0, 0]), udp(PORTS, small).bytes]),
  };
  const fragment = {
    protocol: 44,
    bytes: Buffer.concat([Buffer.from([17, 0, 0, 1, 0, 0, 0, 9]), udp(PORTS, small).bytes]),
  };
  const of = (frame: Uint8Array, headers: number, vnet = virtioHeader(0, 0, 0, 0, 0)): Seed => ({
    frame: Buffer.from(frame),
    vnet,
    headers,
  });
  return [
    of(ethernet(LINK, ipv4(V4, tcp(TCP, payload))), 66, virtioHeader(1, GSO.tcpv4, 1000, 34, 16)),
    of(ethernet(LINK, ipv6(V6, tcp(TCP, payload))), 86, virtioHeader(1, GSO.tcpv6, 1000, 54, 16)),
    of(ethernet(vlan, ipv4(V4, tcp(TCP, payload))), 70, virtioHeader(1, GSO.tcpv4 | GSO.ecn, 1000, 38, 16)),
    of(ethernet(LINK, ipv4(V4, udp(PORTS, payload))), 42, virtioHeader(1, GSO.udpL4, 1000, 34, 6)),
    of(ethernet(LINK, ipv6(V6, udp(PORTS, payload))), 62, virtioHeader(1, GSO.udpL4, 1000, 54, 6)),
    of(ethernet(LINK, ipv4(V4, udp(PORTS, small))), 42, virtioHeader(1, 0, 0, 34, 6)),
    of(ethernet(LINK, ipv4(V4, tcp(TCP, small))), 66, virtioHeader(1, 0, 0, 34, 16)),
    of(ethernet(LINK, ipv6(V6, hopByHop)), 70),
    of(ethernet(LINK, ipv6(V6, fragment)), 70),
    of(ethernet(LINK, ipv4(V4, icmp(8, 0, 1, small))), 42),
    of(ethernet(LINK, ipv6(V6, icmpv6(135, 0, 0, payload.subarray(0, 24)))), 86),
    of(
      ethernet(
        LINK,
        arp({
          operation: 1,
          senderMac: LINK.source,
          senderIp: V4.source,
          targetMac: LINK.destination,
          targetIp: V4.destination,
        }),
      ),
      42,
    ),
  ];
}

export class RecordFuzzer {
  private readonly seeds = seeds();
  private readonly noise: FrameFuzzer;
  private readonly memory = Buffer.alloc(LARGEST_BYTES);

  constructor(private readonly random: Random) {
    this.noise = new FrameFuzzer(random, Buffer.alloc(MAC_BYTES, 2), [10, 77, 0, 1]);
  }

  next(): FuzzRecord {
    return this.random.chance(20) ? this.noisy() : this.changed();
  }

  private noisy(): FuzzRecord {
    const end = this.noise.write(this.memory);
    return {
      vnet: Buffer.from(this.memory.subarray(0, VNET_HDR_BYTES)),
      frame: Buffer.from(this.memory.subarray(VNET_HDR_BYTES, end)),
    };
  }

  private changed(): FuzzRecord {
    const { random } = this;
    const seed = random.pick(this.seeds);
    const frame = Buffer.from(
      random.chance(15) ? seed.frame.subarray(0, random.between(14, seed.frame.length)) : seed.frame,
    );
    const headers = Math.min(seed.headers, frame.length);
    for (let changes = random.between(0, 4); changes > 0; changes--)
      frame[random.between(12, headers - 1)] = random.bits() & 0xff;
    return { frame, vnet: this.header(seed) };
  }

  private header({ vnet: good }: Seed): Buffer {
    const { random } = this;
    if (random.chance(40)) return good;
    const vnet = Buffer.from(good);
    if (random.chance(30)) vnet[0] = random.bits() & 0xff;
    if (random.chance(30)) vnet[1] = random.pick([0, 1, 3, 4, 5, 0x81, 0xff]);
    if (random.chance(50)) vnet.writeUInt16LE(random.chance(2) ? random.between(1, 8) : random.pick(GSO_SIZES), 4);
    if (random.chance(30)) vnet.writeUInt16LE(random.chance(70) ? random.between(0, 90) : random.bits() & 0xffff, 6);
    if (random.chance(30)) vnet.writeUInt16LE(random.chance(70) ? random.between(0, 40) : random.bits() & 0xffff, 8);
    return vnet;
  }
}
