// SPDX-License-Identifier: MIT
/**
 * IPv6 on an interface that attach has made: without duplicate address detection (DAD), and with the addresses that it
 * had before the kernel began it anew. Everything works in the interface's namespace. Failures are SystemErrors.
 *
 * The only station on this wire is the interface itself, so no address can be taken already. Without DAD every address
 * is ready at once, including the link-local one. With it, the routes of that would change a second or two later, and
 * the kernel discards a datagram whose sender is blocked while its route changes (ip6_send_skb keeps the route it had
 * found: dst_discard_out).
 *
 * An MTU below 1280 ends IPv6 on an interface. Once the MTU is large enough again, IPv6 starts anew, with the
 * namespace's defaults and without the addresses (addrconf_notify in net/ipv6/addrconf.c).
 */
import * as fs from 'node:fs';

import { type Address, addresses, removeAddress, setAddress } from './addresses';
import type { Link } from './links';
import { setInterfaceSysctl } from './veth';

const file = (iface: string): string => `/proc/sys/net/ipv6/conf/${iface}/accept_dad`;

/** Whether DAD is on; null if there is no IPv6 on the interface. */
function detects(iface: string): boolean | null {
  return fs.existsSync(file(iface)) ? fs.readFileSync(file(iface), 'utf8').trim() !== '0' : null;
}

/**
 * Switches off DAD and the acceptance of router advertisements and redirects: there is no router, and a program that may
 * send raw frames here could give the namespace addresses, a default route, and other ways to single hosts. Does nothing
 * if there is no IPv6.
 */
export function withoutAddressDetection(iface: string): void {
  if (detects(iface) === null) return;
  for (const name of ['accept_dad', 'accept_ra', 'accept_redirects']) setInterfaceSysctl(iface, name, '0', 'ipv6');
}

const globalAddresses = ({ name }: Link): Address[] =>
  addresses(name).filter((entry) => entry.family === 6 && entry.global);

/** Follows IPv6 on an interface, and restores it after it has started anew. */
export class Ipv6Keeper {
  /** The interface's global addresses when IPv6 last worked on it. */
  private known: readonly Address[] = [];
  /** Whether IPv6 has ended since then, and the addresses are not back yet. */
  private isToRestore = false;

  /**
   * Looks at the interface, and restores what it had before IPv6 started anew. True if that was the case, or another
   * program had switched DAD on, which is undone if `mayUndo` says so.
   */
  look(link: Link, mayUndo: () => boolean): boolean {
    const wasReset = detects(link.name);
    if (wasReset === true && !this.isToRestore && this.isAsBefore(link) && !mayUndo()) {
      this.known = globalAddresses(link);
      return false;
    }
    if (wasReset !== false) this.isToRestore = true;
    if (wasReset === null) return false;
    if (this.isToRestore) this.restore(link);
    const present = globalAddresses(link);
    // It may have ended, or started anew, since it was looked at: then the addresses are missing because of that.
    this.isToRestore = detects(link.name) !== false;
    if (!this.isToRestore) this.known = present;
    return wasReset;
  }

  /** Whether the interface has an address that it had before, or had none: a new start of IPv6 removes all. */
  private isAsBefore(link: Link): boolean {
    const present = globalAddresses(link);
    return (
      this.known.length === 0 || this.known.some(({ address }) => present.some((each) => each.address === address))
    );
  }

  private restore(link: Link): void {
    withoutAddressDetection(link.name);
    const present = addresses(link.name);
    const lost = link.up ? this.known.filter(({ address }) => !present.some((entry) => entry.address === address)) : [];
    for (const address of lost) setAddress(link.ifindex, address);
    for (const address of present.filter(({ tentative }) => tentative)) {
      removeAddress(link.ifindex, address);
      setAddress(link.ifindex, address);
    }
  }
}
