// SPDX-License-Identifier: MIT
/** Frames: looking into them, making them, and their checksums. */
export { ipv4Bytes, ipv4Text, ipv6Bytes, ipv6Text, macBytes, macText } from './addresses';
export { arp, ethernet, icmp, icmpv6, ipv4, ipv6, tcp, udp } from './build';
export type { ArpFields, EthernetFields, Ipv4Fields, Ipv6Fields, Packet, Segment, TcpFields, UdpFields } from './build';
export { fixChecksums } from './checksum';
export { Frame } from './frame';
export type { Ipv4, Ipv6 } from './ip-layers';
export type { Arp, Ethernet, Vlan } from './link-layers';
export { askedAddress, neighbourReply } from './neighbour';
export { ETHER_TYPE, PROTOCOL, TCP_FLAG } from './protocols';
export { echoReply, reply } from './reply';
export { hexDump, summaryOf } from './summary';
export type { Icmp, Icmpv6, Tcp, Udp } from './transport-layers';
