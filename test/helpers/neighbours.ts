// SPDX-License-Identifier: MIT
/**
 * Attachments that other users or other test runs have on this machine. They come and go at any time, and a snapshot
 * must not mistake them for ours.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import type { Attachment } from '../../src/state/store';

const STATE = '/run/vnet-bpf';

/** `ours` are the namespaces that this test has made, including those that are gone again. */
const isForeign = (netns: string | null | undefined, ours: ReadonlySet<string>): boolean =>
  netns !== null && netns !== undefined && !ours.has(netns);

function read(file: string): string | null {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return null; // gone meanwhile
  }
}

/** Identities of attachments in namespaces of others. */
export function foreignAttachments(ours: ReadonlySet<string>): string[] {
  const ids = fs.existsSync(STATE) ? fs.readdirSync(STATE).filter((name) => /^[0-9a-f]{8}$/.test(name)) : [];
  return ids.filter((id) => {
    const text = read(path.join(STATE, id, 'state.json'));
    return text !== null && isForeign((JSON.parse(text) as Attachment).netns.name, ours);
  });
}

export interface Process {
  pid: string;
  args: string[];
  foreign: boolean;
}

/** Processes of `vnet-bpf attach`. */
export function controllers(ours: ReadonlySet<string>): Process[] {
  const found = attachProcesses(ours);
  // A program that a controller starts looks like the controller itself between fork and exec.
  return found.filter(({ pid }) => {
    const parent = /^PPid:\s*(\d+)$/m.exec(read(`/proc/${pid}/status`) ?? '')?.[1];
    return !found.some((process) => process.pid === parent);
  });
}

function attachProcesses(ours: ReadonlySet<string>): Process[] {
  const mounts = fs.readlinkSync('/proc/self/ns/mnt');
  return fs.readdirSync('/proc').flatMap((pid) => {
    const args = /^\d+$/.test(pid) ? (read(`/proc/${pid}/cmdline`)?.split('\0') ?? []) : [];
    if (!args[1]?.endsWith('/cli/main.js') || args[2] !== 'attach') return [];
    try {
      // A private machine has other mounts.
      const elsewhere = fs.readlinkSync(`/proc/${pid}/ns/mnt`) !== mounts;
      return [{ pid, args, foreign: elsewhere || isForeign(args[args.indexOf('--netns') + 1], ours) }];
    } catch {
      return []; // ended meanwhile
    }
  });
}
