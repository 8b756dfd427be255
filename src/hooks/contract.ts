// SPDX-License-Identifier: MIT
/** What a hook is, what it is given and what it may answer. */
import { types } from 'node:util';

import type { Frame } from '../packet/frame';

export type { OnHookError } from '../options/values';

/**
 * What becomes of a frame: `'pass'` or nothing lets it go on as it is, `'drop'` ends it, and bytes take its place. They
 * are sent exactly as they are, so their checksums have to be right: see fixChecksums().
 */
export type Verdict = 'pass' | 'drop' | Uint8Array | undefined | void;

/**
 * Superpackets are what the kernel has not cut up yet: up to 64 KiB of UDP or 256 KiB of TCP with one header. `'segmented'`, the
 * default, shows the frames that a wire would carry. `'whole'` shows superpackets as they are, which costs less; the
 * TCP or UDP checksum of one means nothing and is filled in by the kernel, frame by frame.
 */
export type Superpackets = 'segmented' | 'whole';

export interface Hook {
  /** For messages; the file's name unless given. */
  name?: string;
  superpackets?: Superpackets;
  /** Called for each frame that the interface has transmitted, in their order. It must not wait for anything. */
  frame(frame: Frame, context: HookContext): Verdict;
  /** Called once, before the first frame. */
  start?(context: HookContext): void;
  /** Called once, when another hook or none takes over. */
  stop?(): void;
}

/** A hook file exports this by default, or with CommonJS as module.exports. */
export type HookExport = Hook | Hook['frame'];

/** The interface, as a hook sees it. */
export interface HookContext {
  readonly interface: string;
  /** Its Ethernet address. */
  readonly mac: string;
  /** How many hooks this interface has had before. */
  readonly generation: number;
  /** Lets the interface receive a frame of 14 to 65,576 bytes, checksums included. It is copied. */
  inject(frame: Uint8Array): void;
  /** Calls back once, unless the hook is replaced before. */
  after(milliseconds: number, callback: () => void): HookTimer;
  /** Calls back again and again until the hook is replaced. */
  every(milliseconds: number, callback: () => void): HookTimer;
  /** A line in `vnet-bpf log` and in the kernel log. */
  log(text: string): void;
}

export interface HookTimer {
  cancel(): void;
}

/** The shortest and the longest frame that the loop carries, superpackets of TCP aside. */
export const FRAME_BYTES = { min: 14, max: 65576 } as const;

/** Why something cannot be a frame, or null. `longest`: of the superpacket whose place it takes. */
export function wrongFrame(frame: unknown, longest = 0): string | null {
  if (!types.isUint8Array(frame)) return `a frame is a Uint8Array, not ${describe(frame)}`;
  const max = Math.max(FRAME_BYTES.max, longest);
  if (frame.length >= FRAME_BYTES.min && frame.length <= max) return null;
  return `a frame of ${frame.length} bytes: it has ${FRAME_BYTES.min} to ${max}`;
}

/** A value in a few words. Throws nothing, whatever its getters do. */
export function describe(value: unknown): string {
  try {
    if (types.isPromise(value)) return 'a promise (answer at once, and inject later)';
    if (typeof value === 'object' && value !== null) return `an object (${value.constructor?.name ?? 'without a class'})`.slice(0, 80);
    return typeof value === 'string' ? JSON.stringify(value.slice(0, 40)) : String(value as number).slice(0, 40);
  } catch {
    return 'something that cannot be shown';
  }
}
