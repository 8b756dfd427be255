// SPDX-License-Identifier: MIT
// Drops UDP to a port on its way in, until interrupted: npx tsx xdp-drop.ts eth1 9999
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { attachXdp, BpfObject } from 'libbpf-ts';

async function main(device: string, port: number): Promise<void> {
  using object = BpfObject.open('xdp-drop.bpf.o');
  object.setConstants({ port });
  object.load();
  using program = object.program('drop');
  using dropped = object.map('dropped');

  const ifindex = Number(readFileSync(`/sys/class/net/${device}/ifindex`, 'utf8'));
  using link = attachXdp(program, { ifindex });
  console.log(`link ${link.info?.id} drops UDP to port ${port} on ${device}`);

  // A timer keeps Node alive while it waits for the signal.
  const timer = setInterval(() => {}, 1000);
  await once(process, 'SIGINT');
  clearInterval(timer);
  const count = dropped.get(new Uint8Array(4));
  console.log(`dropped ${Buffer.from(count ?? new Uint8Array(8)).readBigUInt64LE()} packets`);
}

void main(process.argv[2] ?? 'lo', Number(process.argv[3] ?? 9999));
