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
  /** Of the file: what is written last can still be read when it has been removed. Null if there is none. */
  fd: number | null;
  /** Number of bytes shown. */
  shown: number;
}

interface Line {
  log: Log;
  line: string;
}

const FOLLOW_MS = 200;
const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;

export async function logCommand(args: LogArguments): Promise<void> {
  checkSelection(args);
  requirePrivileges();
  const logs = selectedLogs(args);
  if (logs.length === 0 && !args.json) print(nothingIsAttached(args.netns));
  for (;;) {
    // Before the lines are read: those of a file that is gone are complete.
    const goesOn = args.follow && logs.some(({ file }) => fs.existsSync(file));
    const lines = inTurn(
      logs.map((log) => newLines(log).map((line) => ({ log, line }))),
      ({ line }) => line,
    );
    show(lines, args);
    if (!goesOn) return;
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
  const file = logFile(attachment.id);
  return { file, fd: openIfThere(file), shown: 0, interface: iface, netns: netns.name };
}

function openIfThere(file: string): number | null {
  try {
    return fs.openSync(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch {
    return null; // detached meanwhile, or no line could be written
  }
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
function newLines(log: Log): string[] {
  log.fd ??= openIfThere(log.file);
  if (log.fd === null) return [];
  const text = contentOf(log.fd);
  const from = Math.min(log.shown, text.length);
  log.shown = text.lastIndexOf('\n') + 1;
  return text.subarray(from, log.shown).toString().split('\n').filter(Boolean);
}

function contentOf(fd: number): Buffer {
  const text = Buffer.alloc(fs.fstatSync(fd).size);
  return text.subarray(0, fs.readSync(fd, text, 0, text.length, 0));
}
