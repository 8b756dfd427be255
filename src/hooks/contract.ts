// SPDX-License-Identifier: MIT
/** The contract of hooks: what a hook is, what it is given and what it may return. */
import { types } from 'node:util';

import type { Frame } from '../packet/frame';

export type { OnHookError } from '../options/values';

/**
 * What happens to a frame: `'pass'` or nothing sends it on unchanged, `'drop'` discards it, and bytes replace it. The
 * bytes are sent exactly as they are, so their checksums must be correct: see fixChecksums(). A Delay sends it on
 * later.
 */
export type Verdict = 'pass' | 'drop' | Uint8Array | Delay | undefined | void;

/** Sends the frame on later. Frames that are delayed less, or not at all, overtake it. */
export interface Delay {
  /** Milliseconds, with fractions; at most an hour. */
  readonly delay: number;
  /** Replaces the frame, as a Uint8Array alone does. */
  readonly frame?: Uint8Array | undefined;
}

/** The longest delay in milliseconds. */
export const DELAY_MAX_MS = 3_600_000;

/**
 * How a hook sees superpackets: frames that the kernel has not segmented yet, up to 64 KiB of UDP or 256 KiB of TCP
 * with one header. `'segmented'`, the default, shows the frames that a wire would carry. `'whole'` shows superpackets
 * as they are, which costs less; the TCP or UDP checksum of a superpacket means nothing, and the kernel fills it in,
 * frame by frame.
 */
export type Superpackets = 'segmented' | 'whole';

export interface Hook {
  /** Used in messages; defaults to the file's name. */
  name?: string;
  superpackets?: Superpackets;
  /** Called for each frame that the interface has transmitted, in order. It must not wait for anything. */
  frame(frame: Frame, context: HookContext): Verdict;
  /** Called once, before the first frame. */
  start?(context: HookContext): void;
  /** Called once, when another hook or none takes over. */
  stop?(): void;
}

/** What a hook file exports by default, or as module.exports with CommonJS. */
export type HookExport = Hook | Hook['frame'];

/** Whether a value is such an export itself, and not the name of a file with one. */
export const isHookExport = (hook: unknown): hook is HookExport =>
  typeof hook === 'function' || (typeof hook === 'object' && hook !== null && 'frame' in hook);

/** The interface, as a hook sees it. */
export interface HookContext {
  readonly interface: string;
  /** Its Ethernet address. */
  readonly mac: string;
  /** How many hooks this interface has had before this one. */
  readonly generation: number;
  /**
   * Makes the interface receive a frame of 14 to 65,576 bytes, checksums included, after `delay` milliseconds. The
   * frame is copied.
   */
  inject(frame: Uint8Array, delay?: number): void;
  /** Calls back once, unless the hook is replaced first. */
  after(milliseconds: number, callback: () => void): HookTimer;
  /** Calls back repeatedly until the hook is replaced. */
  every(milliseconds: number, callback: () => void): HookTimer;
  /** Writes a line to `vnet-bpf log` and to the kernel log. */
  log(text: string): void;
}

export interface HookTimer {
  cancel(): void;
}

/** The shortest and the longest frame that the loop carries, in bytes, TCP superpackets aside. */
export const FRAME_BYTES = { min: 14, max: 65576 } as const;

/** Why a value cannot be a frame; null if it can. `longest`: bytes of the superpacket that it replaces. */
export function wrongFrame(frame: unknown, longest = 0): string | null {
  if (!types.isUint8Array(frame)) return `a frame is a Uint8Array, not ${describe(frame)}`;
  const max = Math.max(FRAME_BYTES.max, longest);
  if (frame.length >= FRAME_BYTES.min && frame.length <= max) return null;
  return `a frame of ${frame.length} bytes: it has ${FRAME_BYTES.min} to ${max}`;
}

/** Why a value cannot be a delay; null if it can. */
export function wrongDelay(delay: unknown): string | null {
  if (typeof delay === 'number' && delay >= 0 && delay <= DELAY_MAX_MS) return null;
  return `a delay of ${describe(delay)}: it has 0 to ${DELAY_MAX_MS} milliseconds`;
}

/** Describes a value in a few words. Never throws, whatever its getters do. */
export function describe(value: unknown): string {
  try {
    if (types.isPromise(value)) return 'a promise (answer at once, and inject later)';
    if (typeof value === 'object' && value !== null)
      return `an object (${value.constructor?.name ?? 'without a class'})`.slice(0, 80);
    return typeof value === 'string' ? JSON.stringify(value.slice(0, 40)) : String(value as number).slice(0, 40);
  } catch {
    return 'something that cannot be shown';
  }
}
