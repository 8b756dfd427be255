// SPDX-License-Identifier: MIT
/**
 * poll(budget) with a hook in it: the records are judged first, which makes a plan; then the plan
 * is sent as the plain poller sends records. What the socket does not take now stays planned: a
 * hook sees each frame once.
 */
import type { Arena } from '../hooks/arena';
import type { Injections } from '../hooks/injections';
import type { Judge } from '../hooks/judge';
import { Ledger } from '../hooks/ledger';
import type { Plan } from '../hooks/plan';
import { frameMark, VITALS } from '../hooks/vitals';
import { backlogDropsOfMachine } from './backlog';
import type { Batch } from './batch';
import type { Fates } from './fates';
import { BATCH, CONTROL, VNET_HDR_BYTES } from './layout';
import type { FrameSender } from './packet-socket';
import { canPassLater, fateOf, increment, mayBeImpossible, POLLS_UNTIL_SUSPECT, reasonFor, TRIES_PER_POLL, type Ring } from './poller';
import type { QueueGate } from './queue-gate';
import type { SharedWords } from './shared-memory';

export interface HookedPollerParts {
  ring: Ring;
  control: SharedWords;
  /** For BATCH.max messages. */
  batch: Batch;
  sender: FrameSender;
  gate: QueueGate;
  arena: Arena;
  plan: Plan;
  judge: Judge;
  injections: Injections;
  /** Words of VITALS. */
  vitals: Int32Array;
  /** frameMark() of frames that no hook is shown any more: threads ended over them. */
  deadly: readonly number[];
}

/** What judging one record may take of the arena: copies of its pieces, of it, and what takes their place. */
const ARENA_PER_RECORD = 2 << 20;
/** Kept for records when many injected frames wait. */
const HALF_OF_PLAN = BATCH.max / 2;

export class HookedPoller {
  /** As in Poller. */
  blocked = false;
  linkDown = false;
  impaired = false;
  /** As in Poller. */
  fates: Fates | null = null;
  private blockedPolls = 0;
  private polls: number;
  private budgetExhausted: number;
  private readonly ledger: Ledger;

  constructor(
    private readonly parts: HookedPollerParts,
    readonly budget: number,
  ) {
    const { control, plan, arena } = parts;
    this.polls = control.get64(CONTROL.polls);
    this.budgetExhausted = control.get64(CONTROL.budgetExhausted);
    plan.clear();
    arena.reset();
    this.ledger = new Ledger(control, plan);
  }

  /** Frames wait that are not in the ring: planned or injected ones. */
  get hasMore(): boolean {
    return this.ledger.hasMore || this.parts.injections.length > 0;
  }

  /** Judges and sends up to `budget` records; returns how many left the ring. */
  poll(): number {
    return this.turn(this.budget, null);
  }

  /** Deals with the next record as somebody has said; 'pass' leaves it to the hook. False if there is none. */
  step(verdict: 'pass' | 'drop' | Uint8Array): boolean {
    while (this.ledger.hasMore) if (this.turn(0, null) === 0 && this.blocked) return false;
    return this.turn(1, verdict) === 1;
  }

  /** The next record, as a copy; null if there is none. */
  peek(): { bytes: Uint8Array; superpacket: boolean } | null {
    const { ring, judge } = this.parts;
    if (this.ledger.hasMore) return null;
    const leased = ring.lease(1);
    const frame = leased > 0 ? judge.copyOf(ring.offsets[0] as number) : null;
    ring.commit(0);
    return frame;
  }

  count(offset: number): void {
    increment(this.parts.control, offset);
  }

  private turn(budget: number, verdict: 'pass' | 'drop' | Uint8Array | null): number {
    const { ring, control, batch, gate } = this.parts;
    const { ledger } = this;
    // What is planned already is leased again, so that it can be released as it is sent.
    if (ledger.hasMore) ring.lease(ledger.recordsLeft);
    else this.compose(ring.lease(budget), verdict);
    const records = ledger.recordsLeft;
    const { drained } = ledger;
    const first = this.parts.plan.total.records - records;
    this.blocked = false;
    const done = records > 0 || ledger.hasMore ? this.send() : 0;
    if (this.fates !== null && done > 0) this.tell(this.fates, first, done, drained);
    ring.commit(done); // with 0: lets go of discarded records
    if (records > 0) control.set64(CONTROL.polls, ++this.polls);
    ledger.publish();
    batch.end();
    if (done > 0 && done === this.budget) control.set64(CONTROL.budgetExhausted, ++this.budgetExhausted);
    gate.update(ledger.drained);
    return done;
  }

