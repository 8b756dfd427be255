// SPDX-License-Identifier: MIT
/** Runs the built command line as a user would, and takes away whatever a test left attached. */
import { spawn, type ChildProcess } from 'node:child_process';
import * as path from 'node:path';

import type { Test } from 'tap';

import type { AttachmentDescription } from '../../src/cli/list';
import { law, readStats, type Stats } from '../../src/datapath/stats';
import { allAttachments, type Attachment } from '../../src/state/store';
import { kernelCounters, ok, run, testNetns, type Result } from './netns';

/** The project's root, whether this runs from source or compiled inside a VM. */
export const ROOT = process.env['VNET_BPF_ROOT'] ?? path.resolve(__dirname, '..', '..');
export const MAIN = path.join(ROOT, 'dist', 'cli', 'main.js');

/** Emulated kernels are slow: every time-out of a test is multiplied by this. */
export const SLOW = Number(process.env['VNET_BPF_SLOW'] ?? 1);

/** Why kernel tests cannot run here, or false: only for want of root. */
export const cannotRun: string | false = process.geteuid?.() === 0 ? false : 'needs root';

/**
 * tap puts a module loader into NODE_OPTIONS of every child, which doubles the time that the
 * command line takes to start. env(1) executes it without, in the same process.
 */
const WITHOUT_LOADER = ['-u', 'NODE_OPTIONS', process.execPath, MAIN] as const;

/** `vnet-bpf ...`, to its end. */
export const cli = (args: readonly string[], env: NodeJS.ProcessEnv = {}): Result =>
  run('env', [...WITHOUT_LOADER, ...args], { env: { ...process.env, ...env } });

/** `vnet-bpf ...`, which has to succeed. */
export const cliOk = (args: readonly string[], env: NodeJS.ProcessEnv = {}): string =>
  ok('env', [...WITHOUT_LOADER, ...args], { env: { ...process.env, ...env } });

/** `vnet-bpf ...` in the background; killed when the test ends. */
export function cliStart(t: Test, args: readonly string[]): ChildProcess {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: 'pipe' });
  t.teardown(() => child.exitCode === null && child.kill('SIGKILL'));
  return child;
}

export interface Attached {
  netns: string;
  iface: string;
  stats(): Stats;
  /** Waits until nothing is in flight any more, then returns the reading. */
  atRest(): Promise<Stats>;
}

const recordOf = ({ netns, iface }: Pick<Attached, 'netns' | 'iface'>): Attachment | undefined =>
  allAttachments().find((attachment) => attachment.netns.name === netns && attachment.iface === iface);

const isAttached = (nic: Pick<Attached, 'netns' | 'iface'>): boolean => recordOf(nic) !== undefined;

/** The product's record of an attachment. */
export function attachmentOf({ netns, iface }: Pick<Attached, 'netns' | 'iface'>): Attachment {
  const found = recordOf({ netns, iface });
  if (!found) throw new Error(`${iface} in ${netns} is not attached`);
  return found;
}

/** Attaches an interface in a namespace of its own; both go when the test ends. */
export function attached(t: Test, args: readonly string[] = [], iface = 'vnet0'): Attached {
  const netns = testNetns(t);
  return attachedIn(t, netns, args, iface);
}

/** Attaches an interface in a given namespace; detached when the test ends. */
export function attachedIn(
  t: Test,
  netns: string,
  args: readonly string[] = [],
  iface = 'vnet0',
  env: NodeJS.ProcessEnv = {},
): Attached {
  const where = [iface, '--netns', netns];
  JSON.parse(cliOk(['attach', ...where, '--daemon', '--json', ...args], env)) as AttachmentDescription;
  t.teardown(() => isAttached({ netns, iface }) && cli(['detach', ...where]));
  const stats = (): Stats => JSON.parse(cliOk(['stats', ...where, '--json'])) as Stats;
  const atRest = async (): Promise<Stats> => {
    const end = Date.now() + 5000 * SLOW;
    const attachment = attachmentOf({ netns, iface });
    // Looked at in this process: starting the command for each look takes longer than to come to rest.
    for (let last = readStats(attachment); ; ) {
      await new Promise((resolve) => setTimeout(resolve, 50 * SLOW));
      const now = readStats(attachment);
      const same = now.tx.packets === last.tx.packets && now.rx.packets === last.rx.packets;
      if ((same && now.queue.packets === 0 && now.held.now === 0) || Date.now() > end) return stats();
      last = now;
    }
  };
  return { netns, iface, stats, atRest };
}

/**
 * The law of the loop, and what has to hold with it at rest. A namespace with IPv6 is never quite
 * at rest: when a packet passed between two readings, they are taken anew.
 */
export function checkLaw(t: Test, where: Attached, reading: Stats): void {
  let stats = reading;
  let kernel = kernelCounters(where.netns, where.iface);
  const consistent = (): boolean => law(stats).balanced && kernel.tx === kernel.rx && kernel.rx === stats.rx.packets;
  for (let tries = 0; tries < 5 && !consistent(); tries++) {
    stats = where.stats();
    kernel = kernelCounters(where.netns, where.iface);
  }
  const sums = law(stats);
  t.equal(sums.out, sums.in, 'the law of the loop balances');
  t.equal(stats.queue.wakes, stats.queue.stops, 'as many wakes as stops');
  t.equal(stats.poll.lostWakeups, 0, 'no wake-up was lost');
  t.equal(kernel.tx, kernel.rx, 'ip -s link: TX = RX');
  t.equal(kernel.rx, stats.rx.packets, 'rx here is what ip -s link says');
}
