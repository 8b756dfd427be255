// SPDX-License-Identifier: MIT
/**
 * Faults as data: rules, each with what it matches and what happens to the frames that match. Times are in
 * milliseconds, chances from 0 to 1, rates in bits a second. words.ts says how each is written in words.
 *
 * A rule counts the frames of each connection that it matches, from 1. What happens to frame number n of a connection
 * depends only on the seed, the rule's id, the connection's number and n (dice.ts, connections.ts).
 */
import type { Frame } from '../packet/frame';

/** The two ends of a connection; the client is the one that opened it. */
export type Side = 'client' | 'server';

/** Which frames a rule applies to; without any field, all. */
export interface Match {
  /** A tcpdump expression. */
  filter?: string;
  /** A function that must also return true. Its answer may depend on nothing but the frame. */
  test?: (frame: Frame) => boolean;
  /** Only frames that this side of the connection sent. */
  from?: Side;
  /** Only frames of the connection with this number: `#2` in the log is 2. */
  connection?: number;
  /** Only frames after the first frame of the connection that matched this. */
  after?: Match;
  /** Only frames from one time to another, counted from the first frame of the connection. */
  between?: readonly [from: number, to: number];
  /**
   * Only frames that carry this byte of the TCP stream, counted from 0, however TCP has segmented it. Unless one of the
   * following fields is given, only the first such frame of each direction, not its retransmissions.
   */
  atByte?: number;

  // Chosen among the frames that fit all of the above; if several fields are given, all of them must hold.

  nth?: readonly number[];
  /** Each frame whose number is a multiple of this. */
  every?: number;
  /** Frames up to this number. */
  first?: number;
  /** Each with this chance. */
  probability?: number;
}

/** Where in a frame a bit is flipped: in the IP header, in the header after it, or in what that carries. */
export type FramePart = 'ip' | 'transport' | 'payload';

export type Distribution = 'uniform' | 'normal' | 'pareto';

/** Why a destination cannot be reached: codes of ICMP. */
export type Unreachable = 'net' | 'host' | 'protocol' | 'port' | 'prohibited';

/** How long a queue may become: milliseconds until its end has been sent, or bytes; or CoDel decides (RFC 8289). */
export type QueueLimit = { ms: number } | { bytes: number } | { codel: true };

/** The queue in front of a line; null stands for the values of the RFC. */
export interface LineQueue {
  queue: QueueLimit;
  targetMs: number | null;
  intervalMs: number | null;
}

/** A trace of a link: the name of its file, null if it has none, and its content (trace.ts), null if it is not read. */
export interface Trace {
  file: string | null;
  opportunities: string | null;
}

/** What happens to a frame. */
export type Effect =
  | { kind: 'drop' }
  /** Dropped with this chance. */
  | { kind: 'loss'; probability: number }
  /**
   * Gilbert-Elliott: each connection is good or bad. Good becomes bad with chance `p`, bad becomes good with `r`;
   * frames are dropped with `bad` while it is bad, and with `good` while it is good.
   */
  | { kind: 'gemodel'; p: number; r: number; bad: number; good: number }
  /**
   * Arrives later. `jitterMs` is the largest deviation if the distribution is uniform, else the standard deviation.
   * Frames of a connection do not overtake each other unless they are `unordered`.
   */
  | { kind: 'delay'; ms: number; jitterMs: number; distribution: Distribution; unordered: boolean }
  /** This many copies of it arrive as well. */
  | { kind: 'duplicate'; copies: number }
  /** Waits until `by` more frames of the same direction have passed, or until `withinMs`. */
  | { kind: 'reorder'; by: number; withinMs: number }
  /** One bit is flipped: `bit` of that part, counted from its beginning, or any. `valid`: checksums are corrected. */
  | { kind: 'corrupt'; part: FramePart; bit: number | null; valid: boolean }
  /** Only the first bytes arrive. */
  | { kind: 'truncate'; bytes: number }
  /** Instead of it, a TCP RST arrives at these sides. */
  | { kind: 'reset'; to: Side | 'both' }
  /** Instead of it, the sender receives an ICMP error. */
  | { kind: 'unreachable'; what: Unreachable }
  /** The same for a packet that is longer than `mtu`. */
  | { kind: 'too-big'; mtu: number }
  /** Marked as having met congestion, if it is ECN-capable. */
  | { kind: 'ecn' }
  /**
   * Passes a line of this rate, which all frames of the rule share, and waits in its queue; if that is full, it is
   * dropped.
   */
  | ({ kind: 'rate'; bitsPerSecond: number } & LineQueue)
  /** The same for a line that delivers packets at the times of a trace. */
  | ({ kind: 'trace'; trace: Trace } & LineQueue)
  /** From this frame on, no frame of the interface arrives for a time. */
  | { kind: 'cut'; ms: number }
  /** The same, and the interface has no carrier for that time: applications see that the link is down. */
  | { kind: 'carrier'; ms: number }
  /** From this frame on, no frame of its connection arrives. */
  | { kind: 'blackhole' };

export type EffectKind = Effect['kind'];
export type EffectOf<K extends EffectKind> = Extract<Effect, { kind: K }>;

export interface Rule {
  /** A positive number that no other rule has. The rule keeps it, and with it its chances, when others are removed. */
  id: number;
  match: Match;
  /** In their order. */
  effects: readonly Effect[];
}

/** A set of rules, as it is put on an interface. */
export interface Faults {
  /** A whole number from 0 to SEED_MAX. */
  seed: number;
  rules: readonly Rule[];
}

/** The seed where none is given. */
export const DEFAULT_SEED = 1;
