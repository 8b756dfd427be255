// SPDX-License-Identifier: MIT
// Counts what a device receives by protocol, each second until interrupted: npx tsx xdp-counter.ts eth1
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { attachXdp } from 'libbpf-ts';
import { XdpCounter } from './xdp-counter.generated';

const NAMES: Record<number, string> = { 1: 'icmp', 6: 'tcp', 17: 'udp', 58: 'icmp6' };

async function main(device: string): Promise<void> {
  const interrupted = new AbortController();
  process.once('SIGINT', () => interrupted.abort());

  using skel = XdpCounter.open('xdp-counter.bpf.o');
  skel.load();
  const ifindex = Number(readFileSync(`/sys/class/net/${device}/ifindex`, 'utf8'));
  skel.links.count = attachXdp(skel.programs.count, { ifindex });
  console.log(`counting on ${device}`);

  while (!interrupted.signal.aborted) {
    await sleep(1000, undefined, { signal: interrupted.signal }).catch(() => {});
    for (const [protocol, ofEachCpu] of skel.maps.counts) {
      const packets = ofEachCpu.reduce((sum, count) => sum + count.packets, 0n);
      const bytes = ofEachCpu.reduce((sum, count) => sum + count.bytes, 0n);
      if (packets > 0n) console.log(`${NAMES[protocol] ?? protocol}: ${packets} packets, ${bytes} bytes`);
    }
  }
}

void main(process.argv[2] ?? 'lo');
