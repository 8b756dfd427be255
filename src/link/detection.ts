// SPDX-License-Identifier: MIT
/**
 * IPv6 on an interface that we made, without detection of duplicates (DAD). The only station on this wire is the interface
 * itself, so no address can be taken already. Without detection every address is ready at once, the link-local one included,
 * whose routes would change a second or two later otherwise: and a datagram whose sender is blocked while its route changes
 * is discarded by the kernel (ip6_send_skb keeps the route it had found: dst_discard_out).
 *
 * An MTU below 1280 ends IPv6 on an interface, and one that is large enough again begins it anew, with the namespace's
 * defaults and without the addresses (addrconf_notify in net/ipv6/addrconf.c).
 */
import * as fs from 'node:fs';

import { addresses, removeAddress, setAddress, type Address } from './addresses';
import type { Link } from './links';
import { setInterfaceSysctl } from './veth';

const file = (iface: string): string => `/proc/sys/net/ipv6/conf/${iface}/accept_dad`;

/** Null where there is no IPv6 on the interface. */
function detects(iface: string): boolean | null {
  return fs.existsSync(file(iface)) ? fs.readFileSync(file(iface), 'utf8').trim() !== '0' : null;
}

/** Does nothing where there is no IPv6. */
export function withoutAddressDetection(iface: string): void {
  if (detects(iface)) setInterfaceSysctl(iface, 'accept_dad', '0', 'ipv6');
}

export interface Ipv6State {
  /** Its global addresses, to be passed to the next look. */
  addresses: readonly Address[];
  /** The kernel had begun anew, or somebody had switched the detection on. */
  wasReset: boolean;
}

/** Makes IPv6 what it was before it began anew, with the addresses `before`. Null while there is none on the interface. */
export function followIpv6(link: Link, before: readonly Address[]): Ipv6State | null {
  const wasReset = detects(link.name);
  if (wasReset === null) return null;
  if (wasReset) {
    withoutAddressDetection(link.name);
    const present = addresses(link.name);
    const lost = link.up ? before.filter(({ address }) => !present.some((entry) => entry.address === address)) : [];
    for (const address of lost) setAddress(link.ifindex, address);
    for (const address of present.filter(({ tentative }) => tentative)) {
      removeAddress(link.ifindex, address);
      setAddress(link.ifindex, address);
    }
  }
  const known = addresses(link.name).filter((entry) => entry.family === 6 && entry.global);
  return { addresses: known, wasReset };
}
