// SPDX-License-Identifier: MIT
// Runs a command and counts its system calls by number: npx tsx syscall-counter.ts ls -l
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { attachTracepoint, BpfObject } from 'libbpf-ts';

async function main(command: string[]): Promise<void> {
  // The shell waits for a line, and becomes the command: its pid is known before the command begins.
  const child = spawn('sh', ['-c', 'read line; exec "$@"', 'sh', ...command], {
    stdio: ['pipe', 'inherit', 'inherit'],
  });
  const ended = once(child, 'exit');
  try {
    using object = BpfObject.open('syscall-counter.bpf.o');
    object.setConstants({ pid: child.pid ?? 0 });
    object.load();
    using program = object.program('sys_enter');
    using counts = object.map('counts');
    using link = attachTracepoint(program, { category: 'raw_syscalls', name: 'sys_enter' });

    child.stdin.end('\n');
    await ended;
    link.close();

    for (const key of counts.keys()) {
      // One value for each CPU; a u64 is a bigint.
      const perCpu = counts.getPerCpu(key) ?? [];
      const total = perCpu.reduce((sum, value) => sum + Buffer.from(value).readBigUInt64LE(), 0n);
      console.log(`system call ${Buffer.from(key).readUInt32LE()}: ${total}`);
    }
  } finally {
    child.stdin.destroy();
  }
}

void main(process.argv.slice(2));
