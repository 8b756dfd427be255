// SPDX-License-Identifier: MIT
/** Detaches from another process: asks the controller to end, then removes what is left. */
import * as fs from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import { VnetError } from '../errors';
import { sleepSync } from '../state/lock';
import { allAttachments, controlSocket, isControlled, lockEverything, type Attachment } from '../state/store';
import { stateRoot } from '../state/paths';
import { ControlClient, NoAnswer } from './control-socket';
import { requireAttachment } from './find-attachment';
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

/** Whether the controller has ended within the time. */
function waitUntilGone(attachment: Attachment, timeoutMs: number): boolean {
  const end = Date.now() + timeoutMs;
  while (isControlled(attachment)) {
    if (Date.now() > end) return false;
    sleepSync(10);
  }
  return true;
}

/** Asks the controller to remove everything; returns when it has, or does not answer. One that is still attaching is given time. */
async function askToDetach(attachment: Attachment): Promise<void> {
  for (const end = Date.now() + STOP_TIMEOUT_MS; isControlled(attachment) && Date.now() < end; await sleep(20)) {
    try {
      using client = await ControlClient.connect(controlSocket(attachment.id));
      return void (await client.ask({ order: 'detach' }, STOP_TIMEOUT_MS));
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
    }
  }
}

/** Kills the controller of an attachment that does not listen; what it leaves is for teardown. */
function kill(attachment: Attachment): void {
  const { pid, iface } = attachment;
  const others = allAttachments().filter((other) => other.id !== attachment.id && other.pid === pid && isControlled(other));
  if (!looksLikeController(pid) || others.length > 0) {
    const why = others.length > 0 ? `process ${pid} does not answer, and also loops ${others.map((other) => other.iface).join(', ')}` : `its lock is held, but process ${pid} is not its controller`;
    throw new VnetError('STATE', `interface ${iface}`, why, {
      hint: others.length > 0 ? `kill -KILL ${pid} ends it; vnet-bpf attach takes the others up again` : 'fuser on the lock file under /run/vnet-bpf tells who it is',
    });
  }
  try {
    // It leaves the rest to teardown, in this process, which holds the global lock.
    process.kill(pid, 'SIGKILL');
  } catch {
    // it ended meanwhile
  }
  if (!waitUntilGone(attachment, KILL_TIMEOUT_MS)) {
    throw new VnetError('BUSY', `interface ${iface}`, `process ${pid} does not end`, { hint: `cat /proc/${pid}/stack tells what it waits for; then vnet-bpf detach ${iface} again` });
  }
}

/** Detaches one attachment, running or crashed. */
export async function detachAttachment(attachment: Attachment): Promise<void> {
  if (isControlled(attachment)) await askToDetach(attachment);
  using _lock = lockEverything();
  const left = allAttachments().find((other) => other.id === attachment.id);
  if (!left) return; // the controller removed everything itself
  if (isControlled(left)) kill(left);
  teardown(left);
}

/** Detaches by name. */
export async function detach(iface: string, netnsName: string | null): Promise<void> {
  requirePrivileges();
  try {
    await detachAttachment(requireAttachment(iface, netnsName));
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
