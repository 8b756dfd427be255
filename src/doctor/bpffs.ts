// SPDX-License-Identifier: MIT
/** Checks the BPF file system, where ring, counters and links are pinned. */
import * as fs from 'node:fs';

import { isBpffs } from 'libbpf-ts';

import { hostPath } from '../state/paths';
import { fail, ok, type Check } from './check';

const BPFFS = '/sys/fs/bpf';

export function bpffs(): Check {
  const file = hostPath(BPFFS);
  if (!fs.existsSync(file)) return fail('bpffs', `no directory ${BPFFS}`, 'mount sysfs on /sys; the kernel needs CONFIG_BPF_SYSCALL');
  if (isBpffs(file)) {
    if (mounted()?.readOnly) return fail('bpffs', `${BPFFS} is read-only`, `as root: mount -o remount,rw ${BPFFS}`);
    return ok('bpffs', `mounted on ${BPFFS}`);
  }
  const other = mounted();
  if (other) return fail('bpffs', `a ${other.type} is mounted on ${BPFFS}`, `as root: umount ${BPFFS} && mount -t bpf bpf ${BPFFS}`);
  return ok('bpffs', `not mounted on ${BPFFS}; attach mounts it`);
}

/** The uppermost mount on /sys/fs/bpf, or null. */
function mounted(): { type: string; readOnly: boolean } | null {
  const table = hostPath('/') === '/' ? '/proc/self/mounts' : '/proc/1/mounts';
  // device, directory, type, options: see fstab(5).
  const entries = fs.readFileSync(table, 'utf8').split('\n').map((line) => line.split(' '));
  const entry = entries.reverse().find((fields) => fields[1] === BPFFS);
  return entry ? { type: entry[2] ?? '', readOnly: (entry[3] ?? '').split(',').includes('ro') } : null;
}
