// SPDX-License-Identifier: MIT
// Prints every program that is started on the machine, until interrupted: npx tsx execs.ts
import { cString } from 'libbpf-ts';
import { Execs } from './execs.generated';

async function main(): Promise<void> {
  const interrupted = new AbortController();
  process.once('SIGINT', () => interrupted.abort());

  using skel = Execs.open('execs.bpf.o');
  skel.load();
  skel.attach(); // to the tracepoint that its section names
  console.log('PID USER COMMAND');

  for await (const { pid, uid, comm } of skel.maps.execs.stream({ signal: interrupted.signal }))
    console.log(pid, uid, cString(comm));
}

void main();
