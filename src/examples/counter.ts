// SPDX-License-Identifier: MIT
/**
 * counter: the busiest flows. Every ten seconds it writes the five largest flows to `vnet-bpf log`.
 *
 *   vnet-bpf attach vnet0 --addr 10.77.0.1/24 --hook counter.ts
 *   vnet-bpf log vnet0 --follow
 */
import type { Frame, Hook } from 'vnet-bpf/hooks';

const SECONDS = Number(process.env['COUNTER_SECONDS'] ?? 10);
const TOP = 5;
/** Flows beyond this number are counted as one, so that memory does not grow with what others send. */
const FLOWS_MAX = 10_000;

interface Flow {
  packets: number;
  bytes: number;
}

const flows = new Map<string, Flow>();

function nameOf(frame: Frame): string {
  const { ip, ethernet } = frame;
  if (!ip) return `${ethernet.source} > ${ethernet.destination} type 0x${ethernet.type.toString(16)}`;
  const ports = frame.udp ?? frame.tcp;
  const kind = frame.udp ? 'udp' : frame.tcp ? 'tcp' : `protocol ${ip.protocol}`;
  return ports
    ? `${kind} ${ip.source}:${ports.sourcePort} > ${ip.destination}:${ports.destinationPort}`
    : `${kind} ${ip.source} > ${ip.destination}`;
}

const counter: Hook = {
  superpackets: 'whole',
  frame(frame) {
    const name = nameOf(frame);
    const key = flows.has(name) || flows.size < FLOWS_MAX ? name : 'all others';
    const flow = flows.get(key) ?? { packets: 0, bytes: 0 };
    flow.packets++;
    flow.bytes += frame.length;
    flows.set(key, flow);
  },
  start(nic) {
    nic.every(SECONDS * 1000, () => {
      const top = [...flows].sort(([, a], [, b]) => b.bytes - a.bytes).slice(0, TOP);
      for (const [name, { packets, bytes }] of top)
        nic.log(`${name}: ${packets} packets, ${bytes} bytes in ${SECONDS} s`);
      flows.clear();
    });
  },
};

export default counter;
