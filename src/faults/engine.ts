// SPDX-License-Identifier: MIT
/**
 * The engine: shows each frame to all rules and decides what becomes of it. It neither sends nor waits.
 *
 * Every rule sees every frame, whatever the other rules do to it, and counts by itself. Once a rule has dropped a
 * frame, later rules have no effect on it; delays add up.
 *
 * Repeatable is, for the frame with number n of a connection, everything that a rule does except what depends on time:
 * `between`, `rate`, `cut` and `carrier`. For datagrams and handshakes, n is the same in each run if the programs send the same.
 * After TCP's handshake, the kernel decides by timing how it segments and acknowledges, so n varies; `atByte` and
 * filters for SYN, FIN and RST remain repeatable.
 */
import { Frame } from '../packet/frame';
import { type Concerns, concernsOf } from './concerns';
import { type Connection, Connections } from './connections';
import { Dice } from './dice';
import { type Applied, Decision, type FaultLine, prepare, type QueuedFrame } from './effects';
import { brief, type Fault, type Logged } from './log';
import { type Judged, Matcher, Shared } from './matching';
import { Overtaking } from './overtaking';
import type { Faults } from './rules';

interface ReadyRule {
  id: number;
  matcher: Matcher;
  effects: readonly Applied[];
  /** Frames that it has matched, and those to which something happened. */
  matched: number;
  applied: number;
}

/** How many frames a rule has matched, and to how many of them something happened. */
export type RuleCounts = Pick<ReadyRule, 'id' | 'matched' | 'applied'>;

/** What is known about a connection, apart from the memory of effects. */
interface State {
  /** The rule that has silenced the connection; 0 for none. */
  silencedBy: number;
  /** Frames that wait until others have passed, by direction. */
  held: [Overtaking | null, Overtaking | null];
}

/** Direction of a frame as an index. */
const INDEX = { client: 0, server: 1 } as const;

export class Engine {
  private readonly rules: readonly ReadyRule[];
  private readonly connections: Connections;
  private readonly decision = new Decision();
  private readonly judged: Judged = {
    connection: null as unknown as Connection,
    data: null as never,
    frame: null as never,
    from: 'client',
    now: 0,
    serial: 0,
  };
  private advancedTo = 0;
  /** The connection of all frames. */
  private wire: Connection | null = null;
  private silentUntil = 0;
  private silencedBy = 0;
  private silencedFor: 'cut' | 'carrier' = 'cut';
  /** How long the carrier has to be taken away, in milliseconds; 0 for not at all. */
  carrierLossMs = 0;
  private tickets = 0;
  /** Whether there may be silenced connections, or frames that wait for others. */
  private hasStates = false;
  /** Tells which frames need not be judged, nor their connection be known; null if all have to be judged. */
  readonly concerns: Concerns | null;
  private readonly lines: FaultLine[] = [];
  /** Tickets of frames whose wait for others is over. */
  readonly released: number[] = [];
  /** Frames of which it has been decided since when they leave; Infinity: never. */
  readonly decided: { ticket: number; due: number }[] = [];
  /** The ticket of the frame that judge() has just decided on, if that waits for others; otherwise 0. */
  ticket = 0;

  /**
   * Compiles the filters. Throws USAGE and LIBPCAP_MISSING. `clockStart` is when the clock of `now` was 0, in
   * milliseconds since 1970.
   */
  constructor(
    { seed, rules }: Faults,
    private readonly log: Logged | null,
    private readonly clockStart: number,
    /** Whether all frames count as those of one connection. */
    private readonly isOneWire = false,
  ) {
    const dice = new Dice(seed);
    const shared = new Shared();
    // The memory of each effect comes after the state of the connection itself.
    let memory = 1;
    const connections = new Connections(() => shared.slots);
    this.connections = connections;
    this.rules = rules.map(({ id, match, effects }) => {
      const matcher = new Matcher(match, id, dice, connections, shared);
      const ready = prepare(effects, {
        dice,
        memory,
        lines: this.lines,
        describe: (judged, { n }, effect) => this.describe(judged, id, n, effect),
      });
      memory += effects.length;
      return { id, matcher, effects: ready, matched: 0, applied: 0 };
    });
    const byRules = concernsOf(rules.map(({ match }) => match));
    this.concerns = byRules && ((memory, start, length) => this.silentUntil > 0 || byRules(memory, start, length));
  }

  /** Whether the frame belongs to a connection that no rule is about, and nothing else is to happen to it. */
  skips(frame: Frame): boolean {
    const { memory, start, length } = Frame.dataOf(frame);
    return this.concerns !== null && !this.concerns(memory, start, length);
  }

  /** When advance() has to be called, in milliseconds; Infinity while nothing waits for a decision. */
  get due(): number {
    let due = Infinity;
    for (let i = 0; i < this.lines.length; i++) due = Math.min(due, (this.lines[i] as FaultLine).due);
    return due;
  }

  /** Decides on frames in queues whose turn has come by `now`; `decided` then has the decisions. */
  advance(now: number): void {
    this.advancedTo = now;
    for (let i = 0; i < this.lines.length; i++) (this.lines[i] as FaultLine).advance(now, this.decide);
  }

  private readonly decide = ({ ticket, connection, from, moreMs, fault }: QueuedFrame, sent: number): void => {
    if (sent === Infinity) {
      this.log?.({ time: this.timeOf(this.advancedTo), ...fault });
      const rule = this.rules.find(({ id }) => id === fault.rule);
      if (rule) rule.applied++;
    }
    const due = sent === Infinity ? Infinity : Math.max(sent + moreMs, connection.lastDue[INDEX[from]]);
    if (due !== Infinity) connection.lastDue[INDEX[from]] = due;
    if (ticket !== 0) this.decided.push({ ticket, due });
  };

