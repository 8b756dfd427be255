// SPDX-License-Identifier: MIT
// Protects a process from the signals of all others, root's included, until interrupted: npx tsx lsm-protect.ts PID
// `bpf` must be among the modules in /sys/kernel/security/lsm (boot option lsm=...,bpf).
import { cString } from 'libbpf-ts';
import { LsmProtect } from './lsm-protect.generated';

async function main(pid: number): Promise<void> {
  const interrupted = new AbortController();
  process.once('SIGINT', () => interrupted.abort());

  using skel = LsmProtect.open('lsm-protect.bpf.o');
  skel.rodata.protected = pid;
  skel.load();
  skel.attach();
  console.log(`${pid} is protected`);

  for await (const { pid: sender, uid, signal, comm } of skel.maps.refusals.stream({ signal: interrupted.signal }))
    console.log(`${sender} ${cString(comm)} of user ${uid}: signal ${signal} refused`);
}

void main(Number(process.argv[2]));
