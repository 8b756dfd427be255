// SPDX-License-Identifier: MIT
/**
 * poll(budget) with a hook: the records are judged first, which makes a plan; then the plan is sent. Frames that the
 * socket does not take now stay planned, so a hook sees each frame once. Delayed frames that are due come first; they
 * leave their memory only once everything planned before has been sent.
 *
 * If all records pass as they are, no plan is needed: the plain poller sends them, as it does without a hook.
 */
import { OUTCOME, type OutcomeWriter } from '../datapath/outcomes';
import type { UnsentFrame } from '../datapath/packet-socket';
import type { Poller, Ring } from '../datapath/poller';
import type { QueueGate } from '../datapath/queue-gate';
import { increment } from '../datapath/shared-memory';
import { outcomeOf, Transmitter, type TransmitterParts } from '../datapath/transmitter';
import { BATCH, CONTROL, VNET_HDR_BYTES } from '../layout';
import { clock } from '../native/clock';
import { frameMark, VITALS } from './event-loop';
import type { HookHost, Injections } from './host';
import type { Judge } from './judge';
import { type Arena, Ledger, type Plan } from './plan';
import type { WaitingFrames } from './waiting';

/** The batch has space for BATCH.max messages. */
export interface HookedPollerParts extends TransmitterParts {
  ring: Ring;
  gate: QueueGate;
  /** Sends what passes; it works on the same queue, and on the same batch. */
  plain: Poller;
  host: HookHost;
  arena: Arena;
  plan: Plan;
  judge: Judge;
  injections: Injections;
  waiting: WaitingFrames;
  /** The ring's data, mapped twice in a row, and its address. */
  data: Uint8Array;
  dataAddress: number;
  /** Words of VITALS. */
  vitals: Int32Array;
  /** frameMark() of frames that no hook is shown again: threads ended while judging them. */
  deadly: readonly number[];
}

/** Bytes of the arena that judging one record may take: copies of it, of its pieces, and of their replacements. */
const ARENA_PER_RECORD = 2 << 20;
/** Messages kept for records when many injected frames wait, or many frames are due. */
const HALF_OF_PLAN = BATCH.max / 2;
/** The time at which a hastened frame is due. */
const AT_ONCE = -Infinity;

/** What is to happen to a record; null leaves it to the hook. */
type Verdict = 'pass' | 'drop' | Uint8Array | null;

export class HookedPoller extends Transmitter {
  /** As in Poller. */
  readonly budget: number;
  outcomes: OutcomeWriter | null = null;
  private readonly unsent: UnsentFrame;
  private readonly ledger: Ledger;
  /** The first records of the ring that have been judged and pass as they are. */
  private passing = 0;
  /** Whether the plain poller wrote the counters last. */
  private plainCounts = false;
  /** The message of the plan with which the batch begins. */
  private first = 0;
  /** Whether records had to stay in the ring, or injected frames in their queue: no memory is left for delayed ones. */
  private starved = false;

  constructor(private readonly parts: HookedPollerParts) {
    super(parts);
    const { options, control, plan, arena } = parts;
    this.budget = options.budget;
    plan.clear();
    arena.reset();
    this.ledger = new Ledger(control, plan);
    this.unsent = { memory: parts.data, at: 0, length: 0 };
  }

  /** Whether frames must be sent now that are not in the ring, or that have been judged: planned, injected ... */
  get hasMore(): boolean {
    const { injections, waiting } = this.parts;
    return this.isBehind || injections.length > 0 || waiting.due === AT_ONCE;
  }

  /** Whether judged frames have not been sent yet. */
  private get isBehind(): boolean {
    return this.ledger.hasMore || this.passing > 0;
  }

  /** While the socket takes no frames, none is due. */
  override get due(): number {
    return this.isBehind ? Infinity : Math.min(this.parts.waiting.due, this.parts.host.decidesAt);
  }

  override get hasWaiting(): boolean {
    return this.parts.waiting.length > 0;
  }

  override hasten(): void {
    this.parts.waiting.hastenAll();
  }

  override deliver(): void {
    this.turn(0, null);
  }

  /** Judges and sends up to `budget` records; returns how many left the ring. */
  poll(): number {
    return this.turn(this.budget, null);
  }

  /** Handles the next record by the verdict given; 'pass' leaves it to the hook. False if there is no record. */
  step(verdict: 'pass' | 'drop' | Uint8Array): boolean {
    while (this.isBehind) if (this.turn(this.passing, null) === 0 && this.blocked) return false;
    return this.turn(1, verdict) === 1;
  }

  /** Sends what is judged or injected, as far as the socket takes it. While the loop is paused, no turn does. */
  flush(): void {
    while (this.isBehind) if (this.turn(this.passing, null) === 0 && this.blocked) return;
    if (this.parts.injections.length > 0) this.turn(0, null);
  }

