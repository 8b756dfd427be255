// SPDX-License-Identifier: MIT
/** `vnet-bpf log`: the lines that also went to the kernel log, with their times. */
import * as fs from 'node:fs';

import { nothingIsAttached } from '../errors';
import { attachmentsOfNetns, brokenOnes, known, requireNamed } from '../lifecycle/find-attachment';
import { requireReader } from '../native/standard-streams';
import { requirePrivileges } from '../requirements';
import { everyAttachment, logFile, type Attachment, type BrokenAttachment } from '../state/store';
import { print, printJson, printJsonLine } from '../terminal/output';
import { checkSelection } from './selection';

interface LogArguments {
  iface: string | undefined;
  netns: string | undefined;
  follow: boolean;
  json: boolean;
}

/** A line of `log --json`. */
export interface LogEntry {
  /** ISO 8601, UTC. */
  time: string;
  interface: string;
  netns: string | null;
  text: string;
}

/** The log of one interface. */
interface Log extends Pick<LogEntry, 'interface' | 'netns'> {
  file: string;
}

interface Line {
  log: Log;
  line: string;
}

const FOLLOW_MS = 200;

export async function logCommand(args: LogArguments): Promise<void> {
  checkSelection(args);
  requirePrivileges();
  const logs = selectedLogs(args);
  if (logs.length === 0 && !args.json) print(nothingIsAttached(args.netns));
  const shown = new Map<string, number>();
  for (;;) {
    const lines = inTurn(
      logs.map((log) => linesSince(log.file, shown).map((line) => ({ log, line }))),
      ({ line }) => line,
    );
    show(lines, args);
    if (!args.follow || !logs.some(({ file }) => fs.existsSync(file))) return;
    await new Promise((resolve) => setTimeout(resolve, FOLLOW_MS));
    requireReader();
  }
}

/** Prints one JSON document; with --follow, one per line. */
function show(lines: readonly Line[], { json, follow }: LogArguments): void {
  if (json && !follow) printJson(lines.map(entryOf));
  else if (json) lines.forEach((line) => printJsonLine(entryOf(line)));
  else if (lines.length > 0) print(...lines.map(({ line }) => line));
}

/** Parses a line such as `2026-01-31T12:00:00.000Z VNET: queue stopped on vnet0: ring full`. */
function entryOf({ log: { interface: name, netns }, line }: Line): LogEntry {
  const [, time = '', text = line] = /^(\S+) VNET: (.*)$/s.exec(line) ?? [];
  return { time, interface: name, netns, text };
}

/** The selected logs, including those of attachments whose record is damaged. */
function selectedLogs({ iface, netns }: LogArguments): Log[] {
  if (iface !== undefined) return [logOf(requireNamed(iface, netns ?? null))];
  const all = netns === undefined ? everyAttachment() : [...attachmentsOfNetns(netns), ...brokenOnes(null, netns)];
  return all.map(logOf);
}

function logOf(attachment: Attachment | BrokenAttachment): Log {
  const { iface, netns } = known(attachment);
  return { file: logFile(attachment.id), interface: iface, netns: netns.name };
}

/**
 * Merges the lines of several logs by the times with which they begin. Lines of one log keep their order: a wall clock
 * may go back.
 */
export function inTurn<T>(logs: readonly (readonly T[])[], textOf: (line: T) => string): T[] {
  const left = logs.map((lines) => [...lines]).filter((lines) => lines.length > 0);
  const merged: T[] = [];
  while (left.length > 0) {
    const next = left.reduce((a, b) => (textOf(b[0] as T) < textOf(a[0] as T) ? b : a));
    merged.push(next.shift() as T);
    if (next.length === 0) left.splice(left.indexOf(next), 1);
  }
  return merged;
}

/** Complete lines that were appended since the last call. */
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
