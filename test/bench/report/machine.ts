// SPDX-License-Identifier: MIT
/** What a run was made on: without it no figure means anything. */
import { spawnSync } from 'node:child_process';
import * as os from 'node:os';

export interface Machine {
  date: string;
  cpu: string;
  cpus: number;
  virtual: boolean;
  memoryGb: number;
  kernel: string;
  node: string;
  /** Load averages before and after. */
  loadBefore: number;
  loadAfter: number;
  commit: string;
  seconds: number;
}

const output = (program: string, args: readonly string[]): string =>
  spawnSync(program, args, { encoding: 'utf8' }).stdout?.trim() ?? '';

export const load = (): number => Number((os.loadavg()[0] ?? NaN).toFixed(2));

export function describeMachine(loadBefore: number, seconds: number): Machine {
  return {
    date: new Date().toISOString().slice(0, 10),
    cpu: os.cpus()[0]?.model ?? 'unknown',
    cpus: os.availableParallelism(),
    virtual:
      !['', 'none'].includes(output('systemd-detect-virt', [])) || output('lscpu', []).includes('Hypervisor vendor'),
    memoryGb: Math.round(os.totalmem() / 1e9),
    kernel: os.release(),
    node: process.version,
    loadBefore,
    loadAfter: load(),
    commit: output('git', ['describe', '--always', '--dirty']),
    seconds: Math.round(seconds),
  };
}

/** The load average from which on a run is no good. */
export const BUSY = 0.7;

export function machineText({
  date,
  cpu,
  cpus,
  virtual,
  memoryGb,
  kernel,
  node,
  loadBefore,
  loadAfter,
  commit,
  seconds,
}: Machine): string {
  const kind = virtual ? 'a virtual machine' : 'a real machine';
  // Senders, receivers and loop want every processor: whatever else runs takes from one of them.
  const busy =
    loadBefore > BUSY ? ' **The machine was busy with other things: rely on nothing here but the method.**' : '';
  return (
    `Measured on ${date} in ${seconds} s on ${kind}: ${cpus} x ${cpu}, ${memoryGb} GB, Linux ${kernel}, Node ${node}, ` +
    `commit ${commit || 'unknown'}; load average ${loadBefore} before and ${loadAfter} after.${busy}`
  );
}

/** The same in a line, below a plot. */
export function machineNote({ date, cpu, cpus, virtual, kernel, node, loadBefore, commit }: Machine): string {
  const busy = loadBefore > BUSY ? '; the machine was busy with other things' : '';
  return `${date}, ${virtual ? 'virtual machine' : 'machine'} with ${cpus} x ${cpu}, Linux ${kernel}, Node ${node}, commit ${commit || 'unknown'}${busy}`;
}
