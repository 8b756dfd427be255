// SPDX-License-Identifier: MIT
/**
 * The record of each attachment, /run/vnet-bpf/<id>/state.json. It is written before anything is
 * made, so that whatever a killed controller leaves behind can be found and removed.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { VnetError } from '../errors';
import { randomBytes } from '../native/random';
import { FileLock } from './lock';
import { privateDirectory, stateDirectory, stateRoot } from './paths';
import type { Room } from '../link/room';
import type { TakenRecord } from '../link/taken';
import type { TcLinkState } from 'libbpf-ts';

/** Raised with every change of this record or of bpf/layout.h. */
export const STATE_VERSION = 10;

/** What hairpin changed in the namespace, so that it can be put back. */
export interface HairpinRecord {
  addresses: { family: 4 | 6; address: string }[];
  table: number;
}

/** What `vnet-bpf impair` has done to the way back, for whoever reads the counters. */
export interface ImpairmentRecord {
  /** Those of netem that are in place; null when it was taken away. */
  words: string[] | null;
  /** CONTROL.enobufs when they were put in place: what netem had no room for since then came a second time. */
  enobufs: number;
  /** Frames that earlier ones have dropped. */
  lost: number;
  /** refused.backlog from before the first. */
  backlog: number;
}

export interface Attachment {
  version: number;
  id: string;
  /** `attaching` until everything is in place, `detaching` once it is being removed. */
  phase: 'attaching' | 'running' | 'detaching';
  iface: string;
  ifindex: number;
  /** How the interface was if it was there before: then detach leaves it like that. Null if attach made it. */
  taken: TakenRecord | null;
  /** Addresses that attach added. */
  added: string[];
  netns: { name: string | null; inode: number };
  backend: 'veth' | 'dummy';
  /** The hidden end of a veth. */
  peer: { name: string; ifindex: number } | null;
  /** What marks reinjected frames where there is no peer; 0 where there is. */
  reinjectMark: number;
  /** The waiting room of each queue, with --when-full hold: where held frames enter and leave it. */
  rooms: Room[];
  attach: 'tcx' | 'clsact';
  links: { tx: TcLinkState; sink: TcLinkState | null; cut: TcLinkState | null; retry: TcLinkState[] } | null;
  pid: number;
  startedAt: string;
  queues: number;
  /** The largest superpacket of TCP over IPv4. */
  superpacketBytes: number;
  /** This and what follows, of each queue. */
  ringBytes: number;
  queuePackets: number;
  lowWatermarkBytes: number;
  lowWatermarkPackets: number;
  budget: number;
  gro: boolean;
  busyPollUs: number | null;
  whenFull: 'hold' | 'drop';
  /** The file of the hook in place, or null. */
  hook: string | null;
  /** What becomes of a frame over which it fails; null without a hook. */
  onHookError: 'pass' | 'drop' | 'detach' | null;
  /** Why nothing passes: the thread of a hook that decides over traffic has ended, and was not started again yet. */
  hookDown: string | null;
  /** The peer's counters at attach, for an interface that had a life before. */
  baseline: { peerTxPackets: number };
  hairpin: HairpinRecord | null;
  /** Null: never impaired. */
  impairment: ImpairmentRecord | null;
  /** URL of its metrics while its controller serves them. */
  metrics: string | null;
}

const STATE = 'state.json';

/** The lock that a controller holds for as long as it lives. */
export const controllerLock = (id: string): string => path.join(stateDirectory(id), 'lock');
/** The lock held while interfaces, rules or the hidden namespace are changed. */
const globalLock = (): string => path.join(stateRoot(), 'lock');
/** The socket on which a controller takes orders. */
export const controlSocket = (id: string): string => path.join(stateDirectory(id), 'control');
/** What `vnet-bpf log` shows. */
export const logFile = (id: string): string => path.join(stateDirectory(id), 'log');

let held: { lock: FileLock; times: number } | null = null;

/** Twenty commands started at once on a busy machine wait for each other; longer takes only one that hangs. */
const LOCK_MS = 60_000;

/**
 * Only one process changes things at a time; one that has several interfaces may take the lock for
 * one while it has it for another. The last thing done under the lock is to remove the state
 * directory if it is empty: earlier, the next command would make a lock of its own there.
 */
export function lockEverything(): Disposable {
  held ??= { lock: FileLock.take(globalLock(), LOCK_MS), times: 0 };
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

/** An identity that bpffs and interface names both allow (bpffs forbids dots). */
export function newId(): string {
  return randomBytes(4).toString('hex');
}

/** Writes the record whole or not at all. */
export function saveAttachment(attachment: Attachment): void {
  const directory = stateDirectory(attachment.id);
  privateDirectory(stateRoot());
  privateDirectory(directory);
  const temporary = path.join(directory, `${STATE}.new`);
  fs.writeFileSync(temporary, JSON.stringify(attachment, null, 2) + '\n', { mode: 0o600 });
  fs.renameSync(temporary, path.join(directory, STATE));
}

/** Every attachment on the machine, by name. */
export function allAttachments(): Attachment[] {
  let names: string[];
  try {
    names = fs.readdirSync(stateRoot());
  } catch {
    return [];
  }
  const found: Attachment[] = [];
  for (const name of names) {
    if (!/^[0-9a-f]{8}$/.test(name)) continue;
    const attachment = readAttachment(name);
    if (attachment) found.push(attachment);
  }
  // Not localeCompare(): its first call loads ICU's rules, for 10 ms.
  return found.sort((a, b) => Number(a.iface > b.iface) - Number(a.iface < b.iface) || a.netns.inode - b.netns.inode);
}

/** One attachment by identity, or null if it is gone. */
export function readAttachment(id: string): Attachment | null {
  const file = path.join(stateDirectory(id), STATE);
  privateDirectory(stateRoot());
  let text: string;
  try {
    text = fs.readFileSync(file, 'utf8');
  } catch {
    return null;
  }
  try {
    return JSON.parse(text) as Attachment;
  } catch (cause) {
    throw new VnetError('STATE', `state file ${file}`, 'is damaged', {
      hint: `remove the interface by hand, then: rm -r ${path.dirname(file)}`,
      cause,
    });
  }
}

/** The attachment of an interface in the namespace with that inode, or null. */
export function findAttachment(iface: string, netnsInode: number): Attachment | null {
  return allAttachments().find((a) => a.iface === iface && a.netns.inode === netnsInode) ?? null;
}

/** Forgets an attachment. */
export function forgetAttachment(id: string): void {
  fs.rmSync(stateDirectory(id), { recursive: true, force: true });
}

/** Removes the state directory if there is nothing in it but the global lock, which the caller holds. */
function removeEmptyState(): void {
  const root = stateRoot();
  if (!fs.existsSync(root) || fs.readdirSync(root).some((name) => name !== 'lock')) return;
  fs.rmSync(globalLock(), { force: true });
  try {
    fs.rmdirSync(root); // not recursive: the next command may have made something in it already
  } catch {
    // then it needs the directory
  }
}

/** Whether the controller of an attachment lives. */
export function isControlled(attachment: Attachment): boolean {
  return FileLock.isHeld(controllerLock(attachment.id));
}
