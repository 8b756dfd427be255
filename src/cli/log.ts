// SPDX-License-Identifier: MIT
/** `vnet-bpf log`: the lines that also went to the kernel log, with their times. */
import * as fs from 'node:fs';

import { attachmentsOfNetns, brokenOnes, requireNamed } from '../controller/find-attachment';
import { requirePrivileges } from '../controller/privileges';
import { requireReader } from '../native/standard-streams';
import { everyAttachment, logFile } from '../state/store';
import { print } from './output';
import { checkSelection } from './selection';

interface LogArguments {
  iface: string | undefined;
  netns: string | undefined;
  follow: boolean;
}

const FOLLOW_MS = 200;

export async function logCommand(args: LogArguments): Promise<void> {
  checkSelection(args);
  requirePrivileges();
  const files = selectedIds(args).map(logFile);
  const shown = new Map<string, number>();
  for (;;) {
    const lines = inTurn(files.map((file) => linesSince(file, shown)));
    if (lines.length > 0) print(...lines);
    if (!args.follow || !files.some((file) => fs.existsSync(file))) return;
    await new Promise((resolve) => setTimeout(resolve, FOLLOW_MS));
    requireReader();
  }
}

/** A log is shown of one whose record is damaged, too. */
function selectedIds({ iface, netns }: LogArguments): string[] {
  if (iface !== undefined) return [requireNamed(iface, netns ?? null).id];
  const all = netns === undefined ? everyAttachment() : [...attachmentsOfNetns(netns), ...brokenOnes(null, netns)];
  return all.map(({ id }) => id);
}

/** The lines of several logs by their times. Those of one log stay as they were written: a wall clock may go back. */
export function inTurn(logs: readonly (readonly string[])[]): string[] {
  const left = logs.map((lines) => [...lines]).filter((lines) => lines.length > 0);
  const merged: string[] = [];
  while (left.length > 0) {
    const next = left.reduce((a, b) => ((b[0] as string) < (a[0] as string) ? b : a));
    merged.push(next.shift() as string);
    if (next.length === 0) left.splice(left.indexOf(next), 1);
  }
  return merged;
}

/** Whole lines that were appended since the last call. */
function linesSince(file: string, shown: Map<string, number>): string[] {
  let text: Buffer;
  try {
    text = fs.readFileSync(file);
  } catch {
    return []; // detached meanwhile
  }
  const from = Math.min(shown.get(file) ?? 0, text.length);
  const end = text.lastIndexOf('\n') + 1;
  shown.set(file, end);
  return text.subarray(from, end).toString().split('\n').filter(Boolean);
}
