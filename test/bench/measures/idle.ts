// SPDX-License-Identifier: MIT
/** What the looping process costs while nothing is sent, after it has looped something. */
import * as fs from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Stage } from '../systems/system';
import type { Measure, Section, Values } from './measure';
import { flood } from './udp';

/** Seconds of processor time, from schedstat (Documentation/scheduler/sched-stats.rst): its ticks are nanoseconds. */
function cpuSeconds(pid: number): number {
  return fs.readdirSync(`/proc/${pid}/task`).reduce((sum, tid) => {
    const [ran] = fs.readFileSync(`/proc/${pid}/task/${tid}/schedstat`, 'utf8').split(' ');
    return sum + Number(ran) / 1e9;
  }, 0);
}

/** Resident memory in MB (10^6 bytes). A ring is mapped twice in a row: Rss counts its pages twice, Pss once. */
export function memory(pid: number): { rssMb: number; pssMb: number } {
  const rollup = fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const mb = (name: string): number =>
    (Number(new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(rollup)?.[1] ?? NaN) * 1024) / 1e6;
  return { rssMb: mb('Rss'), pssMb: mb('Pss') };
}

async function rest(stage: Stage, seconds: number): Promise<Values> {
  if (stage.pid === null) throw new Error('there is no process to look at');
  const fresh = memory(stage.pid);
  await flood(stage, { bytes: 1400, flows: 1, seconds: 0.5 });
  await sleep(500);
  const before = cpuSeconds(stage.pid);
  const start = performance.now();
  await sleep(seconds * 1000);
  const cpuPercent = ((cpuSeconds(stage.pid) - before) / ((performance.now() - start) / 1000)) * 100;
  return { cpuPercent, freshRssMb: fresh.rssMb, ...memory(stage.pid) };
}

export const IDLE: Section = {
  id: 'idle',
  title: 'At rest',
  value: { key: 'cpuPercent', heading: '% of a core', digits: 3 },
  more: [
    { key: 'freshRssMb', heading: 'RSS when attached, MB', digits: 3 },
    { key: 'rssMb', heading: 'RSS after traffic, MB', digits: 3 },
    { key: 'pssMb', heading: 'PSS after traffic, MB', digits: 3 },
  ],
  baseline: null,
  plot: false,
};

export const idle = (seconds: number): Measure => ({
  section: IDLE,
  load: `${seconds} s`,
  run: (stage) => rest(stage, seconds),
});
