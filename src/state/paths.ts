// SPDX-License-Identifier: MIT
/**
 * Where state lives. `ip netns exec` gives its command a mount namespace of its own with a fresh /sys, which hides
 * /sys/fs/bpf. All state therefore belongs to the mount namespace of pid 1, reached through /proc/1/root, so that every
 * vnet-bpf on the machine sees the same state.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { exhaustion, VnetError } from '../errors';
import { command } from '../native/command';

function sameMountNamespaceAsInit(): boolean {
  try {
    return fs.statSync('/proc/self/ns/mnt').ino === fs.statSync('/proc/1/ns/mnt').ino;
  } catch {
    unknown = true;
    return true; // not allowed to look: use the paths as they are
  }
}

/**
 * Set if this process is not allowed to look at the machine's mount namespace, and so cannot know whether its own is
 * the same.
 */
let unknown = false;

export function machineIsOutOfSight(): boolean {
  hostPath('/');
  return unknown;
}

let cachedRoot: string | undefined;

/** A path in the machine's mount namespace, whatever mount namespace this process is in. */
export function hostPath(absolute: string): string {
  cachedRoot ??= sameMountNamespaceAsInit() ? '' : '/proc/1/root';
  return cachedRoot + absolute;
}

/**
 * Mounts or unmounts something for the whole machine: with `call` if this process is in the machine's mount namespace,
 * otherwise with a command that enters it.
 */
export function onHostMounts(call: () => void, program: 'mount' | 'umount', args: readonly string[]): void {
  if (hostPath('/') === '/') call();
  else command('nsenter', ['--target', '1', '--mount', '--', program, ...args]);
}

const RUN = '/run/vnet-bpf';

/** The directory of all state, as the host names it. */
export const stateRoot = (): string => hostPath(RUN);
/** The directory of one attachment. */
export const stateDirectory = (id: string): string => path.join(stateRoot(), id);
/** The file that keeps the peer namespace alive; mount commands need HOST_PEER_NETNS. */
export const peerNetnsFile = (): string => hostPath(HOST_PEER_NETNS);
export const HOST_PEER_NETNS = `${RUN}/netns`;

/**
 * Creates a directory that only root can enter, or checks that the existing one is private. Root processes trust its
 * contents, so another user's directory or a symbolic link is refused with STATE.
 */
export function privateDirectory(directory: string): void {
  try {
    fs.mkdirSync(directory, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') {
      throw (
        exhaustion(error, `state directory ${directory}`) ??
        new VnetError('STATE', `state directory ${directory}`, (error as Error).message, {
          hint: 'check that its file system is mounted and can be written to',
          cause: error,
        })
      );
    }
  }
  requirePrivate(directory);
}

/** Whether `directory` is a directory that only root can enter; null if it does not exist. */
export function isPrivate(directory: string): boolean | null {
  const stat = fs.lstatSync(directory, { throwIfNoEntry: false });
  return stat ? stat.isDirectory() && stat.uid === 0 && (stat.mode & 0o077) === 0 : null;
}

/** Throws STATE if `directory` exists but is not a directory that only root can enter. */
export function requirePrivate(directory: string): void {
  if (isPrivate(directory) === false) {
    throw new VnetError('STATE', `state directory ${directory}`, "is not a directory of root's alone (mode 0700)", {
      hint: `find out who made it, then remove it: rm -r ${directory}`,
    });
  }
}
