// SPDX-License-Identifier: MIT
/**
 * Network namespaces. setns(2) works per thread, so the main thread enters one for the length of
 * a synchronous function and comes back; children spawned inside inherit it.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { VnetError } from '../errors';
import { clock } from '../native/clock';
import { tryCommand } from '../native/command';
import { didYouMean } from '../suggest';
import { openSocket, setNetns, socketOption64, unshareNetns } from '../native/libc';

const NAMED = '/run/netns';
const OWN = '/proc/thread-self/ns/net';
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOL_SOCKET = 1;
const SO_NETNS_COOKIE = 71;

export class Netns implements Disposable {
  private open = true;

  private constructor(
    /** An open descriptor of the namespace; owned. It keeps the namespace alive while open. */
    readonly fd: number,
    /** The inode of the namespace: its identity among those that live. A namespace made later may get the inode of one that is gone. */
    readonly inode: number,
  ) {}

  /** The namespace of the calling thread. */
  static current(): Netns {
    return Netns.at(OWN);
  }

  /** A namespace by its file; throws the ENOENT of open(2) if there is none. */
  static at(file: string): Netns {
    const fd = fs.openSync(file, 'r');
    return new Netns(fd, fs.fstatSync(fd).ino);
  }

  /** A namespace made with `ip netns add NAME`; null is the calling thread's. */
  static named(name: string | null): Netns {
    if (name === null) return Netns.current();
    try {
      return Netns.at(namedNetnsFile(name));
    } catch (cause) {
      throw new VnetError('NO_SUCH_NETNS', `network namespace ${name}`, 'there is none of that name', {
        hint: didYouMean(name, namedNetnsFiles().map((file) => path.basename(file)), 'ip netns list shows those that exist; ip netns add makes one', (near) => `--netns ${near}`),
        cause,
      });
    }
  }

  /** The same namespace, to be closed on its own. */
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

  /** The number that no other namespace of this boot has or had, in decimal; null before Linux 5.14. */
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

/** Runs `body` with the calling thread in a namespace made for it, which dies unless kept. */
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

/** The file of a named namespace, whether there is one or not. */
export const namedNetnsFile = (name: string): string => path.join(NAMED, name);

/** The files of named namespaces. */
export function namedNetnsFiles(): string[] {
  try {
    return fs.readdirSync(NAMED).map(namedNetnsFile);
  } catch {
    return [];
  }
}

/** How long processes may take to end when they are asked to, and when they are made to. */
const END_MS = { SIGTERM: 1000, SIGKILL: 2000 } as const;

/** Ends the processes that run in a namespace: SIGTERM, and after a second SIGKILL. */
export async function endProcesses(name: string): Promise<void> {
  const running = (): number[] => tryCommand('ip', ['netns', 'pids', name]).stdout.split('\n').filter(Boolean).map(Number);
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    for (const pid of running()) endProcess(pid, signal);
    for (const end = clock.now() + END_MS[signal]; ; await delay(20)) {
      if (running().length === 0) return;
      if (clock.now() > end) break;
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
