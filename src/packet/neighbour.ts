// SPDX-License-Identifier: MIT
/** Who has an address? The answers to ARP and to IPv6 neighbour solicitations (RFC 4861). */
import { ipv6Bytes, macBytes } from './addresses';
import { arp, ethernet, icmpv6, ipv6 } from './build';
import type { Frame } from './frame';

const SOLICITATION = 135;
const ADVERTISEMENT = 136;
const SOLICITED_AND_OVERRIDE = 0x60000000;
const TARGET_ADDRESS_OPTION = [2, 1] as const; // of one unit of eight bytes

/** The address that a frame asks for; null if it asks for none. */
export function askedAddress({ arp: request, icmpv6: message }: Frame): string | null {
  if (request?.operation === 1) return request.targetIp;
  return message?.type === SOLICITATION ? message.target : null;
}

/** The answer to whom a frame asks for: "it is at `mac`". Null if it asks for none, or does not say who asks. */
export function neighbourReply(frame: Frame, mac: string): Uint8Array | null {
  const address = askedAddress(frame);
  if (address === null) return null;
  const { arp: request, ipv6: packet } = frame;
  const link = { source: mac, destination: frame.ethernet.source };
  if (request) {
    const { senderMac, senderIp } = request;
    return ethernet(link, arp({ operation: 2, senderMac: mac, senderIp: address, targetMac: senderMac, targetIp: senderIp }));
  }
  if (!packet || packet.source === '::') return null;
  const body = Uint8Array.from([...ipv6Bytes(address), ...TARGET_ADDRESS_OPTION, ...macBytes(mac)]);
  // Neighbour discovery is believed only if no router was in between: a hop limit of 255.
  return ethernet(link, ipv6({ source: address, destination: packet.source, hopLimit: 255 }, icmpv6(ADVERTISEMENT, 0, SOLICITED_AND_OVERRIDE, body)));
}
