// SPDX-License-Identifier: MIT
/** What is known of a conversation, and of each frame in it. */
import type { FrameKind } from '../protocol';

export type Side = 'client' | 'server';

/** Something remarkable about a frame. */
export interface Note {
  /** `lost` and `again` are what makes a conversation slow; `odd` is unusual; `quiet` explains. */
  kind: 'lost' | 'again' | 'late' | 'odd' | 'quiet';
  text: string;
}

/** A frame of a conversation. */
export interface Step {
  number: number;
  /** Milliseconds since the epoch. */
  time: number;
  /** Milliseconds until it arrived; null if it did not, or if that is not known. */
  took: number | null;
  side: Side;
  kind: FrameKind;
  /** What it is: `SYN`, `PSH ACK, 100 bytes`, `echo request 3`. */
  label: string;
  /** Numbers of TCP: `seq 1, ack 1, window 65,536`; empty for others. */
  facts: string;
  notes: readonly Note[];
  /** Relative numbers of TCP from its first byte to the one after the last; null without any. */
  span: readonly [from: number, to: number] | null;
}

export interface Flow {
  readonly id: number;
  readonly protocol: string;
  readonly client: string;
  readonly server: string;
  /** Which of the conversations with the same ends it is, from 1 on. */
  readonly turn: number;
  /** `open`, `closed` and so on; empty where there is no such thing. */
  readonly state: string;
  readonly frames: number;
  readonly bytes: number;
  readonly again: number;
  readonly late: number;
  readonly lost: number;
  /** When its first and its last frame were sent, in milliseconds since the epoch. */
  readonly began: number;
  readonly ended: number;
  readonly first: readonly Step[];
  readonly last: readonly Step[];
  /** Frames between those that are not kept. */
  readonly forgotten: number;
  /** Changes with everything else. */
  readonly revision: number;
}
