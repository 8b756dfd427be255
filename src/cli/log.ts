// SPDX-License-Identifier: MIT
/** `vnet-bpf log`: the lines that also went to the kernel log, with their times. */
import * as fs from 'node:fs';

import { requireAttachment } from '../controller/find-attachment';
import { requirePrivileges } from '../controller/privileges';
import { allAttachments, logFile } from '../state/store';
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
  const attachments = args.iface === undefined ? allAttachments() : [requireAttachment(args.iface, args.netns ?? null)];
  const files = attachments.map(({ id }) => logFile(id));
  const shown = new Map<string, number>();
  for (;;) {
    const lines = files.flatMap((file) => linesSince(file, shown)).sort();
    if (lines.length > 0) print(...lines);
    if (!args.follow || !files.some((file) => fs.existsSync(file))) return;
    await new Promise((resolve) => setTimeout(resolve, FOLLOW_MS));
  }
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
