// SPDX-License-Identifier: MIT
// Adds the congestion control `bpf_fixed`, with a window of some segments, until interrupted:
//   npx tsx congestion.ts 20
//   sysctl net.ipv4.tcp_congestion_control=bpf_fixed
import { once } from 'node:events';
import { Congestion } from './congestion.generated';

async function main(window: number): Promise<void> {
  using skel = Congestion.open('congestion.bpf.o');
  skel.rodata.window = window;
  skel.load();
  using _link = skel.object.attachStructOps('fixed');
  console.log(`bpf_fixed has a window of ${window} segments`);

  const alive = setInterval(() => {}, 1000);
  await once(process, 'SIGINT');
  clearInterval(alive);
  console.log(`${skel.bss.acknowledged} segments acknowledged, ${skel.bss.losses} losses`);
}

void main(Number(process.argv[2] ?? 10));
