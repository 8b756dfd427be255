// SPDX-License-Identifier: MIT
/**
 * poll(budget) with a hook: the records are judged first, which makes a plan; then the plan is sent as the plain poller
 * sends records. Frames that the socket does not take now stay planned, so a hook sees each frame once. Delayed frames
 * that are due come first; they leave their memory only once everything planned before has been sent.
 */
import { OUTCOME, type OutcomeWriter } from '../datapath/outcomes';
import type { UnsentFrame } from '../datapath/packet-socket';
import type { Ring } from '../datapath/poller';
import type { QueueGate } from '../datapath/queue-gate';
import { outcomeOf, Transmitter, type TransmitterParts } from '../datapath/transmitter';
import { BATCH, CONTROL, VNET_HDR_BYTES } from '../layout';
import { clock } from '../native/clock';
import { frameMark, VITALS } from './event-loop';
import type { Injections } from './host';
import type { Judge } from './judge';
import { type Arena, Ledger, type Plan } from './plan';
import type { WaitingFrames } from './waiting';

/** The batch has space for BATCH.max messages. */
export interface HookedPollerParts extends TransmitterParts {
  ring: Ring;
  gate: QueueGate;
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

export class HookedPoller extends Transmitter {
  /** As in Poller. */
  readonly budget: number;
  outcomes: OutcomeWriter | null = null;
  private readonly unsent: UnsentFrame;
  private polls: number;
  private budgetExhausted: number;
  private readonly ledger: Ledger;
  /** The message of the plan with which the batch begins. */
  private first = 0;
  /** Whether records had to stay in the ring because there is no memory left for delayed frames. */
  private starved = false;

  constructor(private readonly parts: HookedPollerParts) {
    super(parts);
    const { options, control, plan, arena } = parts;
    this.budget = options.budget;
    this.polls = control.get64(CONTROL.polls);
    this.budgetExhausted = control.get64(CONTROL.budgetExhausted);
    plan.clear();
    arena.reset();
    this.ledger = new Ledger(control, plan);
    this.unsent = { memory: parts.data, at: 0, length: 0 };
  }

  /** Whether frames that are not in the ring must be sent now: planned, injected or hastened ones. */
  get hasMore(): boolean {
    const { injections, waiting } = this.parts;
    return this.ledger.hasMore || injections.length > 0 || waiting.due === AT_ONCE;
  }

  /** While the socket takes no frames, none is due. */
  override get due(): number {
    return this.ledger.hasMore ? Infinity : this.parts.waiting.due;
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
    while (this.ledger.hasMore) if (this.turn(0, null) === 0 && this.blocked) return false;
    return this.turn(1, verdict) === 1;
  }

  /** A copy of the next record; null if there is none. */
  peek(): { bytes: Uint8Array; superpacket: boolean } | null {
    const { ring, judge } = this.parts;
    if (this.ledger.hasMore) return null;
    const leased = ring.lease(1);
    const frame = leased > 0 ? judge.copyOf(ring.offsets[0] as number) : null;
    ring.commit(0);
    return frame;
  }

  private turn(budget: number, verdict: 'pass' | 'drop' | Uint8Array | null): number {
    const { ring, control, batch, gate } = this.parts;
    const { ledger } = this;
    // Planned records are leased again, so that they can be released as they are sent.
    if (ledger.hasMore) ring.lease(ledger.recordsLeft);
    else this.compose(ring.lease(budget), verdict);
    const records = ledger.recordsLeft;
    const { drained } = ledger;
    const { plan } = this.parts;
    const first = plan.total.records - records;
    this.blocked = false;
    // Frames that were injected with a delay are counted without a message.
    const done = records > 0 || ledger.hasMore || plan.total.delayed > 0 ? this.send() : 0;
    if (this.starved) this.blocked = true;
    if (this.outcomes !== null && done > 0) this.tell(this.outcomes, first, done, drained);
    ring.commit(done); // with 0: releases discarded records
    if (records > 0) control.set64(CONTROL.polls, ++this.polls);
    ledger.publish();
    batch.end();
    if (done > 0 && done === this.budget) control.set64(CONTROL.budgetExhausted, ++this.budgetExhausted);
    gate.update(ledger.drained);
    return done;
  }

  /** Judges records until the budget is used up, or the plan or the arena is full. */
  private compose(leased: number, verdict: 'pass' | 'drop' | Uint8Array | null): void {
    const { ring, plan, arena, judge, vitals, deadly, waiting } = this.parts;
    this.ledger.startAnew();
    this.starved = false;
    arena.reset();
    if (waiting.length > 0) this.takeDue(clock.now(), HALF_OF_PLAN);
    this.takeInjections(HALF_OF_PLAN);
    for (let i = 0; i < leased; i++) {
      const offset = ring.offsets[i] as number;
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
      if (injections.due > 0 ? !this.keep(frame, injections.due) : !this.inject(frame)) return;
      injections.shift();
    }
  }

  private inject(frame: Uint8Array): boolean {
    const { plan, arena } = this.parts;
    plan.countInjected();
    plan.send(arena.addressOf(arena.copy(frame)), VNET_HDR_BYTES + frame.length, true);
    return true;
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
