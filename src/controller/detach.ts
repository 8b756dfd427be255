// SPDX-License-Identifier: MIT
/** Detaches from another process: asks the controller to end, then removes what is left. */
import * as fs from 'node:fs';

import { VnetError } from '../errors';
import { Netns, netnsName } from '../link/netns';
import { sleepSync } from '../state/lock';
import { allAttachments, findAttachment, isControlled, lockEverything, type Attachment } from '../state/store';
import { stateRoot } from '../state/paths';
import { requirePrivileges } from './privileges';
import { sweep } from './sweep';
import { teardown } from './teardown';

const STOP_TIMEOUT_MS = 5000;
const KILL_TIMEOUT_MS = 2000;

/** Whether the process is a vnet-bpf controller: its lock is held and its command line says so. */
function looksLikeController(pid: number): boolean {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('attach');
  } catch {
    return false;
  }
}

function waitUntilGone(attachment: Attachment, timeoutMs: number): boolean {
  const end = Date.now() + timeoutMs;
  while (isControlled(attachment)) {
    if (Date.now() > end) return false;
    sleepSync(10);
  }
  return true;
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // it ended meanwhile
  }
}

/** Ends the controller of an attachment; what it leaves is for teardown. */
export function stopController(attachment: Attachment): void {
  if (!isControlled(attachment)) return;
  const { pid, iface } = attachment;
  if (!looksLikeController(pid)) {
    throw new VnetError('STATE', `interface ${iface}`, `its lock is held, but process ${pid} is not its controller`, {
      hint: 'fuser on the lock file under /run/vnet-bpf tells who it is',
    });
  }
  // SIGKILL leaves the rest to teardown, in this process, which holds the global lock.
  signal(pid, 'SIGKILL');
  if (!waitUntilGone(attachment, KILL_TIMEOUT_MS)) {
    throw new VnetError('BUSY', `interface ${iface}`, `process ${pid} does not end`);
  }
}

/** Detaches one attachment, running or crashed. */
export function detachAttachment(attachment: Attachment): void {
  if (isControlled(attachment) && looksLikeController(attachment.pid)) {
    signal(attachment.pid, 'SIGTERM');
    waitUntilGone(attachment, STOP_TIMEOUT_MS);
  }
  using _lock = lockEverything();
  const left = allAttachments().find((other) => other.id === attachment.id);
  if (!left) return; // the controller removed everything itself
  stopController(left);
  teardown(left);
}

/** Detaches by name. */
export function detach(iface: string, netnsName: string | null): void {
  requirePrivileges();
  try {
    detachAttachment(requireAttachment(iface, netnsName));
  } finally {
    sweepTraces();
  }
}

/** Removes what killed commands left, if there is anything at all. */
export function sweepTraces(): void {
  if (!fs.existsSync(stateRoot())) return;
  using _lock = lockEverything();
  sweep();
}

/** What a crashed controller left in a namespace that has been deleted since: only the name it had tells. */
function orphan(iface: string, name: string | null): Attachment | null {
  if (name === null) return null;
  const isIt = (a: Attachment): boolean => a.iface === iface && a.netns.name === name && netnsName(a.netns.inode) === null;
  return allAttachments().find((a) => isIt(a) && !isControlled(a)) ?? null;
}

function findByName(iface: string, name: string | null): Attachment | null {
  try {
    using netns = Netns.named(name);
    return findAttachment(iface, netns.inode) ?? orphan(iface, name);
  } catch (error) {
    const left = orphan(iface, name);
    if (left) return left;
    throw error;
  }
}

/** Finds an attachment by name; a NOT_ATTACHED error says which there are. */
export function requireAttachment(iface: string, name: string | null): Attachment {
  const attachment = findByName(iface, name);
  if (attachment) return attachment;
  const others = allAttachments().map((a) => (a.netns.name === null ? a.iface : `${a.iface} (--netns ${a.netns.name})`));
  throw new VnetError('NOT_ATTACHED', `interface ${iface}`, 'is not attached', {
    hint: others.length > 0 ? `attached are: ${others.join(', ')}` : 'nothing is attached; vnet-bpf attach vnet0 does it',
  });
}
