// SPDX-License-Identifier: MIT
/** Many interfaces at once in one namespace, each of which has to loop a ping: what does one more cost? */
import * as fs from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import type { AttachmentDescription } from '../../../src/cli/list';
import { inside, kernelCounters, ok, run } from '../../helpers/netns';
import { freshNetns } from '../namespace';
import { removable } from '../open-things';
import type { Product } from '../product';
import { vnetBpf } from '../systems/ours';
import { memory } from './idle';
import type { Section, Values } from './measure';

const PING_TRIES = 20;

/** Free memory of the machine in MB: what kernel and processes take together is missing here. */
function availableMb(): number {
  const kib = /^MemAvailable:\s*(\d+)/m.exec(fs.readFileSync('/proc/meminfo', 'utf8'))?.[1];
  return (Number(kib) * 1024) / 1e6;
}

const address = (index: number): string => `10.78.${index}.1`;

/**
 * Whether a ping comes back through the loop. Until its routing is in place, a moment after the address, it comes back
 * over lo.
 */
async function answers(netns: string, iface: string, index: number): Promise<boolean> {
  const [nsenter, ...rest] = inside(netns) as [string, ...string[]];
  for (let tries = 0; tries < PING_TRIES; tries++) {
    const { status } = run(nsenter, [...rest, 'ping', '-c', '1', '-W', '1', '-q', address(index)]);
    if (status === 0 && kernelCounters(netns, iface).tx > 0) return true;
    await sleep(50);
  }
  return false;
}

/** Attaches `count` interfaces, by one command where the product can, pings each, and takes all away. */
export async function many({ main, attachesSeveral }: Product, count: number): Promise<Values> {
  const { netns, remove } = freshNetns();
  const before = availableMb();
  const ifaces = Array.from({ length: count }, (_, i) => `vnet${i}`);
  const groups = attachesSeveral ? [ifaces] : ifaces.map((iface) => [iface]);
  const start = performance.now();
  const undo = groups.map((group) => {
    const detach = removable(() =>
      group.forEach((iface) => run(process.execPath, [main, 'detach', iface, '--netns', netns])),
    );
    vnetBpf(main, ['attach', ...group, '--netns', netns, '--hairpin', '--daemon']);
    return detach;
  });
  const attachMs = performance.now() - start;
  ifaces.forEach((iface, i) => ok('ip', ['-n', netns, 'addr', 'add', `${address(i)}/24`, 'dev', iface]));
  let answered = 0;
  for (const [i, iface] of ifaces.entries()) if (await answers(netns, iface, i)) answered++;
  const pids = new Set(
    (JSON.parse(vnetBpf(main, ['list', '--json'])) as AttachmentDescription[])
      .filter((a) => a.netns === netns)
      .map((a) => a.pid),
  );
  const pssMb = [...pids].reduce((sum, pid) => sum + memory(pid).pssMb, 0);
  const machineMb = before - availableMb();
  const detachStart = performance.now();
  undo.forEach((detach) => detach());
  const detachMs = performance.now() - detachStart;
  remove();
  return { answered, processes: pids.size, attachMs, detachMs, pssMb, machineMb, perInterfaceMb: machineMb / count };
}

export const MANY: Section = {
  id: 'many',
  title: 'Many interfaces',
  value: { key: 'attachMs', heading: 'attach all, ms', digits: 3 },
  more: [
    { key: 'detachMs', heading: 'detach all, ms', digits: 3 },
    { key: 'answered', heading: 'pings looped' },
    { key: 'processes', heading: 'processes' },
    { key: 'pssMb', heading: 'PSS of them, MB', digits: 4 },
    { key: 'machineMb', heading: 'memory of the machine, MB', digits: 4 },
    { key: 'perInterfaceMb', heading: 'the same per interface, MB', digits: 3 },
  ],
  baseline: null,
  plot: false,
};
