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
  /** Differs from that of the frame before. */
  serial: number;
}

/** A filter that several rules may have: it runs once for each frame. */
class SharedFilter {
  private serial = NaN;
  private result = false;
  /** Whether the filter gives the same result for all segments of a superpacket. */
  readonly isOfFlow: boolean;
  private readonly run: FilterFunction;

  /** Throws USAGE for what libpcap does not understand, and LIBPCAP_MISSING. */
  constructor(expression: string) {
    const filter = parseFilter(expression);
    this.isOfFlow = filter.looksAtFlowOnly;
    this.run = filter.compiled();
  }

  matches({ data, serial }: Judged): boolean {
    if (this.serial !== serial) {
      this.serial = serial;
      this.result = this.matchesNow(data);
    }
    return this.result;
  }

  matchesNow({ memory, start, length }: FrameData): boolean {
    return this.run(memory, start, length, length);
  }
}

/** The index of the throw for the match of a frame; the throws for the effects come after it. */
export const THROW_OF_MATCH = 0;

/** What the matches of all rules share. */
export class Shared {
  /** How many counts a connection keeps. */
  slots = 0;
  private readonly filters = new Map<string, SharedFilter>();

  /** A number from 0 on, one for each count. */
  nextSlot(): number {
    return this.slots++;
  }

  filter(expression: string): SharedFilter {
    const known = this.filters.get(expression);
    if (known !== undefined) return known;
    const filter = new SharedFilter(expression);
    this.filters.set(expression, filter);
    return filter;
  }
}

export class Matcher {
  private readonly filter: SharedFilter | null;
  private readonly after: Matcher | null;
  /** The slot of this match in Connection.counts. */
  private readonly slot: number;
  private readonly once: boolean;
  /** Whether more than the filter decides if a frame fits. */
  private readonly narrows: boolean;
  /** Numbers between which all chosen frames are. */
  private readonly least: number;
  private readonly most: number;

  /** Compiles the filters. Throws USAGE for what libpcap does not understand, and LIBPCAP_MISSING. */
  constructor(
    private readonly match: Match,
    private readonly rule: number,
    private readonly dice: Dice,
    private readonly connections: Connections,
    shared: Shared,
  ) {
    const { filter, after, from, connection, between, atByte, test, nth, every, first } = match;
    this.filter = filter === undefined ? null : shared.filter(filter);
    this.narrows = [from, connection, between, atByte, test].some((field) => field !== undefined);
    this.slot = shared.nextSlot();
    this.once = atByte !== undefined && nth === undefined && every === undefined && first === undefined;
    // Each direction has such a byte, and a count for it.
    if (this.once) shared.nextSlot();
    this.least = nth === undefined ? (every ?? 1) : Math.min(...nth);
    this.most = Math.min(first ?? Infinity, nth === undefined ? Infinity : Math.max(...nth), this.once ? 1 : Infinity);
    this.after = after === undefined ? null : new Matcher(after, rule, dice, connections, shared);
  }

  /** Whether none of the segments of a superpacket can match. */
  ignores(data: FrameData): boolean {
    const { filter } = this;
    return (
      filter !== null &&
      filter.isOfFlow &&
      !filter.matchesNow(data) &&
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
    return n >= this.least && n <= this.most && this.isMeant(n, judged.connection) ? n : 0;
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
    return (filter === null || filter.matches(judged)) && (!this.narrows || this.fitsClosely(judged));
  }

  private fitsClosely(judged: Judged): boolean {
    const { match } = this;
    const { frame, from, now, connection } = judged;
    if (match.from !== undefined && match.from !== from) return false;
    if (match.connection !== undefined && match.connection !== connection.ordinal) return false;
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

  /** Whether the frame with a number between `least` and `most` is one of those chosen. */
  private isMeant(n: number, { number }: Connection): boolean {
    const { nth, every, probability } = this.match;
    if (nth !== undefined && !nth.includes(n)) return false;
    if (every !== undefined && n % every !== 0) return false;
    if (probability === undefined) return true;
    const what: Throw = { rule: this.rule, connection: number, n };
    return this.dice.fraction(what, THROW_OF_MATCH) < probability;
  }
}

/** The value in the slot of a match of `after` once it has matched. */
const SEEN = 0xffffffff;
