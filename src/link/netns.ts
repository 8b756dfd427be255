// SPDX-License-Identifier: MIT
/**
 * Network namespaces. setns(2) works per thread, so the main thread enters one for the length of a synchronous function
 * and comes back; children spawned inside inherit it.
 *
 * The peer namespace is one for all interfaces. It holds every vnet0's peer, so that users and NetworkManager see only
 * vnet0. A bind mount keeps it alive, as with `ip netns`, but outside /run/netns, so that `ip netns list` does not show
 * it. The last detach removes it.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { didYouMean, exhaustion, HINTS, VnetError } from '../errors';
import { clock } from '../native/clock';
import {
  bindMount,
  openSocket,
  setNetns,
  shareMount,
  socketOption64,
  SystemError,
  unmountLazily,
  unshareNetns,
} from '../native/libc';
import { allPids, isInNetns } from '../native/processes';
import { removeFile } from '../native/removal';
import { HOST_PEER_NETNS, onHostMounts, peerNetnsFile } from '../state/paths';
import { lockEverything } from '../state/store';
import { links } from './links';
import { ifPossible } from './rtnetlink';

const NAMED = '/run/netns';
const OWN = '/proc/thread-self/ns/net';
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOL_SOCKET = 1;
const SO_NETNS_COOKIE = 71;

/** A descriptor of the namespace in which the command was called, if this process runs in another; otherwise null. */
let callers: number | null = null;

/** Sets that descriptor, or closes it. */
export function setCallersNetns(fd: number | null): void {
  if (callers !== null) fs.closeSync(callers);
  callers = fd;
}

export class Netns implements Disposable {
  private open = true;

  private constructor(
    /** An open descriptor of the namespace; owned. It keeps the namespace alive while open. */
    readonly fd: number,
    /**
     * The inode of the namespace. No two living namespaces have the same, but a new one may get the inode of one that
     * is gone.
     */
    readonly inode: number,
  ) {}

  /** The namespace of the calling thread. */
  static current(): Netns {
    return Netns.at(OWN);
  }

  /** Opens a namespace by its file. Throws the ENOENT of open(2) if there is none. */
  static at(file: string): Netns {
    const fd = fs.openSync(file, 'r');
    return new Netns(fd, fs.fstatSync(fd).ino);
  }

  /** Opens a namespace made with `ip netns add NAME`; null is the caller's. Throws NO_SUCH_NETNS. */
  static named(name: string | null): Netns {
    if (name === null) return callers === null ? Netns.current() : Netns.at(`/proc/self/fd/${callers}`);
    try {
      return Netns.at(namedNetnsFile(name));
    } catch (cause) {
      throw new VnetError('NO_SUCH_NETNS', `network namespace ${name}`, 'there is none of that name', {
        hint: didYouMean(
          name,
          namedNetnsFiles().map((file) => path.basename(file)),
          'ip netns list shows those that exist; ip netns add makes one',
          (near) => `--netns ${near}`,
        ),
        cause,
      });
    }
  }

  /** Opens the same namespace again, to be closed on its own. */
  duplicate(): Netns {
    return Netns.at(`/proc/self/fd/${this.fd}`);
  }

  /** Runs `body` with the calling thread in this namespace. */
  run<T>(body: () => T): T {
    const home = Netns.current();
    try {
      if (home.inode === this.inode) return body();
      setNetns(this.fd);
      try {
        return body();
      } finally {
        setNetns(home.fd);
      }
    } finally {
      home.close();
    }
  }

  /** The cookie of the namespace, which no other of this boot has or had, in decimal; null before Linux 5.14. */
  cookie(): string | null {
    return this.run(() => {
      const socket = openSocket(AF_UNIX, SOCK_DGRAM, 0);
      try {
        return socketOption64(socket, SOL_SOCKET, SO_NETNS_COOKIE)?.toString() ?? null;
      } finally {
        fs.closeSync(socket);
      }
    });
  }

  close(): void {
    if (!this.open) return;
    this.open = false;
    fs.closeSync(this.fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Runs `body` with the calling thread in a new namespace, which goes away afterwards unless something keeps it. */
export function inNewNetns<T>(body: () => T): T {
  const home = Netns.current();
  try {
    unshareNetns();
    try {
      return body();
    } finally {
      setNetns(home.fd);
    }
  } finally {
    home.close();
  }
}

/** The file of a named namespace, whether or not it exists. */
export const namedNetnsFile = (name: string): string => path.join(NAMED, name);

/** The files of named namespaces. */
export function namedNetnsFiles(): string[] {
  try {
    return fs.readdirSync(NAMED).map(namedNetnsFile);
  } catch {
    return [];
  }
}

/** How long processes have to end after each signal, in milliseconds. */
const END_MS = { SIGTERM: 1000, SIGKILL: 2000 } as const;

/** The time between two looks at the processes, in milliseconds. */
const LOOK_MS = 20;

/**
 * Ends the processes that run in a namespace, with SIGTERM and, after a second, SIGKILL. Starts no process: the control
 * group may be full.
 */
export async function endProcesses({ inode }: Netns): Promise<void> {
  const running = (): number[] => allPids().filter((pid) => isInNetns(pid, inode));
  for (const pid of running()) endProcess(pid, 'SIGTERM');
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    for (const end = clock.now() + END_MS[signal]; clock.now() <= end; await delay(LOOK_MS)) {
      const left = running();
      if (left.length === 0) return;
      // Those that have been started meanwhile, too; while SIGTERM has time, they may clean up.
      if (signal === 'SIGKILL') for (const pid of left) endProcess(pid, signal);
    }
  }
}

function endProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // it has ended meanwhile
  }
}

