// SPDX-License-Identifier: MIT
/** The BPF file system: the pins of each attachment are in /sys/fs/bpf/vnet-bpf/<id>. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { isBpffs } from 'libbpf-ts';

import { VnetError } from '../errors';
import { mountFileSystem } from '../native/libc';
import { randomBytes } from '../native/random';
import { removeTree } from '../native/removal';
import { hostPath, isPrivate, machineIsOutOfSight, onHostMounts, privateDirectory, requirePrivate } from './paths';

const BPFFS = '/sys/fs/bpf';
const OURS = 'vnet-bpf';
/** The mount option that bpftool and iproute2 use. The kernel's own default lets every user make files there. */
const MODE = 'mode=0700';
/** Attempts to take the name: another user may fill a directory of that name again and again. */
const ATTEMPTS = 20;

/** Whether the BPF file system is mounted where the machine expects it. */
export const bpffsIsMounted = (): boolean => isBpffs(hostPath(BPFFS));

/**
 * Mounts the BPF file system where the machine expects it, as bpftool does, unless it is mounted there. Returns its
 * path. Throws BPFFS.
 */
function requireMounted(): string {
  const bpffs = hostPath(BPFFS);
  if (isBpffs(bpffs)) return bpffs;
  const fix = `mount -t bpf bpf ${BPFFS}`;
  try {
    onHostMounts(() => mountFileSystem('bpf', BPFFS, MODE), 'mount', ['-t', 'bpf', '-o', MODE, 'bpf', BPFFS]);
  } catch (cause) {
    throw new VnetError('BPFFS', `BPF file system on ${BPFFS}`, 'is not mounted and could not be', {
      hint: `as root: ${fix}`,
      cause,
    });
  }
  if (!isBpffs(bpffs)) {
    throw new VnetError('BPFFS', `BPF file system on ${BPFFS}`, 'another file system is mounted there', { hint: fix });
  }
  return bpffs;
}

/**
 * Makes the directory of all pins. If every user may write to the BPF file system, another user may have taken its
 * name, or take it at any moment: ours is made under another name, and rename(2) puts it in the place of an empty one.
 * One with something in it gets another name, and stays theirs. Nothing in it is touched.
 */
function makeOurDirectory(bpffs: string): void {
  const ours = path.join(bpffs, OURS);
  const ownerOfName = (): number => fs.lstatSync(ours, { throwIfNoEntry: false })?.uid ?? 0;
  if (ownerOfName() === 0) {
    try {
      return privateDirectory(ours);
    } catch (error) {
      if (ownerOfName() === 0) throw error;
    }
  }
  const made = `${ours}-${randomBytes(4).toString('hex')}`;
  privateDirectory(made);
  try {
    for (let attempt = 1; ; attempt++) {
      try {
        fs.renameSync(made, ours);
        return requirePrivate(ours);
      } catch (error) {
        const owner = ownerOfName();
        if (owner === 0 || attempt === ATTEMPTS) throw error;
        fs.renameSync(ours, `${ours}-of-user-${owner}-${randomBytes(4).toString('hex')}`);
      }
    }
  } finally {
    removeTree(made);
  }
}

/** Makes the directory for the pins of an attachment. Throws BPFFS. */
export function makePinDirectory(id: string): string {
  const bpffs = requireMounted();
  try {
    fs.accessSync(bpffs, fs.constants.W_OK);
  } catch (cause) {
    throw new VnetError('BPFFS', `BPF file system on ${BPFFS}`, 'is read-only', {
      hint: `as root: mount -o remount,rw ${BPFFS}`,
      cause,
    });
  }
  makeOurDirectory(bpffs);
  privateDirectory(pinDirectory(id));
  return pinDirectory(id);
}

/** The directory of an attachment's pins, whether it exists or not. */
export function pinDirectory(id: string): string {
  return path.join(hostPath(BPFFS), OURS, id);
}

/**
 * The path by which the pins of an attachment can be read. A process that may not look at the machine's mount namespace
 * looks through that of the controller (/proc/<pid>/root), if it may.
 */
export function visiblePins({ id, pid }: { id: string; pid: number }): string {
  const pins = pinDirectory(id);
  if (!machineIsOutOfSight() || fs.existsSync(pins)) return pins;
  const seen = `/proc/${pid}/root${pins}`;
  return isPrivate(seen) ? seen : pins;
}

/** The name of a queue's ring among the pins. */
export const ringPin = (queue: number): string => `ring${queue}`;

/** The directory of pins that another process made, after a check that its content can be trusted. */
export function trustedPins(id: string): string {
  const pins = pinDirectory(id);
  requirePrivate(path.dirname(pins));
  requirePrivate(pins);
  return pins;
}

/** Unlinks an attachment's pins; the kernel frees what nothing else holds. Throws BPFFS if that is read-only. */
export function removePins(id: string): void {
  if (!isPrivate(path.dirname(pinDirectory(id)))) return; // there are none, or another user owns the directory and could lead us elsewhere
  try {
    removeTree(pinDirectory(id));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EROFS') throw cause;
    throw new VnetError('BPFFS', `BPF file system on ${BPFFS}`, 'is read-only: the pins of the interface stay', {
      hint: `as root: mount -o remount,rw ${BPFFS}; then detach it again`,
      cause,
    });
  }
  try {
    fs.rmdirSync(path.dirname(pinDirectory(id)));
  } catch {
    // other attachments still have pins there, or there never were any
  }
}
