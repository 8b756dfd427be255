// SPDX-License-Identifier: MIT
/**
 * The hidden network namespace: one for all interfaces, home of every vnet0's other end, so that
 * users and NetworkManager see only vnet0. It is kept alive by a bind mount, as `ip netns` does,
 * but outside /run/netns so that `ip netns list` does not show it; the last detach removes it.
 */
import * as fs from 'node:fs';

import { bindMount, unmountLazily } from '../native/libc';
import { HOST_PEER_NETNS, onHostMounts, peerNetnsFile } from '../state/paths';
import { links } from './links';
import { inNewNetns, Netns } from './netns';

function isNetnsFile(file: string): boolean {
  // nsfs files are on a file system of their own; a plain file there is a mount that never happened.
  return fs.existsSync(file) && fs.statSync(file).dev === fs.statSync('/proc/self/ns/net').dev;
}

/** Opens the hidden namespace, or null if nothing is attached. */
export function openPeerNetns(): Netns | null {
  const file = peerNetnsFile();
  return isNetnsFile(file) ? Netns.at(file) : null;
}

/** Opens the hidden namespace, making it first if need be. The caller holds the global lock. */
export function ensurePeerNetns(): Netns {
  const existing = openPeerNetns();
  if (existing) return existing;
  const file = peerNetnsFile();
  fs.writeFileSync(file, '', { mode: 0o600 });
  inNewNetns(() => {
    // No IPv6 of its own: its router solicitations and MLD reports would show up as vnet0's RX.
    for (const scope of ['all', 'default']) {
      const sysctl = `/proc/sys/net/ipv6/conf/${scope}/disable_ipv6`;
      if (fs.existsSync(sysctl)) fs.writeFileSync(sysctl, '1');
    }
    // The namespace of this thread; a command inherits it.
    onHostMounts(() => bindMount('/proc/thread-self/ns/net', HOST_PEER_NETNS), 'mount', ['--bind', '/proc/self/ns/net', HOST_PEER_NETNS]);
  });
  return Netns.at(file);
}

/** Mounts the hidden namespace again, which somebody has unmounted while the caller has it open. The caller holds the global lock. */
export function keepPeerNetns(netns: Netns): void {
  fs.writeFileSync(peerNetnsFile(), '', { mode: 0o600 });
  const source = `/proc/${process.pid}/fd/${netns.fd}`;
  onHostMounts(() => bindMount(source, HOST_PEER_NETNS), 'mount', ['--bind', source, HOST_PEER_NETNS]);
}

/** Lets go of the hidden namespace if no peer is left in it. The caller holds the global lock. */
export function removeEmptyPeerNetns(): void {
  const netns = openPeerNetns();
  if (netns) {
    const inUse = netns.run(() => links().some((link) => link.kind === 'veth'));
    netns.close();
    if (inUse) return;
    // Lazily, as ip netns del: `vnet-bpf stats` may have it open just now.
    onHostMounts(() => unmountLazily(HOST_PEER_NETNS), 'umount', ['-l', HOST_PEER_NETNS]);
  }
  try {
    fs.rmSync(peerNetnsFile(), { force: true });
  } catch {
    // /run is read-only: a file that nothing is mounted on does no harm
  }
}
