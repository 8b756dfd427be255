// SPDX-License-Identifier: MIT
/** Reads and builds frames, and fixes their checksums. */
export { ipv4Bytes, ipv4Text, ipv6Bytes, ipv6Text, macBytes, macText } from './addresses';
export {
  arp,
  askedAddress,
  echoReply,
  ethernet,
  icmp,
  icmpv6,
  ipv4,
  ipv6,
  neighbourReply,
  reply,
  tcp,
  udp,
} from './build';
export type { ArpFields, EthernetFields, Ipv4Fields, Ipv6Fields, Packet, Segment, TcpFields, UdpFields } from './build';
export { Frame, hexDump, summaryOf } from './frame';
export { ETHER_TYPE, PROTOCOL, TCP_FLAG } from './headers';
export type { Arp, Ethernet, Icmp, Icmpv6, Ipv4, Ipv6, Tcp, Udp, Vlan } from './layers';
export { fixChecksums } from './offload';
