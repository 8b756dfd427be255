// SPDX-License-Identifier: MIT
/**
 * A test file of the real kernel runs as on a machine of its own: private mount, pid and network namespaces, an empty
 * /run and a fresh BPF file system. What others do on this machine meanwhile (namespaces, interfaces, rules, pins,
 * attachments) is not seen in it, and all that a test leaves behind ends with it.
 */
import { spawnSync, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';

/**
 * BPF objects are the kernel's, so those of the whole machine are seen inside. Whose they are can be asked of the
 * processes outside, which stay visible below here: test/helpers/bpf-objects.ts.
 */
export const OUTSIDE = '/run/vnet-bpf-test-outside';

/** Shell commands that give a mount and a network namespace what a machine has of its own. */
export const OWN_FILE_SYSTEMS = `
set -e
# Mounts of namespaces outside would live on in here after their owners removed them.
while read -r _ _ _ _ where rest; do
  case "$where" in /run/*) umount -l "$where" 2>/dev/null || true ;; esac
done </proc/self/mountinfo
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir -p /run/netns /run/lock
# /sys/class/net shows the network namespace of whoever mounted it.
mount -t sysfs sysfs /sys
mount -t bpf bpf /sys/fs/bpf
for one in tracefs:/sys/kernel/tracing debugfs:/sys/kernel/debug cgroup2:/sys/fs/cgroup; do
  mount -t "\${one%%:*}" "\${one%%:*}" "\${one#*:}" 2>/dev/null || true
done
ip link set dev lo up
`;

const PREPARE = `${OWN_FILE_SYSTEMS}
mkdir -p ${OUTSIDE}/proc
mount --bind /proc ${OUTSIDE}/proc
mount -t proc proc /proc
# As pid 1 it also reaps what daemons leave.
"$@" &
trap "kill -TERM $! 2>/dev/null || true" INT TERM
status=128
while [ "$status" -ge 128 ] && kill -0 $! 2>/dev/null; do status=0; wait $! || status=$?; done
exit "$status"
`;

/** Its end is that of everything in it. */
const UNSHARE = [
  '--mount',
  '--pid',
  '--net',
  '--fork',
  '--kill-child',
  '--propagation',
  'private',
  'sh',
  '-c',
  PREPARE,
  'sandbox',
];

/** Whether namespaces may be made here; tests that need root skip themselves where they lack it. */
let possible: boolean | undefined;
const isPossible = (): boolean =>
  (possible ??= process.getuid?.() === 0 && spawnSync('unshare', [...UNSHARE, 'true']).status === 0);

/** What a command has of its own: all that a sandbox gives it, its mounts, or nothing. */
export type Isolation = 'machine' | 'mounts' | null;

/** Program and arguments that run a command with what it is to have, or the command itself where that cannot be. */
export function isolated(isolation: Isolation, program: string, args: readonly string[]): [string, string[]] {
  if (isolation === null || !isPossible()) return [program, [...args]];
  const options = isolation === 'machine' ? UNSHARE : ['--mount', '--propagation', 'private'];
  return ['unshare', [...options, program, ...args]];
}

/**
 * Sends a signal to the command that a child runs: the unshare(1) that waits for a whole machine keeps SIGINT and
 * SIGTERM off.
 */
export function signalIsolated(isolation: Isolation, child: ChildProcess, signal: NodeJS.Signals): void {
  let inside: number[] = [];
  try {
    inside = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'latin1')
      .split(' ')
      .filter(Boolean)
      .map(Number);
  } catch {
    // Ended meanwhile.
  }
  if (isolation === 'machine' && isPossible() && inside.length > 0) for (const pid of inside) process.kill(pid, signal);
  else child.kill(signal);
}
