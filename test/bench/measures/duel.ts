// SPDX-License-Identifier: MIT
/**
 * The poller and its C twin, more exactly than in turns of half a second: this machine has noisy seconds. Bursts go
 * through the one and the other by turns, thirty times a second (test/bench/c/udp-duel.c).
 */
import { ADDRESS } from '../namespace';
import { median } from '../report/statistics';
import { closeAll, cpusOf, openAll, type Say } from '../rounds';
import type { Stage, System } from '../systems/system';
import { netnsFile, startIn, toolFile } from '../tool';
import type { Sample, Section, Values } from './measure';
import { udpLoad, type UdpLoad } from './udp';

export const DUEL: Section = {
  id: 'duel',
  title: 'Our poller and its twin in C, burst by burst',
  value: { key: 'pps', heading: 'delivered packets/s', digits: 4 },
  more: [{ key: 'ratio', heading: '/ twin, median of rounds', digits: 3 }],
  baseline: null,
  plot: false,
};

const PORT = 13000;
const DATAGRAMS = 8192;

type DuelLoad = Pick<UdpLoad, 'bytes' | 'flows'>;

interface Round {
  load: DuelLoad;
  /** Bursts through each of the two. */
  bursts: number;
  port: number;
}

/** Medians of one round, and their ratio, of the first stage and of the second. */
async function duel([a, b]: readonly [Stage, Stage], { load, bursts, port }: Round): Promise<[Values, Values]> {
  const args = [ADDRESS, port, load.bytes, load.flows, DATAGRAMS, bursts, netnsFile(a.netns), netnsFile(b.netns)];
  const took = JSON.parse(await startIn('/proc/self/ns/net', toolFile('udp-duel'), args).result) as [
    number[],
    number[],
  ];
  const [first, second] = took.map((ns) => DATAGRAMS / (median(ns) / 1e9)) as [number, number];
  return [
    { pps: first, ratio: first / second },
    { pps: second, ratio: 1 },
  ];
}

/**
 * Rounds of each load, as many in each half, where the pollers have the first CPU or the last; the first of a half is
 * not counted.
 */
export async function duels(
  systems: readonly [System, System],
  loads: readonly DuelLoad[],
  rounds: number,
  bursts: number,
  say: Say,
): Promise<Sample[]> {
  const samples: Sample[] = [];
  const cpus = cpusOf(rounds);
  const perHalf = Math.ceil(rounds / cpus.length);
  let port = PORT;
  for (const [half, cpu] of cpus.entries()) {
    const stages = await openAll(systems, cpu);
    const [a, b] = stages.map(([, stage]) => stage) as [Stage, Stage];
    await duel([a, b], { load: loads[0] as DuelLoad, bursts, port: port++ });
    for (let i = 0; i < perHalf; i++) {
      for (const load of loads) {
        const values = await duel([a, b], { load, bursts, port: port++ });
        for (const [index, { name: system }] of systems.entries()) {
          const sample = {
            section: DUEL.id,
            load: udpLoad(load),
            system,
            round: half * perHalf + i,
            values: values[index] as Values,
          };
          samples.push(sample);
          say(sample);
        }
      }
    }
    await closeAll(stages);
  }
  return samples;
}
