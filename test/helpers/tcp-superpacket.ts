// SPDX-License-Identifier: MIT
/** Superpackets of TCP made by hand: a virtio_net_hdr and a frame, which an AF_PACKET socket sends. */
import { ethernet } from './frames';

/** The address of their sender. */
export const PROBE_MAC = '02:00:00:00:0e:05';
const PROTOCOL_TCP = 6;
const NEEDS_CSUM = 1;
const GSO_TCPV4 = 1;
const GSO_TCPV6 = 4;
const [ETH, IP, IP6, TCP] = [14, 20, 40, 20];
const LENGTH_MAX = 65535;

export type Tags = readonly (readonly [number, number])[];

function ipv4(bytes: number): Buffer {
  const header = Buffer.alloc(IP);
  header[0] = 0x45;
  header.writeUInt16BE(IP + bytes > LENGTH_MAX ? 0 : IP + bytes, 2);
  header[8] = 64;
  header[9] = PROTOCOL_TCP;
  header.set([10, 77, 0, 2, 10, 77, 0, 3], 12);
  return header;
}

function ipv6(bytes: number): Buffer {
  const header = Buffer.alloc(IP6, 0xfd);
  header.writeUInt32BE(0x60000000, 0);
  header.writeUInt16BE(bytes > LENGTH_MAX ? 0 : bytes, 4);
  header[6] = PROTOCOL_TCP;
  header[7] = 64;
  return header;
}

/** A superpacket that carries its number. `version`: of IP. */
export function tcpSuperpacket(
  number: number,
  payload: number,
  segment: number,
  tags: Tags = [],
  version: 4 | 6 = 4,
): Buffer {
  const tcp = Buffer.alloc(TCP + payload, number & 0xff);
  tcp.fill(0, 0, TCP);
  tcp.writeUInt32BE(number, 4); // the sequence number
  tcp[12] = (TCP / 4) << 4;
  const ip = version === 4 ? ipv4(tcp.length) : ipv6(tcp.length);
  const transport = ETH + 4 * tags.length + ip.length;
  const header = Buffer.alloc(10);
  header[0] = NEEDS_CSUM;
  header[1] = version === 4 ? GSO_TCPV4 : GSO_TCPV6;
  [transport + TCP, segment, transport, 16].forEach((word, i) => header.writeUInt16LE(word, 2 + 2 * i));
  const type = version === 4 ? 0x0800 : 0x86dd;
  const packet = Buffer.concat([ip, tcp]);
  return Buffer.concat([
    header,
    ethernet({ destination: '02:00:00:00:0e:06', source: PROBE_MAC, type, tags, payload: packet }),
  ]);
}

/** The number that such a frame carries. */
export const numberOf = (frame: Buffer, tags: Tags = []): number => frame.readUInt32BE(ETH + 4 * tags.length + IP + 4);

/** The payload of such a frame. */
export const payloadOf = (frame: Buffer): Buffer => frame.subarray(ETH + IP + TCP);
