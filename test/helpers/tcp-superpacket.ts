// SPDX-License-Identifier: MIT
/** Superpackets of TCP made by hand: a virtio_net_hdr and a frame, which an AF_PACKET socket sends. */
import { ethernet } from './frames';

/** The address of their sender. */
export const PROBE_MAC = '02:00:00:00:0e:05';
const PROTOCOL_TCP = 6;
const NEEDS_CSUM = 1;
const GSO_TCPV4 = 1;
const [ETH, IP, TCP] = [14, 20, 20];
const LENGTH_MAX = 65535;

export type Tags = readonly (readonly [number, number])[];

/** A superpacket that carries its number. */
export function tcpSuperpacket(number: number, payload: number, segment: number, tags: Tags = []): Buffer {
  const packet = Buffer.alloc(IP + TCP + payload, number & 0xff);
  packet.fill(0, 0, IP + TCP);
  packet[0] = 0x45;
  packet.writeUInt16BE(packet.length > LENGTH_MAX ? 0 : packet.length, 2);
  packet[8] = 64;
  packet[9] = PROTOCOL_TCP;
  packet.set([10, 77, 0, 2, 10, 77, 0, 3], 12);
  packet.writeUInt32BE(number, IP + 4); // the sequence number
  packet[IP + 12] = (TCP / 4) << 4;
  const mac = ETH + 4 * tags.length;
  const header = Buffer.alloc(10);
  header[0] = NEEDS_CSUM;
  header[1] = GSO_TCPV4;
  header.writeUInt16LE(mac + IP + TCP, 2);
  header.writeUInt16LE(segment, 4);
  header.writeUInt16LE(mac + IP, 6);
  header.writeUInt16LE(16, 8);
  return Buffer.concat([
    header,
    ethernet({ destination: '02:00:00:00:0e:06', source: PROBE_MAC, type: 0x0800, tags, payload: packet }),
  ]);
}

/** The number that such a frame carries. */
export const numberOf = (frame: Buffer, tags: Tags = []): number => frame.readUInt32BE(ETH + 4 * tags.length + IP + 4);

/** The payload of such a frame. */
export const payloadOf = (frame: Buffer): Buffer => frame.subarray(ETH + IP + TCP);
