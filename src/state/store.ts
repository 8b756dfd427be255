// SPDX-License-Identifier: MIT
/**
 * The record of each attachment, /run/vnet-bpf/<id>/state.json. It is written before anything is made, so that whatever
 * a killed controller leaves behind can be found and removed. A damaged record makes its attachment a broken one, and
 * affects no other.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { exhaustion, isBusy, isExhaustion, messageOf } from '../errors';
import { LAYOUT_HASH } from '../layout';
import { clock } from '../native/clock';
import { randomBytes } from '../native/random';
import { removeFile, removeTree } from '../native/removal';
import { FileLock } from './lock';
import { privateDirectory, requirePrivate, stateDirectory, stateRoot } from './paths';
import { parseRecord, RECORD_VERSION, type Attachment } from './record';

export { impairedBy, type ImpairmentByRules, type ImpairmentRecord } from './impairment';
export type { Attachment, HairpinRecord } from './record';

/** The version of what outlives a controller: of its record, and in the lower 32 bits of what is in the pinned maps. */
export const STATE_VERSION = RECORD_VERSION * 2 ** 32 + LAYOUT_HASH;

/** An attachment whose record cannot be relied on. */
export interface BrokenAttachment {
  id: string;
  /** What is wrong with the record: `it is empty`. */
  why: string;
  /** The fields that are sound nevertheless. */
  sound: Partial<Attachment>;
}

const STATE = 'state.json';

/** The lock that a controller holds for as long as it lives. */
export const controllerLock = (id: string): string => path.join(stateDirectory(id), 'lock');
/** The lock held while interfaces, rules or the peer namespace are changed. */
const globalLock = (): string => path.join(stateRoot(), 'lock');
/** The socket on which a controller takes orders. */
export const controlSocket = (id: string): string => path.join(stateDirectory(id), 'control');
/** What `vnet-bpf log` shows. */
export const logFile = (id: string): string => path.join(stateDirectory(id), 'log');

/** What `vnet-bpf faults --log` shows: two files that are written in turn. */
export const faultLogFiles = (id: string): readonly [string, string] => [
  path.join(stateDirectory(id), 'faults'),
  path.join(stateDirectory(id), 'faults.1'),
];

let held: { lock: FileLock; times: number } | null = null;

/**
 * How long to wait for the global lock, in milliseconds: twenty commands that are started at once on a busy machine
 * wait for each other. Only one that hangs takes longer.
 */
const LOCK_MS = 60_000;
/** Between two attempts to take the global lock, in milliseconds. */
const RETRY_MS = 20;

/**
 * Takes the global lock: only one process makes changes at a time. A process that has several interfaces may take the
 * lock for one while it has it for another. The last thing done under the lock is to remove the state directory if it
 * is empty: earlier, the next command would make a lock of its own there. Blocks the thread for up to `waitMs`
 * milliseconds; throws BUSY after that. In a process that loops an interface, `waitMs` is 0: a command may be stopped
 * while it has the lock, and no loop depends on commands.
 */
export function lockEverything(waitMs = LOCK_MS): Disposable {
  held ??= { lock: FileLock.take(globalLock(), waitMs), times: 0 };
  const mine = held;
  mine.times++;
  return {
    [Symbol.dispose]: () => {
      if (--mine.times > 0) return;
      held = null;
      removeEmptyState();
      mine.lock.close();
    },
  };
}

/** Takes the global lock if it is free; otherwise null. */
export function lockIfFree(): Disposable | null {
  try {
    return lockEverything(0);
  } catch (error) {
    if (isBusy(error)) return null;
    throw error;
  }
}

/** Takes the global lock as lockEverything() does, but the thread goes on with other work while it waits. */
export async function lockEverythingSoon(): Promise<Disposable> {
  for (const end = clock.now() + LOCK_MS; clock.now() < end; await delay(RETRY_MS)) {
    const lock = lockIfFree();
    if (lock) return lock;
  }
  return lockEverything(0);
}

/** A new identity, valid in bpffs (which forbids dots) and in names of interfaces. */
export function newId(): string {
  return randomBytes(4).toString('hex');
}

/** Writes the record whole or not at all: a failure leaves the one before. */
export function saveAttachment(attachment: Attachment): void {
  const directory = stateDirectory(attachment.id);
  privateDirectory(stateRoot());
  privateDirectory(directory);
  const temporary = path.join(directory, `${STATE}.new`);
  try {
    fs.writeFileSync(temporary, JSON.stringify(attachment, null, 2) + '\n', { mode: 0o600 });
    fs.renameSync(temporary, path.join(directory, STATE));
  } catch (error) {
    removeIfPossible(temporary);
    throw exhaustion(error, `state file ${path.join(directory, STATE)}`) ?? error;
  }
}

