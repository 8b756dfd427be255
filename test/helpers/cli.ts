// SPDX-License-Identifier: MIT
/** Runs the built command line as a user would, and detaches whatever a test left attached. */
import { spawn, type ChildProcess } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

import type { Test } from 'tap';

import { IN_BACKGROUND, READY_FD, readyReport } from '../../src/cli/daemon';
import type { AttachmentDescription } from '../../src/cli/list';
import { frameAccounting, readStats, type Stats } from '../../src/datapath/stats';
import { allAttachments, isControlled, type Attachment } from '../../src/state/store';
import { kernelCounters, ok, run, testNetns, type Result } from './netns';

/** The project's root, whether this runs from source, compiled in dist-test or compiled inside a VM. */
export const ROOT =
  process.env['VNET_BPF_ROOT'] ?? path.resolve(__dirname, __dirname.includes('/dist-test/') ? '../../..' : '../..');
export const MAIN = path.join(ROOT, 'dist', 'cli', 'main.js');

/** Emulated kernels are slow: every timeout of a test is multiplied by this. */
export const SLOW = Number(process.env['VNET_BPF_SLOW'] ?? 1);

/** The back end of interfaces for which a test does not choose one: the traffic tests run on each. */
export const BACK_END = process.env['VNET_BPF_TEST_TYPE'] === 'dummy' ? 'dummy' : 'veth';

/** Why kernel tests cannot run here, or false; they need nothing but root. */
export const cannotRun: string | false = process.geteuid?.() === 0 ? false : 'needs root';

/**
 * tap puts a module loader into NODE_OPTIONS of every child, which doubles the time that the command line takes to
 * start. env(1) executes it without the loader, in the same process.
 */
const WITHOUT_LOADER = ['-u', 'NODE_OPTIONS', process.execPath, MAIN] as const;

/** Runs `vnet-bpf ...` until it ends. */
export const cli = (args: readonly string[], env: NodeJS.ProcessEnv = {}): Result =>
  run('env', [...WITHOUT_LOADER, ...args], { env: { ...process.env, ...env } });

/** Runs `vnet-bpf ...`, which must succeed; returns what it prints. */
export const cliOk = (args: readonly string[], env: NodeJS.ProcessEnv = {}): string =>
  ok('env', [...WITHOUT_LOADER, ...args], { env: { ...process.env, ...env } });

/** Starts `vnet-bpf ...` in the background; it is killed when the test ends. */
export function cliStart(t: Test, args: readonly string[]): ChildProcess {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: 'pipe' });
  t.teardown(() => child.exitCode === null && child.kill('SIGKILL'));
  return child;
}

/**
 * Does what `vnet-bpf attach ... --daemon --json` does, which must succeed. A shell waits until the background process
 * reports that the interface is ready; that takes a fifth less time than a vnet-bpf that waits.
 */
export function attachInBackground(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): AttachmentDescription | AttachmentDescription[] {
  const complaints = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'vnet-bpf-attach-')), 'stderr');
  try {
    // stderr goes into a file: a pipe would have to be read for as long as the controller runs.
    const script = `cd /; (setsid -- "$@" ${READY_FD}>&1 >/dev/null 2>'${complaints}' </dev/null &) | cat`;
    const command = ['env', ...WITHOUT_LOADER, 'attach', ...args, '--daemon', '--json'];
    const { output } = readyReport(
      ok('sh', ['-c', script, 'sh', ...command], { env: { ...process.env, [IN_BACKGROUND]: process.cwd(), ...env } }),
    );
    if (output !== '') return JSON.parse(output) as AttachmentDescription | AttachmentDescription[];
    throw new Error(`attach ${args.join(' ')} failed: ${fs.readFileSync(complaints, 'utf8')}`);
  } finally {
    fs.rmSync(path.dirname(complaints), { recursive: true });
  }
}

export interface Attached {
  netns: string;
  iface: string;
  stats(): Stats;
  /** Waits until no frame is in flight, then returns the reading. */
  atRest(): Promise<Stats>;
}

const recordOf = ({ netns, iface }: Pick<Attached, 'netns' | 'iface'>): Attachment | undefined =>
  allAttachments().find((attachment) => attachment.netns.name === netns && attachment.iface === iface);

/** The product's record of an attachment. */
export function attachmentOf({ netns, iface }: Pick<Attached, 'netns' | 'iface'>): Attachment {
  const found = recordOf({ netns, iface });
  if (!found) throw new Error(`${iface} in ${netns} is not attached`);
  return found;
}

