// SPDX-License-Identifier: MIT
/**
 * UDP frames as this machine sends them: the checksum covers only the pseudo-header, and the rest is left to the
 * device.
 */

export interface Datagram {
  family?: 4 | 6;
  bytes?: number;
  /** First byte of the payload. */
  fill?: number;
  from?: number;
  to?: number;
  mac?: number;
  sourcePort?: number;
  destinationPort?: number;
  ttl?: number;
  tos?: number;
  flowLabel?: number;
  protocol?: number;
  /** IPv4 only: the fragment field; "do not fragment" by default. */
  fragment?: number;
  mayFragment?: boolean;
  /** The checksum is already complete. */
  checksumDone?: boolean;
  /** IPv4 only. */
  identification?: number;
  /** Added to the checksum of the IPv4 header. */
  ipSumOff?: number;
  /** Added to the unfinished checksum of UDP. */
  udpSumOff?: number;
  udpLengthOff?: number;
  ipLengthOff?: number;
  gsoType?: number;
}

/** The Internet checksum. */
export function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += bytes.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

export function datagram(of: Datagram): { frame: Buffer; vnetHeader: string } {
  const {
    family = 4,
    bytes = 100,
    fill = 0,
    from = 1,
    to = 2,
    mac = 3,
    sourcePort = 1000,
    destinationPort = 2000,
    ttl = 64,
    tos = 0,
  } = of;
  const {
    flowLabel = 0,
    protocol = 17,
    fragment = of.mayFragment ? 0 : 0x4000,
    identification = 0,
    ipSumOff = 0,
    udpSumOff = 0,
    udpLengthOff = 0,
    ipLengthOff = 0,
  } = of;
  const ip = family === 4 ? 20 : 40;
  const udp = 14 + ip;
  const frame = Buffer.alloc(udp + 8 + bytes, 0x55);
  frame.fill(mac, 0, 12);
  const length = bytes + 8 + udpLengthOff;
  if (family === 4) {
    frame.writeUInt16BE(0x0800, 12);
    frame.fill(0, 14, 34);
    frame[14] = 0x45;
    frame[15] = tos;
    frame.writeUInt16BE(20 + 8 + bytes + ipLengthOff, 16);
    frame.writeUInt16BE(identification & 0xffff, 18);
    frame.writeUInt16BE(fragment, 20);
    frame[22] = ttl;
    frame[23] = protocol;
    frame.set([10, 0, 0, from, 10, 0, 0, to], 26);
    frame.writeUInt16BE((checksum(frame.subarray(14, 34)) + ipSumOff) & 0xffff, 24);
  } else {
    frame.writeUInt16BE(0x86dd, 12);
    frame.fill(0, 14, 54);
    frame.writeUInt32BE(0x60000000 | (tos << 20) | flowLabel, 14);
    frame.writeUInt16BE(8 + bytes + ipLengthOff, 18);
    frame[20] = protocol;
    frame[21] = ttl;
    frame[22 + 15] = from;
    frame[38 + 15] = to;
  }
  frame.writeUInt16BE(sourcePort, udp);
  frame.writeUInt16BE(destinationPort, udp + 2);
  frame.writeUInt16BE(length, udp + 4);
  const addresses = frame.subarray(family === 4 ? 26 : 22, udp);
  const sum = ~checksum(Buffer.concat([addresses, Buffer.from([0, protocol, length >> 8, length & 0xff])]));
  frame.writeUInt16BE((sum + udpSumOff) & 0xffff, udp + 6);
  if (bytes > 0) frame[udp + 8] = fill;
  const header = Buffer.alloc(10);
  header[0] = of.checksumDone ? 0 : 1;
  header[1] = of.gsoType ?? 0;
  header.writeUInt16LE(udp, 6);
  header.writeUInt16LE(6, 8);
  return { frame, vnetHeader: header.toString('latin1') };
}
