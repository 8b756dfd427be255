// SPDX-License-Identifier: MIT
/**
 * Detaches an interface from another process: asks its controller to end, then removes what is left. Also lists the
 * steps, for `detach --dry-run`.
 */
import * as fs from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import { ControlClient, NoAnswer } from '../control/socket';
import { commandAbout, isBusy, messageOf, named, VnetError } from '../errors';
import { openPeerNetns } from '../link/netns';
import { clock } from '../native/clock';
import { removeTree } from '../native/removal';
import { requirePrivileges } from '../requirements';
import { FileLock, sleepSync } from '../state/lock';
import { stateDirectory, stateRoot } from '../state/paths';
import {
  allAttachments,
  type Attachment,
  type BrokenAttachment,
  controllerLock,
  controlSocket,
  everyAttachment,
  isBroken,
  isControlled,
  lockEverything,
  lockEverythingSoon,
  readAttachment,
} from '../state/store';
import { known, requireNamed } from './find-attachment';
import { inWords, runStep, type Step } from './steps';
import { peerNetnsRemoved, sweep, teardown, teardownSteps } from './teardown';

const STOP_TIMEOUT_MS = 5000;
const KILL_TIMEOUT_MS = 2000;

/**
 * The process that holds the lock of an attachment, if its command line is that of a controller; otherwise null. The
 * pid in the record may be that of another process by now.
 */
function controllerOf({ id }: { id: string }): number | null {
  const pid = FileLock.holder(controllerLock(id));
  try {
    return pid !== null && fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('attach') ? pid : null;
  } catch {
    return null;
  }
}

/** Blocks until the controller has ended; false if it has not within `timeoutMs`. */
function waitUntilGone(attachment: { id: string }, timeoutMs: number): boolean {
  const end = clock.now() + timeoutMs;
  while (isControlled(attachment)) {
    if (clock.now() > end) return false;
    sleepSync(10);
  }
  return true;
}

/**
 * Asks the controller to remove everything; resolves when it has, or does not answer. A controller that is still
 * attaching is given time.
 */
async function askToDetach(attachment: { id: string }): Promise<void> {
  for (const end = clock.now() + STOP_TIMEOUT_MS; isControlled(attachment) && clock.now() < end; await sleep(20)) {
    try {
      using client = await ControlClient.connect(controlSocket(attachment.id));
      return void (await client.ask({ order: 'detach' }, STOP_TIMEOUT_MS));
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
    }
  }
}

/** A program of the user's that uses the library is not ours to kill, and neither is one that has taken the lock. */
function notKilled({ id, iface, pid }: Attachment, holder: number | null): VnetError {
  const [says, hint] =
    holder === pid
      ? [`process ${pid}, a program that loops it, does not answer`, `wait until it does; kill ${pid} ends it`]
      : [
          `its lock is held by ${holder ?? 'a process'} that is not its controller`,
          `fuser ${controllerLock(id)} tells who it is`,
        ];
  return new VnetError('STATE', `interface ${iface}`, says, { hint });
}

/**
 * Kills the controller of an attachment that does not answer; teardown removes what it leaves. Throws STATE or BUSY.
 */
function kill(attachment: Attachment): void {
  const { id, iface } = attachment;
  const pid = controllerOf(attachment);
  if (pid === null) throw notKilled(attachment, FileLock.holder(controllerLock(id)));
  const others = allAttachments().filter((other) => other.id !== id && controllerOf(other) === pid);
  if (others.length > 0) {
    throw new VnetError(
      'STATE',
      `interface ${iface}`,
      `process ${pid} does not answer, and also loops ${others.map((other) => other.iface).join(', ')}`,
      {
        hint: `kill -KILL ${pid} ends it; ${others.map((other) => commandAbout('attach', other)).join(', ')} takes up what it looped besides`,
      },
    );
  }
  try {
    // The rest is left to teardown in this process, which holds the global lock.
    process.kill(pid, 'SIGKILL');
  } catch {
    // it ended meanwhile
  }
  if (!waitUntilGone(attachment, KILL_TIMEOUT_MS)) {
    throw new VnetError('BUSY', `interface ${iface}`, `process ${pid} does not end`, {
      hint: `cat /proc/${pid}/stack tells what it waits for; then ${commandAbout('detach', attachment)} again`,
    });
  }
}

/** The step before those of teardown: it ends the loop, and leaves nothing for them if the controller answers. */
const ended = (attachment: Attachment | BrokenAttachment): Step => ({
  name: 'ended',
  says: () => {
    const { iface, netns, pid } = known(attachment);
    const where = named(iface, netns.name);
    if (isControlled(attachment)) return [`ask process ${pid} to deliver what is in the ring of ${where}, and to end`];
    return [`discard what is in the ring of ${where}: ${pid > 0 ? `process ${pid}` : 'its controller'} has crashed`];
  },
  run: () => askToDetach(attachment),
});

/** Detaches one attachment: running, crashed or broken. */
export async function detachAttachment(attachment: Attachment | BrokenAttachment): Promise<void> {
  const { id } = attachment;
  // The controller needs the lock, too. If a stopped command keeps it, this fails before anything has ended.
  (await lockEverythingSoon())[Symbol.dispose]();
  await runStep(ended(attachment));
  using _lock = await lockEverythingSoon();
  // The controller may have removed everything itself, or all but the record.
  const record = readAttachment(id);
  if (record) {
    const left = known(record);
    if (isControlled(left)) kill(left);
    await teardown(left);
  }
  requireForgotten(id);
}

/**
 * Removes a state directory that still exists. Throws STATE if that fails, as on a read-only /run: the record then
 * outlives the interface.
 */
function requireForgotten(id: string): void {
  const directory = stateDirectory(id);
  if (!fs.lstatSync(directory, { throwIfNoEntry: false })) return;
  try {
    removeTree(directory);
  } catch (cause) {
    throw new VnetError(
      'STATE',
      `state directory ${directory}`,
      `cannot be removed; all else of the interface is: ${messageOf(cause)}`,
      { hint: 'make /run writable, then detach it again', cause },
    );
  }
}

/** Detaches the interface of that name. */
export async function detach(iface: string, netnsName: string | null): Promise<void> {
  requirePrivileges();
  try {
    await detachAttachment(requireNamed(iface, netnsName));
  } catch (error) {
    if (!isBusy(error)) sweepTraces();
    throw error;
  }
  sweepTraces();
}

/** Removes what killed commands left, if there is any state at all. */
export function sweepTraces(): void {
  if (!fs.existsSync(stateRoot())) return;
  using _lock = lockEverything();
  sweep();
}

// `detach --dry-run`.

/** The steps in words, and whether they remove the last interface and with it the peer namespace. Changes nothing. */
export function removal(attachments: readonly Attachment[]): { lines: string[]; removesPeerNetns: boolean } {
  const ids = new Set(attachments.map(({ id }) => id));
  using peerNetns = openPeerNetns();
  const removesPeerNetns =
    peerNetns !== null &&
    everyAttachment().every((each) => ids.has(each.id) || (!isBroken(each) && each.peer === null));
  const own = attachments
    .flatMap((each) => [ended(each), ...teardownSteps(each)])
    .filter((step) => step !== peerNetnsRemoved);
  return { lines: inWords(removesPeerNetns ? [...own, peerNetnsRemoved] : own), removesPeerNetns };
}

export const detachInWords = (attachments: readonly Attachment[]): string[] =>
  attachments.length === 0 ? ['nothing is attached'] : removal(attachments).lines;