  /** A copy of the next record; null if there is none, or if the socket does not take those before it. */
  peek(): { bytes: Uint8Array; superpacket: boolean } | null {
    const { ring, judge } = this.parts;
    this.flush();
    if (this.isBehind) return null;
    const leased = ring.lease(1);
    const frame = leased > 0 ? judge.copyOf(ring.offsets[0] as number) : null;
    ring.commit(0);
    return frame;
  }

  private turn(budget: number, verdict: Verdict): number {
    const { ring, plain, plan, host } = this.parts;
    const { ledger } = this;
    plain.follow(this);
    this.blocked = false;
    // Planned records are leased again, so that they can be released as they are sent.
    if (ledger.hasMore) {
      ring.lease(ledger.recordsLeft);
      return this.carryOut();
    }
    if (this.passing > 0 && budget > 0) return this.sendPassing(ring.lease(this.passing));
    const leased = ring.lease(this.passing > 0 ? 0 : budget);
    this.starved = false;
    const now = clock.now();
    host.decide(now);
    const unseen = verdict === null && this.isQuiet(now) ? this.unseenOf(leased) : 0;
    if (leased > 0 && unseen === leased) this.passing = leased;
    else {
      this.takeCounters(false);
      this.compose(leased, unseen, verdict, now);
      if (!plan.passesAll) return this.carryOut();
      this.passing = plan.total.records;
      ledger.startAnew();
    }
    return this.sendPassing(this.passing);
  }

  /** Whether nothing but records of the ring is to be sent, and all of them may be judged. */
  private isQuiet(now: number): boolean {
    const { injections, waiting, deadly } = this.parts;
    const isNoneDue = waiting.discarded === 0 && (waiting.length === 0 || waiting.due > now);
    return isNoneDue && injections.length === 0 && deadly.length === 0;
  }

  /** How many of the first leased records pass without being shown. */
  private unseenOf(leased: number): number {
    const { ring, judge, host } = this.parts;
    const { concerns } = host;
    let i = 0;
    if (concerns !== null) while (i < leased && judge.passesUnseen(ring.offsets[i] as number, concerns)) i++;
    return i;
  }

  /** Has the plain poller send the first `leased` records, which are leased; returns how many left the ring. */
  private sendPassing(leased: number): number {
    const { plain } = this.parts;
    this.takeCounters(true);
    const done = plain.drain(leased);
    this.passing = leased - done;
    this.blocked = plain.blocked || this.starved;
    return done;
  }

  /** Sends the rest of the plan, and releases its records that are leased; returns how many left the ring. */
  private carryOut(): number {
    const { ring, control, batch, gate, plan } = this.parts;
    const { ledger } = this;
    const records = ledger.recordsLeft;
    const { drained } = ledger;
    const first = plan.total.records - records;
    // Frames that were injected with a delay, or dropped while they waited, are counted without a message.
    const counts = plan.total.delayed + plan.total.released > 0;
    const done = records > 0 || ledger.hasMore || counts ? this.send() : 0;
    if (this.starved) this.blocked = true;
    if (this.outcomes !== null && done > 0) this.tell(this.outcomes, first, done, drained);
    ring.commit(done); // with 0: releases discarded records
    if (records > 0) increment(control, CONTROL.polls);
    ledger.publish();
    batch.end();
    if (done > 0 && done === this.budget) increment(control, CONTROL.budgetExhausted);
    gate.update(ledger.drained);
    return done;
  }

  /** Lets the plain poller or the ledger go on from what the other has counted. */
  private takeCounters(plain: boolean): void {
    if (plain === this.plainCounts) return;
    this.plainCounts = plain;
    if (plain) this.parts.plain.readCounters();
    else this.ledger.readCounters();
  }

  /**
   * Judges records until the budget is used up, or the plan or the arena is full. The first `unseen` are known to pass.
   * `now` is the time.
   */
  private compose(leased: number, unseen: number, verdict: Verdict, now: number): void {
    const { ring, plan, arena, judge, host, vitals, deadly, waiting } = this.parts;
    this.ledger.startAnew();
    arena.reset();
    host.now = now;
    for (; waiting.discarded > 0; waiting.discarded--) plan.discard();
    if (waiting.length > 0) this.takeDue(now, HALF_OF_PLAN);
    this.takeInjections(HALF_OF_PLAN);
    const concerns = verdict === null && deadly.length === 0 ? host.concerns : null;
    for (let i = 0; i < leased; i++) {
      const offset = ring.offsets[i] as number;
      if (i < unseen || (concerns !== null && judge.passesUnseen(offset, concerns))) {
        if (plan.space === 0) return;
        judge.pass(offset);
        continue;
      }
      if (plan.space < judge.messagesFor(offset) || arena.free < ARENA_PER_RECORD) return;
      if (!judge.canWait(offset)) {
        this.starved = true;
        return;
      }
      const mark = frameMark(this.ledger.drained + i);
      if (deadly.length > 0 && deadly.includes(mark)) judge.decided('drop');
      else if (verdict === null || verdict === 'pass') {
        vitals[VITALS.judging] = mark;
        judge.record(offset);
        vitals[VITALS.judging] = 0;
      } else judge.decided(verdict);
      if (waiting.due === AT_ONCE) this.takeDue(AT_ONCE, 0);
      this.takeInjections(0);
    }
  }

