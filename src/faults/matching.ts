// SPDX-License-Identifier: MIT
/** Decides which frames a rule matches: a Match, prepared. */
import type { FilterFunction } from '../packet/filter-code';
import { parseFilter } from '../packet/filter';
import { Frame } from '../packet/frame';
import { type FrameData, PROTOCOL, TCP_FLAG } from '../packet/headers';
import type { Connection, Connections } from './connections';
import type { Dice, Throw } from './dice';
import type { Match, Side } from './rules';

/** The frame that is being judged. One object is used for all frames. */
export interface Judged {
  frame: Frame;
  data: FrameData;
  connection: Connection;
  from: Side;
  /** When it came, in milliseconds. */
  now: number;
}

/** The index of the throw for the match of a frame; the throws for the effects come after it. */
export const THROW_OF_MATCH = 0;

/** Hands out slots: numbers from 0, one for each count that a connection keeps. */
export interface Slots {
  next(): number;
}

/**
 * Words of filters that do not tell the directions of a connection apart. A filter of only these words, numbers and
 * addresses matches whole connections if it looks at nothing but addresses, ports and protocols.
 */
const BOTH_WAYS =
  /^(?:\s|[()!]|&&|\|\||\b(?:and|or|not|ip|ip6|tcp|udp|icmp|icmp6|sctp|arp|port|portrange|host|net|mask)\b|\b[\da-f.:]+(?:[/-]\d+)?(?=[\s)]|$))*$/i;

export class Matcher {
  /** Whether the filter matches all frames of a connection, or none. */
  readonly isOfConnection: boolean;
  private readonly filter: FilterFunction | null;
  /** Whether the filter gives the same result for all segments of a superpacket. */
  private readonly isOfFlow: boolean;
  private readonly after: Matcher | null;
  /** The slot of this match in Connection.counts. */
  private readonly slot: number;
  private readonly once: boolean;

  /** Compiles the filters. Throws USAGE for what libpcap does not understand, and LIBPCAP_MISSING. */
  constructor(
    private readonly match: Match,
    private readonly rule: number,
    private readonly dice: Dice,
    private readonly connections: Connections,
    slots: Slots,
  ) {
    const { filter, after, atByte, nth, every, first } = match;
    const parsed = filter === undefined ? null : parseFilter(filter);
    this.filter = parsed && parsed.compiled();
    this.isOfFlow = parsed !== null && parsed.looksAtFlowOnly;
    this.isOfConnection = filter !== undefined && this.isOfFlow && BOTH_WAYS.test(filter);
    this.slot = slots.next();
    this.once = atByte !== undefined && nth === undefined && every === undefined && first === undefined;
    // Each direction has such a byte, and a count for it.
    if (this.once) slots.next();
    this.after = after === undefined ? null : new Matcher(after, rule, dice, connections, slots);
  }

  /** Whether none of the segments of a superpacket can match. */
  ignores(data: FrameData): boolean {
    const { filter } = this;
    return (
      filter !== null &&
      this.isOfFlow &&
      !filter(data.memory, data.start, data.length, data.length) &&
      (this.after === null || this.after.ignores(data))
    );
  }

  /** The frame's number among those that fit, counted from 1, if the frame is one of those chosen; otherwise 0. */
  matches(judged: Judged): number {
    // `after` counts whether or not the rest fits, and takes effect from the next frame on.
    const isAfter = this.after === null || this.isAfter(this.after, judged);
    if (!this.fits(judged) || !isAfter) return 0;
    const { counts } = judged.connection;
    const slot = this.once && judged.from === 'server' ? this.slot + 1 : this.slot;
    const n = ((counts[slot] as number) + 1) >>> 0;
    counts[slot] = n;
    return this.isMeant(n, judged.connection) ? n : 0;
  }

  /** Whether an earlier frame of the connection has matched. */
  private isAfter(after: Matcher, judged: Judged): boolean {
    const { counts } = judged.connection;
    const seen = (counts[after.slot] as number) >= SEEN;
    if (!seen && after.matches(judged) > 0) counts[after.slot] = SEEN;
    return seen;
  }

  private fits(judged: Judged): boolean {
    const { filter } = this;
    const { data, frame, from, now, connection } = judged;
    if (filter !== null && !filter(data.memory, data.start, data.length, data.length)) return false;
    const { match } = this;
    if (match.from !== undefined && match.from !== from) return false;
    if (
      match.between !== undefined &&
      !(now - connection.startedAt >= match.between[0] && now - connection.startedAt < match.between[1])
    )
      return false;
    if (match.atByte !== undefined && !this.carries(match.atByte, judged)) return false;
    return match.test === undefined || match.test(frame);
  }

  /** Whether the frame carries the byte at a position of its TCP stream. */
  private carries(position: number, { data, connection }: Judged): boolean {
    const { transport, protocol, ipEnd } = data.offsets();
    if (transport === 0 || protocol !== PROTOCOL.tcp) return false;
    const payload = transport + (data.u8(transport + 12) >>> 4) * 4;
    const syn = (data.u8(transport + 13) & TCP_FLAG.syn) !== 0 ? 1 : 0;
    const first = this.connections.positionOf(connection, (data.u32(transport + 4) + syn) >>> 0);
    return position >= first && position < first + ipEnd - payload;
  }

  private isMeant(n: number, { number }: Connection): boolean {
    const { nth, every, first, probability } = this.match;
    if (this.once && n > 1) return false;
    if (nth !== undefined && !nth.includes(n)) return false;
    if (every !== undefined && n % every !== 0) return false;
    if (first !== undefined && n > first) return false;
    if (probability === undefined) return true;
    const what: Throw = { rule: this.rule, connection: number, n };
    return this.dice.fraction(what, THROW_OF_MATCH) < probability;
  }
}

/** The value in the slot of a match of `after` once it has matched. */
const SEEN = 0xffffffff;
