// SPDX-License-Identifier: MIT
// Prints each file that is opened, and what came of it, until interrupted: npx tsx opensnoop.ts [PID]
import { getSystemErrorName } from 'node:util';
import { cString } from 'libbpf-ts';
import { Opensnoop } from './opensnoop.generated';

async function main(only: number): Promise<void> {
  const interrupted = new AbortController();
  process.once('SIGINT', () => interrupted.abort());

  using skel = Opensnoop.open('opensnoop.bpf.o');
  skel.rodata.only = only;
  skel.load();
  skel.attach(); // to the tracepoints that its sections name
  console.log('PID      COMMAND          RESULT   PATH');

  for await (const { pid, result, comm, path } of skel.maps.opens.stream({ signal: interrupted.signal })) {
    const outcome = result < 0 ? getSystemErrorName(result) : String(result);
    console.log(`${String(pid).padEnd(8)} ${cString(comm).padEnd(16)} ${outcome.padEnd(8)} ${cString(path)}`);
  }
}

void main(Number(process.argv[2] ?? 0));
