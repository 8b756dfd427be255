// SPDX-License-Identifier: MIT
/** What the main thread and the thread of a hook say to each other. */
import type { PollRequest } from '../datapath/polled-interface';
import type { ErrorCode } from '../errors';
import type { OnHookError } from './contract';
import type { BellRope } from './ring-bell';

export interface HookWorkerData {
  interface: string;
  /** Its namespace's name, for hints. */
  netns: string | null;
  mac: string;
  /** As in PollWorkerData. */
  spread: number;
  /** Words of VITALS. */
  vitals: SharedArrayBuffer;
  /** Where the thread writes down what it maps, for whoever outlives it. */
  mappings: SharedArrayBuffer;
}

/** A frame that the debugger looks at. */
export interface SteppedFrame {
  bytes: Uint8Array;
  /** Not cut up yet: its TCP or UDP checksum means nothing. */
  superpacket: boolean;
}

/** Each is answered once it is done. */
export type HookOrder =
  /** Loads a hook and puts it in the place of the one before; null puts none there. */
  | { kind: 'use'; file: string | null; onError: OnHookError }
  /** Begins to poll; nobody else does. `deadly`: frameMark() of frames that are dropped unseen, as threads ended over them. */
  | { kind: 'poll'; request: PollRequest; bell: BellRope; deadly: readonly number[] }
  | { kind: 'inject'; frame: Uint8Array }
  /** Frames stay in the ring from now on. */
  | { kind: 'pause' }
  | { kind: 'resume' }
  /** The next frame in the ring, or null; only while paused. */
  | { kind: 'peek' }
  /** What becomes of it. */
  | { kind: 'step'; verdict: 'pass' | 'drop' | Uint8Array };

/** What an order is answered with. */
export interface HookAnswers {
  /** The name of the hook in place. */
  use: string | null;
  poll: null;
  inject: null;
  pause: null;
  resume: null;
  peek: SteppedFrame | null;
  step: boolean;
}

/** `look`: a word of COMMAND has changed. */
export type HookRequest = { id: number; order: HookOrder } | 'look';

/** Errors lose their class on the way from thread to thread. */
export interface SentError {
  code: ErrorCode;
  message: string;
  hint: string | undefined;
  stack: string | undefined;
}

export type HookReply =
  | { kind: 'answer'; id: number; value: unknown }
  | { kind: 'failed'; id: number; error: SentError }
  | { kind: 'queue' | 'stalled' | 'ended' }
  | { kind: 'log' | 'error'; text: string };
