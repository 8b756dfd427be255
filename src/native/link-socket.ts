// SPDX-License-Identifier: MIT
/** Sockets that Node.js does not have: for whole frames of one interface (packet(7)), and for datagrams to the service manager. */
import { bindSocket, openSocket } from './libc';

const AF_PACKET = 17;
const SOCK_RAW = 3;
export const SOL_PACKET = 263;
export const PACKET_VNET_HDR = 15;
const SOCKADDR_LL_BYTES = 20;

/** Not bound to an interface yet, and of no protocol until then: nothing of others gets in. Needs CAP_NET_RAW; the caller closes it. */
export const openLinkSocket = (): number => openSocket(AF_PACKET, SOCK_RAW, 0);

/** Binds it to an interface of the namespace that it was opened in. With protocol 0 it only sends; ETH_P_ALL receives, too. */
export function bindToLink(fd: number, ifindex: number, protocol = 0): void {
  const address = new DataView(new ArrayBuffer(SOCKADDR_LL_BYTES));
  address.setUint16(0, AF_PACKET, true);
  address.setUint16(2, protocol); // in network byte order
  address.setInt32(4, ifindex, true);
  bindSocket(fd, new Uint8Array(address.buffer));
}