/** Attaches an interface in a namespace of its own; both are removed when the test ends. */
export function attached(t: Test, args: readonly string[] = [], iface = 'vnet0'): Attached {
  const netns = testNetns(t);
  return attachedIn(t, netns, args, iface);
}

/**
 * Ends the controller, which then detaches; that is quicker than another command. The command is for an attachment
 * whose controller is gone or hangs.
 */
async function takeAway(nic: Pick<Attached, 'netns' | 'iface'>): Promise<void> {
  const attachment = recordOf(nic);
  if (attachment && isControlled(attachment)) {
    process.kill(attachment.pid, 'SIGTERM');
    for (const end = Date.now() + 2000 * SLOW; recordOf(nic) && Date.now() < end;)
      await new Promise((resolve) => setTimeout(resolve, 20));
  }
  if (recordOf(nic)) cli(['detach', nic.iface, '--netns', nic.netns]);
}

/** Attaches an interface in a given namespace; it is detached when the test ends. */
export function attachedIn(
  t: Test,
  netns: string,
  args: readonly string[] = [],
  iface = 'vnet0',
  env: NodeJS.ProcessEnv = {},
): Attached {
  const where = [iface, '--netns', netns];
  const type = BACK_END === 'dummy' && !args.includes('--type') ? ['--type', 'dummy'] : [];
  attachInBackground([...where, ...type, ...args], env);
  t.teardown(() => takeAway({ netns, iface }));
  // Read in this process: starting the command for each reading takes longer than most of what is observed.
  const stats = (): Stats => readStats(attachmentOf({ netns, iface }));
  const atRest = async (): Promise<Stats> => {
    const end = Date.now() + 15_000 * SLOW;
    for (let last = stats(); ;) {
      await new Promise((resolve) => setTimeout(resolve, 50 * SLOW));
      const now = stats();
      const same = now.tx.packets === last.tx.packets && now.rx.packets === last.rx.packets;
      // A queue that has just become empty wakes a moment later: closing the waiting room takes the kernel's RTNL lock.
      const empty = now.queue.packets === 0 && now.held.now === 0 && now.state !== 'stopped';
      if ((same && empty) || Date.now() > end) return now;
      last = now;
    }
  };
  return { netns, iface, stats, atRest };
}

/**
 * Whether the kernel's TX counts `frames` frames, or fewer by at most the `missing` ones, which are missing behind
 * `tx`.
 */
export const isSent = (tx: number, frames: number, missing: number): boolean => tx <= frames && tx >= frames - missing;

/**
 * Checks the frame accounting, and what must hold with it at rest. A namespace with IPv6 is never quite at rest: if a
 * packet passed between the two readings, both are taken again. A dummy has no RX counter in the kernel, and never sees
 * what `tx` refuses. On a busy machine the backlog of a CPU may have no space for what a veth passes to its peer: that
 * frame still comes back, from the ring, but the kernel does not count it as sent.
 */
export function checkAccounting(t: Test, where: Attached, reading: Stats): void {
  let stats = reading;
  let kernel = kernelCounters(where.netns, where.iface);
  // TX: the maximum, and by how much it may be lower; a superpacket is one frame of several segments.
  const expected = (): { tx: number; less: number; rx: number } => {
    const { rx, tx, refused, backend, behind } = stats;
    if (backend === 'veth') return { tx: rx.packets, less: behind.missing, rx: rx.packets };
    return { tx: tx.packets - Object.values(refused).reduce((sum, count) => sum + count, 0), less: 0, rx: 0 };
  };
  const isTx = (): boolean => isSent(kernel.tx, expected().tx, expected().less);
  const consistent = (): boolean => frameAccounting(stats).balanced && isTx() && kernel.rx === expected().rx;
  for (let tries = 0; tries < 5 && !consistent(); tries++) {
    stats = where.stats();
    kernel = kernelCounters(where.netns, where.iface);
  }
  const sums = frameAccounting(stats);
  t.equal(sums.out, sums.in, 'the frame accounting balances');
  t.equal(stats.queue.wakes, stats.queue.stops, 'as many wakes as stops');
  t.equal(stats.poll.lostWakeups, 0, 'no wake-up was lost');
  t.ok(
    isTx(),
    `ip -s link: TX, ${kernel.tx}, is what ${stats.backend === 'veth' ? 'came back' : 'was accepted'}, ${expected().tx}, less what is missing behind tx, ${expected().less}`,
  );
  t.equal(kernel.rx, expected().rx, 'ip -s link: RX is what came back, or 0 on a dummy');
}
