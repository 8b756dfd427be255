// SPDX-License-Identifier: MIT
// Drops UDP to a port on its way in, until interrupted: npx tsx xdp-drop.ts eth1 9999
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { attachXdp } from 'libbpf-ts';
import { XdpDrop } from './xdp-drop.generated';

async function main(device: string, port: number): Promise<void> {
  using skel = XdpDrop.open('xdp-drop.bpf.o');
  skel.rodata.port = port;
  skel.load();

  const ifindex = Number(readFileSync(`/sys/class/net/${device}/ifindex`, 'utf8'));
  skel.links.drop = attachXdp(skel.programs.drop, { ifindex });
  console.log(`link ${skel.links.drop.info?.id} drops UDP to port ${port} on ${device}`);

  // A timer keeps Node alive while it waits for the signal.
  const timer = setInterval(() => {}, 1000);
  await once(process, 'SIGINT');
  clearInterval(timer);
  console.log(`dropped ${skel.bss.dropped} packets`);
}

void main(process.argv[2] ?? 'lo', Number(process.argv[3] ?? 9999));
