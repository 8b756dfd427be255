// SPDX-License-Identifier: MIT
/**
 * A private machine for tests that check everything the product leaves behind: mount, pid and network namespaces of its
 * own, with an empty /run and a fresh BPF file system. Whatever is found there was made there, regardless of what else
 * runs on the host.
 */
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { createInterface } from 'node:readline';

import type { Test } from 'tap';

import { MAIN } from './cli';
import { run, type Result } from './netns';

/**
 * Runs as pid 1 of the machine. It first reads from the old /proc the PID by which the host knows it. It unmounts the
 * network namespaces that are mounted on the host, which would otherwise stay alive here after their owners removed
 * them. It ends, and the whole machine with it, when the test closes its standard input.
 */
const INIT = `
set -e
read -r outside rest </proc/self/stat
while read -r _ _ _ _ where rest; do
  case "$where" in /run/*) umount -l "$where" 2>/dev/null || true ;; esac
done </proc/self/mountinfo
mount -t proc proc /proc
mount -t tmpfs -o mode=0755 tmpfs /run
mount -t bpf bpf /sys/fs/bpf
ip link set dev lo up
echo "$outside"
exec cat >/dev/null
`;

/**
 * Lists everything that an attachment could leave, one item per line. On an empty machine it prints nothing: what
 * mount(8) keeps in /run and the kernel's own iterators on bpffs are left out.
 */
const RESIDUE = `
ls -A /run | grep -v '^mount$' | sed 's|^|/run/|' || true
ls -A /sys/fs/bpf | grep -v '[.]debug$' | sed 's|^|/sys/fs/bpf/|' || true
ip -o link show | grep -v ': lo:' || true
ip -4 rule show | grep -vE 'lookup (local|main|default)' || true
ip -4 rule show | grep 'lookup local' | grep -v '^0:' || true
ip -6 rule show | grep -vE 'lookup (local|main)' || true
ip -6 rule show | grep 'lookup local' | grep -v '^0:' || true
ip -4 rule show | grep suppress_ifgroup || true
ip -6 rule show | grep suppress_ifgroup || true
awk '$2 ~ "^/(run|sys/fs/bpf)/.*vnet-bpf"' /proc/self/mounts
`;

export class PrivateMachine {
  private constructor(private readonly init: number) {}

  /** Starts a machine, which ends with everything in it when the test or the test's process ends. */
  static async start(t: Test): Promise<PrivateMachine> {
    const child = spawn('unshare', ['--mount', '--pid', '--net', '--fork', '--kill-child', 'sh', '-c', INIT], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
    t.teardown(async () => {
      child.stdin.end();
      await ended;
    });
    const first = new Promise<string>((resolve) => createInterface(child.stdout).once('line', resolve));
    const init = await Promise.race([first, ended.then(() => '')]);
    if (init === '') throw new Error('unshare: the machine did not start');
    return new PrivateMachine(Number(init));
  }

  /** The command line that runs a program inside the machine. */
  inside(program: string, args: readonly string[]): [string, string[]] {
    // NODE_OPTIONS has tap's module loader, which doubles the time that the command takes to start.
    return [
      'nsenter',
      ['--target', String(this.init), '--mount', '--pid', '--net', '--', 'env', '-u', 'NODE_OPTIONS', program, ...args],
    ];
  }

  /** Runs a program inside the machine until it ends. The status is -1 if a signal killed it. */
  run(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Result {
    return run(...this.inside(program, args), { env: { ...process.env, ...env } });
  }

  /** Runs shell commands, which must succeed; returns what they print. */
  shell(script: string): string {
    const { status, stdout, stderr } = this.run('sh', ['-c', script]);
    if (status !== 0) throw new Error(`${script.trim()}: status ${status}: ${stderr.trim()}`);
    return stdout;
  }

  /**
   * The fewest descriptors with which Node.js starts a program that has one file open while it loads another;
   * `directory` is the test's own.
   */
  leastDescriptors(directory: string): number {
    const program = path.join(directory, 'program.js');
    fs.writeFileSync(program, "require('node:fs').openSync(__filename); require('./module.js');");
    fs.writeFileSync(path.join(directory, 'module.js'), '');
    const starts = (descriptors: number): boolean =>
      this.run('sh', ['-c', 'ulimit -n "$1"; exec "$2" "$3"', 'sh', String(descriptors), process.execPath, program])
        .status === 0;
    for (let descriptors = 12; descriptors < 64; descriptors++) if (starts(descriptors)) return descriptors;
    throw new Error('Node.js does not start with 64 descriptors');
  }

  /** Runs `vnet-bpf ...` inside the machine. */
  cli(args: readonly string[], env: NodeJS.ProcessEnv = {}): Result {
    return this.run(process.execPath, [MAIN, ...args], env);
  }

  /** Whatever exists beyond an empty machine, one item per entry. */
  residue(): string[] {
    return this.shell(RESIDUE)
      .split('\n')
      .filter((line) => line !== '');
  }
}