// Named network namespaces. They are not made by `ip netns add`, which first takes a lock on /run/netns and waits for
// it without end: every user can open that directory, and hold the lock.

/** Makes a namespace that `ip netns` knows by that name. Leaves nothing behind if it fails. Throws COMMAND_FAILED. */
export function addNamedNetns(name: string): void {
  const file = namedNetnsFile(name);
  try {
    shareDirectory(path.dirname(file));
    fs.closeSync(fs.openSync(file, 'wx', 0));
    try {
      inNewNetns(() => bindMount('/proc/thread-self/ns/net', file));
    } catch (error) {
      removeFile(file);
      throw error;
    }
  } catch (cause) {
    if (cause instanceof VnetError) throw cause;
    const exhausted = exhaustion(cause, `network namespace ${name}`);
    if (exhausted) throw exhausted;
    throw new VnetError(
      'COMMAND_FAILED',
      `network namespace ${name}`,
      cause instanceof Error ? cause.message : String(cause),
      { hint: HINTS.doctor, cause },
    );
  }
}

/** Removes the name of a namespace, as `ip netns del` does. Starts no process and needs no descriptor. */
export function removeNamedNetns(name: string): void {
  const file = namedNetnsFile(name);
  ifPossible(() => unmountLazily(file));
  removeFile(file);
}

/**
 * Shares the mounts in a directory, as `ip netns add` does, so that a namespace whose name is removed goes in every
 * mount namespace. Otherwise it would live on there.
 */
function shareDirectory(directory: string): void {
  // Not recursive: Node.js would report a read-only file system as ENOENT.
  if (!fs.existsSync(directory)) fs.mkdirSync(directory, { mode: 0o755 });
  if (isShared(directory)) return;
  using _ = lockEverything(); // two processes that mount it at the same time would hide what is in it from each other
  if (isShared(directory)) return;
  bindMount(directory, directory);
  shareMount(directory);
}

/** Makes the mount on a directory shared; false if nothing is mounted there. */
function isShared(directory: string): boolean {
  try {
    shareMount(directory);
    return true;
  } catch (error) {
    if (error instanceof SystemError && error.code === 'EINVAL') return false;
    throw error;
  }
}

// The peer namespace.

function isNetnsFile(file: string): boolean {
  // nsfs is a file system of its own; a plain file there means that the mount never happened.
  return fs.existsSync(file) && fs.statSync(file).dev === fs.statSync('/proc/self/ns/net').dev;
}

/** Opens the peer namespace, or null if nothing is attached. */
export function openPeerNetns(): Netns | null {
  const file = peerNetnsFile();
  return isNetnsFile(file) ? Netns.at(file) : null;
}

/** Opens the peer namespace, making it first if need be. The caller holds the global lock. */
export function ensurePeerNetns(): Netns {
  const existing = openPeerNetns();
  if (existing) return existing;
  const file = peerNetnsFile();
  fs.writeFileSync(file, '', { mode: 0o600 });
  inNewNetns(() => {
    // No IPv6 here: router solicitations and MLD reports would show up as vnet0's RX.
    for (const scope of ['all', 'default']) {
      const sysctl = `/proc/sys/net/ipv6/conf/${scope}/disable_ipv6`;
      if (fs.existsSync(sysctl)) fs.writeFileSync(sysctl, '1');
    }
    // The namespace of this thread; a command inherits it.
    onHostMounts(() => bindMount('/proc/thread-self/ns/net', HOST_PEER_NETNS), 'mount', [
      '--bind',
      '/proc/self/ns/net',
      HOST_PEER_NETNS,
    ]);
  });
  return Netns.at(file);
}

/**
 * Mounts the peer namespace again after another program has unmounted it; `netns` is the caller's descriptor of it. The
 * caller holds the global lock.
 */
export function keepPeerNetns(netns: Netns): void {
  fs.writeFileSync(peerNetnsFile(), '', { mode: 0o600 });
  const source = `/proc/${process.pid}/fd/${netns.fd}`;
  onHostMounts(() => bindMount(source, HOST_PEER_NETNS), 'mount', ['--bind', source, HOST_PEER_NETNS]);
}

/** Removes the peer namespace if no peer is left in it. The caller holds the global lock. */
export function removeEmptyPeerNetns(): void {
  const netns = openPeerNetns();
  if (netns) {
    const inUse = netns.run(() => links().some((link) => link.kind === 'veth'));
    netns.close();
    if (inUse) return;
    // Lazily, as `ip netns del` does: `vnet-bpf stats` may have it open at the moment.
    onHostMounts(() => unmountLazily(HOST_PEER_NETNS), 'umount', ['-l', HOST_PEER_NETNS]);
  }
  try {
    removeFile(peerNetnsFile());
  } catch {
    // /run is read-only: a file that nothing is mounted on does no harm
  }
}
