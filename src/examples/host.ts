// SPDX-License-Identifier: MIT
/**
 * host: a machine in a file. It answers ARP, IPv6 neighbour discovery, pings, UDP and TCP echo (port 7) and DNS, at
 * addresses that exist nowhere else.
 *
 *   vnet-bpf attach vnet0 --addr 10.77.0.1/24 --addr fd77::1/64 --hook host.ts
 *   ping 10.77.0.2; ping fd77::2; dig @10.77.0.2 host.test
 */
import {
  askedAddress,
  echoReply,
  neighbourReply,
  reply,
  udp,
  type Frame,
  type Hook,
  type HookContext,
} from 'vnet-bpf/hooks';

import { dnsAnswer } from './dns-answer';
import { TcpEcho } from './tcp-echo';

const MAC = '02:00:00:00:00:02';
const ADDRESSES = { v4: process.env['HOST_IPV4'] ?? '10.77.0.2', v6: process.env['HOST_IPV6'] ?? 'fd77::2' };
const PORT = { echo: 7, dns: 53 };

const isOurs = (address: string | undefined): boolean => address === ADDRESSES.v4 || address === ADDRESSES.v6;

const tcp = new TcpEcho(PORT.echo);

/** The host's reply to a datagram; null if there is none. */
function udpAnswer(frame: Frame): Uint8Array | null {
  const { udp: datagram } = frame;
  if (!datagram) return null;
  const { sourcePort, destinationPort, payload } = datagram;
  const answer =
    destinationPort === PORT.echo ? payload : destinationPort === PORT.dns ? dnsAnswer(payload, ADDRESSES) : null;
  return answer && reply(frame, udp({ sourcePort: destinationPort, destinationPort: sourcePort }, answer));
}

function receive(frame: Frame, nic: HookContext): void {
  if (frame.tcp) return tcp.receive(frame, nic);
  const answer = echoReply(frame) ?? udpAnswer(frame);
  if (answer) nic.inject(answer);
}

const host: Hook = {
  frame(frame, nic) {
    const asked = askedAddress(frame);
    if (asked !== null && isOurs(asked)) {
      const answer = neighbourReply(frame, MAC);
      if (answer) nic.inject(answer);
      return 'drop';
    }
    if (!isOurs(frame.ip?.destination)) return 'pass'; // for others: it comes back to vnet0
    receive(frame, nic);
    return 'drop';
  },
  start: (nic) => tcp.start(nic),
};

export default host;