  /** Judges records until the budget is used up, or the plan or the arena is full. */
  private compose(leased: number, verdict: 'pass' | 'drop' | Uint8Array | null): void {
    const { ring, plan, arena, judge, vitals, deadly } = this.parts;
    this.ledger.startAnew();
    arena.reset();
    this.takeInjections(HALF_OF_PLAN);
    for (let i = 0; i < leased; i++) {
      const offset = ring.offsets[i] as number;
      if (plan.room < judge.messagesFor(offset) || arena.free < ARENA_PER_RECORD) return;
      const mark = frameMark(this.ledger.drained + i);
      if (deadly.length > 0 && deadly.includes(mark)) judge.decided('drop');
      else if (verdict === null || verdict === 'pass') {
        vitals[VITALS.judging] = mark;
        judge.record(offset);
        vitals[VITALS.judging] = 0;
      } else judge.decided(verdict);
      this.takeInjections(0);
    }
  }

  /** Enters frames that wait into the plan, but leaves that many of its places free. */
  private takeInjections(leave: number): void {
    const { injections, plan, arena } = this.parts;
    for (let frame = injections.peek(); frame; frame = injections.peek()) {
      if (plan.room <= leave || arena.free < ARENA_PER_RECORD) return;
      plan.countInjected();
      plan.send(arena.addressOf(arena.copy(frame)), VNET_HDR_BYTES + frame.length, true);
      injections.shift();
    }
  }

  /** Sends what is left of the plan; returns how many records are done with. */
  private send(): number {
    const { batch, ring, sender, control } = this.parts;
    const { ledger } = this;
    const first = ledger.sent;
    ledger.begin(batch, ring.consumerPosition());
    const left = batch.count;
    let done = 0;
    let tries = 0;
    const suspect = !this.impaired && this.blockedPolls >= POLLS_UNTIL_SUSPECT;
    const dropsBefore = suspect ? backlogDropsOfMachine() : 0;
    while (done < left) {
      const result = sender.send(batch.address(done), left - done);
      if (result > 0) {
        if (this.impaired && result < left - done) this.count(CONTROL.enobufs); // as in the plain poller
        ledger.received(first + done, first + done + result);
        done += result;
      } else if (canPassLater(result, control)) {
        if (this.linkDown) {
          this.refuse(first, done++, CONTROL.refusedDown);
        } else if (++tries > TRIES_PER_POLL) {
          // As in the plain poller; it knows which frames ask for something, here any may be one.
          if (suspect && done === 0 && mayBeImpossible(result) && backlogDropsOfMachine() === dropsBefore) {
            this.refuse(first, done++, CONTROL.refusedInvalid);
          } else {
            this.blocked = true;
          }
          break;
        }
      } else {
        this.refuse(first, done++, reasonFor(result));
      }
    }
    this.blockedPolls = done > 0 || !this.blocked ? 0 : this.blockedPolls + 1;
    return ledger.settle(first + done);
  }

  /** Of so many records of the plan, from `first` on, the first that are leased. */
  private tell(fates: Fates, first: number, done: number, drained: number): void {
    const { ring, plan, judge } = this.parts;
    const now = fates.now();
    for (let i = 0; i < done; i++) {
      const stamp = judge.stampOf(ring.offsets[i] as number);
      fates.note(drained + i, stamp, plan.fates[first + i] as number, plan.pieces[first + i] as number, now);
    }
    fates.publish();
  }

  /** Message `index` of the batch, which begins with message `first` of the plan. */
  private refuse(first: number, index: number, reason: number): void {
    this.parts.batch.refused(index);
    this.parts.plan.refused(first + index, fateOf(reason));
    this.count(reason);
    this.count(CONTROL.reinjectErrors);
  }
}