  get counts(): RuleCounts[] {
    return this.rules.map(({ id, matched, applied }) => ({ id, matched, applied }));
  }

  /**
   * Whether no rule matches any segment of a superpacket, and nothing else is to happen to it. Then it need not be
   * judged, and its connection need not be known: a superpacket does not open a connection.
   */
  ignores(superpacket: Frame): boolean {
    if (this.silentUntil > 0 || this.hasStates) return false;
    const data = Frame.dataOf(superpacket);
    return this.rules.every(({ matcher }) => matcher.ignores(data));
  }

  /**
   * Decides on a frame that came at `now`, in milliseconds. Null means that it passes unchanged. The decision is valid
   * until the next call, and its frames are not copied.
   */
  judge(frame: Frame, now: number): Decision | null {
    const { judged, decision, connections } = this;
    if (this.silentUntil > 0 && now >= this.silentUntil) this.silentUntil = 0;
    if (this.lines.length > 0) this.advance(now);
    const data = Frame.dataOf(frame);
    const connection = this.isOneWire ? (this.wire ??= connections.oneForAll(now)) : connections.of(data, now);
    judged.frame = frame;
    judged.data = data;
    judged.connection = connection;
    judged.from = connections.from;
    judged.now = now;
    judged.serial++;
    this.ticket = 0;
    let decided = false;
    for (let i = 0; i < this.rules.length; i++) {
      const rule = this.rules[i] as ReadyRule;
      const n = rule.matcher.matches(judged);
      if (n === 0) continue;
      if (!decided) decision.reset();
      decided = true;
      rule.matched++;
      if (!decision.drop) this.apply(rule, n);
    }
    const state = connection.memory[0] as State | undefined;
    if (decided) return this.settle(state);
    if (state === undefined && now >= this.silentUntil) return null;
    decision.reset();
    return this.settle(state);
  }

  private apply(rule: ReadyRule, n: number): void {
    const { judged, decision } = this;
    const what = { rule: rule.id, connection: judged.connection.number, n };
    let happened = false;
    for (const effect of rule.effects) {
      const text = effect({ judged, decision, what });
      if (text !== null) this.note(rule.id, n, text);
      happened ||= text !== null;
      if (decision.drop) break;
    }
    if (happened) rule.applied++;
    if (decision.silences) this.stateOf(judged.connection).silencedBy ||= rule.id;
    if (decision.cutMs === 0) return;
    this.silentUntil = Math.max(this.silentUntil, judged.now + decision.cutMs);
    this.silencedBy = rule.id;
    this.silencedFor = decision.losesCarrier ? 'carrier' : 'cut';
    if (decision.losesCarrier) this.carrierLossMs = decision.cutMs;
    decision.cutMs = 0;
    decision.losesCarrier = false;
  }

  /** Returns `carrierLossMs`, and sets it back to 0. */
  takeCarrierLoss(): number {
    const ms = this.carrierLossMs;
    this.carrierLossMs = 0;
    return ms;
  }

  /** Takes into account what earlier frames have begun, and the frames that wait for this one. */
  private settle(state: State | undefined): Decision | null {
    const { decision, judged } = this;
    if (!decision.drop) this.silence(state);
    if (decision.drop) return decision;
    if (decision.heldBy > 0) this.hold(judged.connection);
    else state?.held[INDEX[judged.from]]?.pass(this.released);
    if (decision.queued !== null) this.queue(decision.queued);
    else if (decision.ordered && !decision.unordered) this.keepOrder(judged.connection);
    return decision;
  }

  private silence(state: State | undefined): void {
    const { decision, judged } = this;
    const by = judged.now < this.silentUntil ? this.silencedBy : (state?.silencedBy ?? 0);
    if (by === 0) return;
    decision.reset();
    decision.drop = true;
    this.note(by, 0, judged.now < this.silentUntil ? this.silencedFor : 'blackhole');
  }

  private hold(connection: Connection): void {
    const { decision, judged } = this;
    this.ticket = ++this.tickets;
    decision.delayMs += decision.heldMs;
    decision.unordered = true;
    const held = (this.stateOf(connection).held[INDEX[judged.from]] ??= new Overtaking());
    held.add(this.ticket, decision.heldBy, judged.now + decision.delayMs, judged.now);
  }

  /** Names the frame, so that it can be dropped later; not if it waits for other frames, too. */
  private queue(frame: QueuedFrame): void {
    const { decision } = this;
    frame.moreMs = decision.delayMs - decision.queuedMs;
    if (this.ticket === 0) frame.ticket = this.ticket = ++this.tickets;
  }

  /** Makes the frame arrive no earlier than those before it. */
  private keepOrder({ lastDue }: Connection): void {
    const { decision, judged } = this;
    const direction = INDEX[judged.from];
    const due = Math.max(judged.now + decision.delayMs, lastDue[direction]);
    decision.delayMs = due - judged.now;
    lastDue[direction] = due;
  }

  private stateOf({ memory }: Connection): State {
    this.hasStates = true;
    return (memory[0] ??= { silencedBy: 0, held: [null, null] } satisfies State) as State;
  }

  private note(rule: number, n: number, effect: string): void {
    if (this.log !== null)
      this.log({ time: this.timeOf(this.judged.now), ...this.describe(this.judged, rule, n, effect) });
  }

  private describe(judged: Judged, rule: number, n: number, effect: string): Omit<Fault, 'time'> {
    const { connection, from } = judged;
    return { rule, connection: connection.label, from, n, frame: brief(judged, this.connections), effect };
  }

  private timeOf(now: number): number {
    return (this.clockStart + now) / 1000;
  }
}