/** Writes the record, for a caller that goes on whether or not it can be written. Returns why it could not, or null. */
export function saveIfPossible(attachment: Attachment): string | null {
  try {
    saveAttachment(attachment);
    return null;
  } catch (error) {
    return messageOf(error);
  }
}

/** The most bytes of a record that are read: none is nearly as large. */
const STATE_BYTES_MAX = 1 << 20;

/**
 * Reads the file of a record. Returns a reason instead if something else lies in its place, and null if there is none.
 */
function readState(id: string): { content: string } | { why: string } | null {
  const directory = stateDirectory(id);
  const file = path.join(directory, STATE);
  try {
    requirePrivate(directory);
    const stat = fs.lstatSync(file, { throwIfNoEntry: false });
    if (!stat) return null;
    if (!stat.isFile()) return { why: 'it is not a regular file' };
    const fd = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK);
    try {
      const { size } = fs.fstatSync(fd);
      return size > STATE_BYTES_MAX ? { why: `it has ${size} bytes` } : { content: fs.readFileSync(fd, 'utf8') };
    } finally {
      fs.closeSync(fd);
    }
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return null; // gone just now
    if (isExhaustion(error)) throw exhaustion(error, `state file ${file}`) ?? error;
    return { why: messageOf(error) };
  }
}

/** One attachment by identity, whole or broken; null if it is gone. */
export function readAttachment(id: string): Attachment | BrokenAttachment | null {
  requirePrivate(stateRoot());
  const state = readState(id);
  if (state === null) return null;
  const parsed = 'content' in state ? parseRecord(id, state.content) : { why: state.why, sound: {} };
  return 'attachment' in parsed
    ? parsed.attachment
    : { id, why: `state file ${path.join(stateDirectory(id), STATE)} is damaged: ${parsed.why}`, sound: parsed.sound };
}

export const isBroken = (attachment: Attachment | BrokenAttachment): attachment is BrokenAttachment =>
  'why' in attachment;

/** Every attachment on the machine, whole or broken. */
export function everyAttachment(): (Attachment | BrokenAttachment)[] {
  let names: string[];
  try {
    names = fs.readdirSync(stateRoot());
  } catch (error) {
    if (isExhaustion(error)) throw exhaustion(error, `state directory ${stateRoot()}`) ?? error;
    return [];
  }
  return names.filter((name) => /^[0-9a-f]{8}$/.test(name)).flatMap((id) => readAttachment(id) ?? []);
}

/** Every attachment on the machine that is whole, by name. */
export function allAttachments(): Attachment[] {
  const found = everyAttachment().filter((each): each is Attachment => !isBroken(each));
  // Not localeCompare(): its first call loads ICU's rules, which takes 10 ms.
  return found.sort((a, b) => Number(a.iface > b.iface) - Number(a.iface < b.iface) || a.netns.inode - b.netns.inode);
}

export const brokenAttachments = (): BrokenAttachment[] => everyAttachment().filter(isBroken);

/**
 * The record as stored, without the white space that saveAttachment() puts in; null if it cannot be read or is not
 * JSON.
 */
export function readRecord(id: string): string | null {
  try {
    const state = readState(id);
    return state && 'content' in state ? JSON.stringify(JSON.parse(state.content)) : null;
  } catch {
    return null;
  }
}

/**
 * Removes the state of an attachment. A record that cannot be removed, as on a read-only file system, stays; everything
 * else has been removed by then.
 */
export function forgetAttachment(id: string): void {
  removeIfPossible(stateDirectory(id));
}

function removeIfPossible(file: string): void {
  try {
    removeTree(file);
  } catch {
    // callers that have to know check whether it still exists
  }
}

/** Removes the state directory if there is nothing in it but the global lock, which the caller holds. */
function removeEmptyState(): void {
  const root = stateRoot();
  try {
    if (fs.readdirSync(root).some((name) => name !== 'lock')) return;
    removeFile(globalLock());
    fs.rmdirSync(root); // not recursive: the next command may have made something in it already
  } catch {
    // the next command needs the directory, or it cannot be removed
  }
}

/**
 * What has become of an attachment: looped, being removed at this moment, or left by a controller that ended otherwise.
 * A removal holds the global lock; one that was killed no longer does.
 */
export function conditionOf(attachment: { id: string }): 'running' | 'detached' | 'crashed' {
  if (isControlled(attachment)) return 'running';
  // The caller may have read the record before the removal began.
  const now = readAttachment(attachment.id);
  if (now === null) return 'detached';
  if (!isBroken(now) && now.phase === 'detaching' && FileLock.isHeld(globalLock())) return 'detached';
  // The removal may have ended between the two looks.
  return readAttachment(attachment.id) === null ? 'detached' : 'crashed';
}

/** Whether the controller of an attachment is alive. */
export function isControlled({ id }: { id: string }): boolean {
  return FileLock.isHeld(controllerLock(id));
}
