// SPDX-License-Identifier: MIT
/** What the page of `vnet-bpf web` and its server say to each other, as messages of JSON over one WebSocket. */
import type { Stats } from '../datapath/stats';
import type { DebuggerAction, DebuggerSeen } from './debugger-protocol';

/** The path of the WebSocket. */
export const LIVE = '/live';
/** The subprotocol of the WebSocket; the page offers it before the token. */
export const SUBPROTOCOL = 'vnet-bpf';

/** An interface that can be watched. */
export interface Watchable {
  /** Unique, and what other messages call it: `vnet0`; `vnet0 in lab` where several namespaces have a vnet0. */
  name: string;
  /** Its namespace; null if that has no name, or is the one of the server. */
  netns: string | null;
}

/** What the server sends. */
export type FromServer =
  | { type: 'hello'; version: string; readOnly: boolean; interfaces: Watchable[] }
  /** Interfaces came or went. */
  | { type: 'interfaces'; interfaces: Watchable[] }
  | StatsSeen
  | DebuggerSeen
  /**
   * At most 200 frames in a message and 500 a second; `missed`: how many more there were since the last message. It is
   * also sent with `unavailable`, instead of frames, when they cannot be recorded.
   */
  | { type: 'frames'; interface: string; frames: FrameSeen[]; missed: number; unavailable: Refusal | null }
  /** The interface that was watched is detached, or cannot be read. The server waits for it to come back. */
  | { type: 'gone'; interface: string; why: string }
  /** The answer to `do`. */
  | { type: 'done'; id: number; error: Refusal | null };

/** Why something was not done, and what to do about it. */
export interface Refusal {
  message: string;
  hint: string | null;
}

/** A reading of the interface that is watched, ten times a second. */
export interface StatsSeen {
  type: 'stats';
  interface: string;
  /** Milliseconds since the epoch. */
  time: number;
  stats: Stats;
  /** Rules in place, in words, one a line; null without faults. */
  faults: string | null;
  /** File of the hook in place; null without one. */
  hook: string | null;
  /** Words of the impairment in place; null without one. */
  impairment: string | null;
  carrier: 'up' | 'down';
  /** Round trip through the loop in microseconds; null while no frames are recorded. */
  latency: { p50: number; p99: number } | null;
}

/** What became of a frame; `unknown` if that was missed. */
export type FrameKind = 'passed' | 'dropped' | 'delayed' | 'changed' | 'injected' | 'unknown';

export interface FrameSeen {
  /** Counts frames since the interface is watched, from 1 on. */
  number: number;
  /** Milliseconds since the epoch, when it was sent. */
  time: number;
  /** Bytes on the wire. */
  length: number;
  summary: string;
  /** The comment of a recording, such as `reinjected after 12 us`. */
  outcome: string;
  kind: FrameKind;
  /** Milliseconds after which it arrived; null if it did not, or if that is not known. */
  took: number | null;
  /** The first 256 bytes, in base64. */
  bytes: string;
}

/** What the page sends. */
export type FromPage =
  /** Watches an interface; null watches none. Replaces what was watched before. `filter` in tcpdump's syntax; '' for all. */
  | { type: 'watch'; interface: string | null; frames: { filter: string } | null }
  | { type: 'do'; id: number; interface: string; action: Action };

export type Action = Setting | DebuggerAction;

/** What a page may set. */
export type Setting =
  | { kind: 'faults'; rules: string; seed: number | null }
  | { kind: 'clear-faults' }
  /** The words of `vnet-bpf impair`, or the name of a profile; '' removes the impairment. */
  | { kind: 'impair'; words: string }
  | { kind: 'carrier'; state: 'up' | 'down'; forMs: number | null }
  /** Drops all frames for that many milliseconds. */
  | { kind: 'cut'; ms: number };
