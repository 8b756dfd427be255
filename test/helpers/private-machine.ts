// SPDX-License-Identifier: MIT
/**
 * A machine of its own for tests that look at everything the product leaves behind: private mount,
 * pid and network namespaces with an empty /run and a fresh BPF file system. What is found there
 * was made there, whatever else runs on this machine.
 */
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { createInterface } from 'node:readline';

import type { Test } from 'tap';

import { MAIN } from './cli';
import { run, type Result } from './netns';

/**
 * Becomes pid 1. Lets go of the namespaces that are mounted outside, or they would live on in
 * here after their owners removed them. The old /proc is asked first: there `self` is the number by which the outside
 * knows this process. It ends, and the whole machine with it, when the test lets go of its input.
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
 * Everything that an attachment could leave, one thing a line; nothing on an empty machine: what
 * mount(8) keeps in /run and the kernel's own iterators on bpffs do not count.
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

  /** Starts one; it ends with everything in it when the test ends, or when the test's process does. */
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

  /** Arguments that run a program inside. */
  inside(program: string, args: readonly string[]): [string, string[]] {
    // Without tap's module loader, which doubles the time that the command takes to start.
    return [
      'nsenter',
      ['--target', String(this.init), '--mount', '--pid', '--net', '--', 'env', '-u', 'NODE_OPTIONS', program, ...args],
    ];
  }

  /** Runs a program inside to its end; the status is -1 if a signal ended it. */
  run(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Result {
    return run(...this.inside(program, args), { env: { ...process.env, ...env } });
  }

  /** Runs shell commands, which have to succeed; what they print. */
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

  /** `vnet-bpf ...` */
  cli(args: readonly string[], env: NodeJS.ProcessEnv = {}): Result {
    return this.run(process.execPath, [MAIN, ...args], env);
  }

  /** What is there that an empty machine does not have, one thing a line. */
  residue(): string[] {
    return this.shell(RESIDUE)
      .split('\n')
      .filter((line) => line !== '');
  }
}