  /** Enters frames that are due at `now` into the plan, but leaves `leave` of its messages free. */
  private takeDue(now: number, leave: number): void {
    const { waiting, plan, arena } = this.parts;
    for (let bytes = waiting.ready(now); bytes > 0; bytes = waiting.ready(now)) {
      if (plan.space <= leave || arena.free < ARENA_PER_RECORD) return;
      const frame = arena.take(bytes - VNET_HDR_BYTES);
      waiting.take(arena.bytes.subarray(frame.byteOffset - VNET_HDR_BYTES, frame.byteOffset + frame.length));
      plan.countReleased();
      plan.send(arena.addressOf(frame), bytes, true);
    }
  }

  /** Enters waiting frames into the plan, but leaves `leave` of its messages free. */
  private takeInjections(leave: number): void {
    const { injections, plan, arena } = this.parts;
    for (let frame = injections.peek(); frame; frame = injections.peek()) {
      if (plan.space <= leave || arena.free < ARENA_PER_RECORD) return;
      if (injections.due === 0) this.inject(frame);
      else if (!this.keep(frame, injections.due)) {
        // There is space once a frame is due; until then, polling again would lead nowhere.
        this.starved = true;
        return;
      }
      injections.shift();
    }
  }

  private inject(frame: Uint8Array): void {
    const { plan, arena } = this.parts;
    plan.countInjected();
    plan.send(arena.addressOf(arena.copy(frame)), VNET_HDR_BYTES + frame.length, true);
  }

  /** Delays an injected frame; false if there is no space for it. */
  private keep(frame: Uint8Array, due: number): boolean {
    const { plan, arena, waiting } = this.parts;
    if (!waiting.fits(1, VNET_HDR_BYTES + frame.length)) return false;
    const mark = arena.mark();
    const copy = arena.copy(frame);
    waiting.add(arena.bytes, copy.byteOffset - VNET_HDR_BYTES, VNET_HDR_BYTES + frame.length, due);
    arena.release(mark);
    plan.countInjected();
    plan.countDelayed();
    return true;
  }

  /** Sends the rest of the plan; returns how many records are done with. */
  private send(): number {
    const { batch, ring } = this.parts;
    const { ledger } = this;
    this.first = ledger.sent;
    ledger.begin(batch, ring.consumerPosition());
    return ledger.settle(this.first + this.transmit());
  }

  /** In the ring or in the arena. */
  unsentFrame(message: number): UnsentFrame {
    const { plan, arena, data, dataAddress } = this.parts;
    const { unsent } = this;
    const index = this.first + message;
    const address = plan.addresses[index] as number;
    const inRing = address >= dataAddress && address < dataAddress + data.length;
    unsent.memory = inRing ? data : arena.bytes;
    unsent.at = inRing ? address - dataAddress : arena.offsetOf(address);
    unsent.length = (plan.bytes[index] as number) - VNET_HDR_BYTES;
    return unsent;
  }

  /** Tells a recorder of `done` records of the plan, from `first` on: the first that are leased. */
  private tell(outcomes: OutcomeWriter, first: number, done: number, drained: number): void {
    const { ring, plan, judge } = this.parts;
    const now = outcomes.now();
    for (let i = 0; i < done; i++) {
      const stamp = judge.stampOf(ring.offsets[i] as number);
      for (; plan.faultsTold < plan.faultCount && plan.recordOfFault[plan.faultsTold] === first + i; plan.faultsTold++)
        outcomes.note(drained + i, stamp, OUTCOME.fault, plan.faults[plan.faultsTold] as number, now);
      outcomes.note(drained + i, stamp, plan.outcomes[first + i] as number, plan.pieces[first + i] as number, now);
    }
    outcomes.publish();
  }

  /** Tells a recorder, if there is one, of a fault of the record being judged; a value of faultOf(). */
  noteFault(fault: number): void {
    if (this.outcomes !== null) this.parts.plan.noteFault(fault);
  }

  protected received(from: number, to: number): void {
    this.ledger.received(this.first + from, this.first + to);
  }

  protected refuse(message: number, reason: number): void {
    const { batch, plan, control } = this.parts;
    batch.refuse(message, reason, 1, control);
    plan.refused(this.first + message, outcomeOf(reason));
  }
}
