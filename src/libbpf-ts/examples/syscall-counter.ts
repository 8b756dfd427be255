// SPDX-License-Identifier: MIT
// Runs a command and counts its system calls by number: npx tsx syscall-counter.ts ls -l
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { SyscallCounter } from './syscall-counter.generated';

async function main(command: string[]): Promise<void> {
  // The shell waits for a line, and becomes the command: its pid is known before the command begins.
  const child = spawn('sh', ['-c', 'read line; exec "$@"', 'sh', ...command], {
    stdio: ['pipe', 'inherit', 'inherit'],
  });
  const ended = once(child, 'exit');
  try {
    using skel = SyscallCounter.open('syscall-counter.bpf.o');
    skel.rodata.pid = child.pid ?? 0;
    skel.load();
    skel.attach();

    child.stdin.end('\n');
    await ended;

    for (const [number, ofEachCpu] of skel.maps.counts)
      console.log(`system call ${number}: ${ofEachCpu.reduce((sum, count) => sum + count, 0n)}`);
  } finally {
    child.stdin.destroy();
  }
}

void main(process.argv.slice(2));
