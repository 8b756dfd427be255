// SPDX-License-Identifier: MIT
/** Inspects the process of an attachment from outside. */
import * as fs from 'node:fs';

import { describeAttachment, type AttachmentDescription } from '../../src/cli/list';
import { readStats } from '../../src/datapath/stats';
import { allAttachments } from '../../src/state/store';
import { type Attached, attachmentOf, SLOW } from './cli';

/**
 * The entry of `list --json` for one interface, or undefined if there is none. It is computed in this process, which is
 * quicker than a command.
 */
export function listed(netns: string, iface: string): AttachmentDescription | undefined {
  const all = allAttachments().map(describeAttachment);
  return all.find((entry) => entry.netns === netns && entry.interface === iface);
}

/** The process that loops an interface. */
export function controllerPid(netns: string, iface: string): number {
  const entry = listed(netns, iface);
  if (!entry) throw new Error(`${iface} in ${netns} is not listed`);
  return entry.pid;
}

/** Whether a process is running. A zombie is not. */
export function lives(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** Waits until a condition holds; returns false if it never does. */
export async function eventually(holds: () => boolean, ms = 30_000): Promise<boolean> {
  for (const end = Date.now() + ms * SLOW; !holds();) {
    if (Date.now() > end) return false;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return true;
}

/** USER_HZ of every architecture that Node runs on. */
const TICKS_PER_SECOND = 100;

function cpuSeconds(pid: number): number {
  // After the name, which may contain anything: fields 14 and 15 of proc_pid_stat(5).
  const fields = fs
    .readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** The share of one CPU that a process uses, measured over a second. */
export async function cpuUse(pid: number): Promise<number> {
  const before = cpuSeconds(pid);
  const start = performance.now();
  await new Promise((resolve) => setTimeout(resolve, 1000));
  return (cpuSeconds(pid) - before) / ((performance.now() - start) / 1000);
}

/** Kills the controller of an interface; true once that counts as crashed. */
export function killController(nic: Attached): Promise<boolean> {
  process.kill(attachmentOf(nic).pid, 'SIGKILL');
  return eventually(() => readStats(attachmentOf(nic)).state === 'crashed');
}
