// SPDX-License-Identifier: MIT
// Prints every program that is started on the machine, until interrupted: npx tsx execs.ts
import { setImmediate as next } from 'node:timers/promises';
import { attachTracepoint, BpfObject, RingBuffer, RingWaiter } from 'libbpf-ts';

async function main(): Promise<void> {
  using object = BpfObject.open('execs.bpf.o');
  object.load();
  using program = object.program('on_exec');
  using map = object.map('ring');
  using ring = new RingBuffer(map);
  using waiter = new RingWaiter(map);
  using link = attachTracepoint(program, { category: 'sched', name: 'sched_process_exec' });
  console.log(`link ${link.info?.id ?? ''} is attached`);

  let interrupted = false;
  process.once('SIGINT', () => (interrupted = true));
  const { data, reader } = ring;
  while (!interrupted) {
    const count = reader.lease(64);
    for (const offset of reader.offsets.subarray(0, count)) {
      // struct exec: pid at 0, uid at 4, comm at 8
      const exec = Buffer.from(data.buffer, data.byteOffset + offset, 24);
      const [comm] = exec.toString('utf8', 8).split('\0');
      console.log(`${exec.readUInt32LE(0)} ${exec.readUInt32LE(4)} ${comm}`);
    }
    reader.commit(count);
    // Blocks this thread for 100 ms at most; then signals and output have their turn.
    if (count === 0) waiter.wait(100);
    await next();
  }
}

void main();
