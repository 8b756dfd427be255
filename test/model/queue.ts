// SPDX-License-Identifier: MIT
/**
 * The queue by itself: two senders, a ring, one poller; how the poller is woken, and with --when-full drop how the
 * queue stops and wakes. Every load, store and locked instruction that others can notice is a step.
 *
 * Memory is that of x86: each processor has a store buffer, first in, first out. Plain stores wait in it, locked
 * instructions empty it first, loads do not wait for it. `memory` processes empty them at any time. The ring's spin
 * lock is released by a plain store behind that of the producer position, so while the latter waits no other CPU
 * reserves.
 */
import type { Model, Step } from './checker';
import { append, fields, length, list, replace, shift } from './fields';

export type QueueMutation =
  | 'no fence before the look at armed'
  | 'no fence after arming'
  | 'no second look at the ring'
  | 'no second look at the gate'
  | 'no second look after stopping'
  | 'no doorbell'
  | 'doorbell disarms first'
  | 'woken without compare-and-swap'
  | 'sender wakes without compare-and-swap'
  | 'submitted before it is copied'
  | 'stops counted by everybody';

export interface QueueSetting {
  /**
   * What each sender does: a frame, or news that only a doorbell announces, such as a frame that went to the waiting
   * room.
   */
  scripts: readonly (readonly ('frame' | 'news')[])[];
  /** Records that the ring takes, doorbells aside. */
  ring: number;
  mutation?: QueueMutation;
}

const SENDERS = 2;
const RING_MAX = 5;
const BUFFER_MAX = 2;

const { field, size } = fields();
const FAULT = field();
const S = field();
const STOPS = field();
const WAKES = field();
const ARMED = field();
const WAKE = field(); // epoll has something for the poller
const RING = field(RING_MAX); // from the consumer position in memory on
const TAKEN = field(); // records the poller is done with, its position still in its buffer
const BUFFER = field(3 * BUFFER_MAX);
const PC = field(3);
const NEXT = field(SENDERS);
const FLAG = field(SENDERS);
const DONE = field();
const LAST = field(SENDERS);
const DELIVERED = field();
const REFUSED = field();

const BUSY = 128;
const BELL = 64;
const code = (sender: number, index: number): number => 1 | (sender << 1) | (index << 2);
const senderOf = (record: number): number => (record >> 1) & 1;
const indexOf = (record: number): number => (record >> 2) & 7;

/** Stores that wait. */
const PRODUCER = 1;
const DISARM = 2;
const CONSUMER = 3;
const ARM = 4;

const POLLER = 2;
const MEMORY = 3;

const T = {
  look: 0,
  reserve: 1,
  place: 2,
  armed: 3,
  disarm: 4,
  submit: 5,
  close: 6,
  seeGate: 7,
  seeRing: 8,
  swap: 9,
  news: 10,
  bellArmed: 11,
  bellReserve: 12,
  bellDisarm: 13,
  bell: 14,
  done: 15,
};
const P = { poll: 0, gate: 1, fill: 2, swap: 3, arm: 4, seeGate: 5, seeRing: 6, disarm: 7, asleep: 8 };

export const QUEUE_PROPERTIES = {
  order: 'a flow keeps its order',
  once: 'a frame is delivered or refused, once',
  whole: 'the poller sees no record that is still being written',
  stops: 'stops = wakes at rest',
};
const BY_NUMBER = ['', QUEUE_PROPERTIES.order, QUEUE_PROPERTIES.whole];
const ORDER = 1;
const WHOLE = 2;

export class Queue implements Model {
  readonly bytes = size();
  readonly processes = ['sender A', 'sender B', 'poller', 'memory A', 'memory B', 'memory of the poller'];

  constructor(private readonly setting: QueueSetting) {}

  start(s: Uint8Array): void {
    this.setting.scripts.forEach((script, sender) => (s[PC + sender] = first(script[0])));
  }

  next(s: Uint8Array, step: Step): void {
    for (let sender = 0; sender < SENDERS; sender++) this.sender(s, sender, step);
    this.poller(s, step);
    for (let cpu = 0; cpu < 3; cpu++) this.memory(s, cpu, step);
  }

  private is(mutation: QueueMutation): boolean {
    return this.setting.mutation === mutation;
  }

  private sender(s: Uint8Array, sender: number, step: Step): void {
    const script = this.setting.scripts[sender] as readonly ('frame' | 'news')[];
    const index = s[NEXT + sender] as number;
    const record = code(sender, index);
    const pc = s[PC + sender];
    /** A locked instruction waits until the stores before it can be seen. */
    const drained = s[BUFFER + sender * BUFFER_MAX] === 0;
    const go = (label: string, to: number): Uint8Array => {
      const n = step(sender, label, record);
      n[PC + sender] = to;
      return n;
    };
    const finish = (n: Uint8Array): void => {
      n[NEXT + sender]!++;
      n[FLAG + sender] = 0;
      n[PC + sender] = first(script[index + 1]);
    };
    const store = (n: Uint8Array, what: number): void => append(n, BUFFER + sender * BUFFER_MAX, BUFFER_MAX, what);
    switch (pc as number) {
      case T.look:
        if (!s[S]) {
          go('finds the queue running for %', T.reserve);
          return;
        }
        this.refuse(go('finds the queue stopped, refuses %', 0), finish);
        return;
      case T.reserve: {
        if (isLocked(s) || !drained) return;
        if (records(s) >= this.setting.ring) {
          go('finds no place for %', T.close);
          return;
        }
        const n = go('reserves for %', this.is('no fence before the look at armed') ? T.armed : T.place);
        append(n, RING, RING_MAX, this.is('submitted before it is copied') ? record : record | BUSY);
        store(n, PRODUCER);
        return;
      }
      case T.place:
        if (drained) go('takes its place, a fence', T.armed);
        return;
      case T.armed:
        go(s[ARMED] ? 'sees armed' : 'sees not armed', s[ARMED] ? T.disarm : T.submit);
        return;
      case T.disarm: {
        const n = go('stores armed = 0', T.submit);
        store(n, DISARM);
        n[FLAG + sender] = 1;
        return;
      }
      case T.submit: {
        if (!drained) return;
        const n = go(s[FLAG + sender] ? 'submits % and wakes the poller' : 'submits %', 0);
        replace(n, RING, RING_MAX, record | BUSY, record);
        if (s[FLAG + sender]) n[WAKE] = 1;
        finish(n);
        return;
      }
      case T.close: {
        if (!drained) return;
        const n = go('stops the queue', T.seeGate);
        if (!s[S] || this.is('stops counted by everybody')) n[STOPS]!++;
        n[S] = 1;
        if (this.is('no second look after stopping')) this.refuse(n, finish);
        return;
      }
      case T.seeGate: {
        const n = go(s[S] ? 'sees the queue stopped' : 'sees the queue running', T.seeRing);
        if (!s[S]) this.refuse(n, finish);
        return;
      }
      case T.seeRing: {
        const n = go('reads how full the ring is', T.swap);
        if (length(s, RING, RING_MAX) - (isLocked(s) ? 1 : 0) > 0) this.refuse(n, finish);
        return;
      }
      case T.swap: {
        if (!drained) return;
        const n = go(s[S] ? 'wakes the queue' : 'finds it woken', 0);
        if (s[S] || this.is('sender wakes without compare-and-swap')) n[WAKES]!++;
        n[S] = 0;
        this.refuse(n, finish);
        return;
      }
      case T.news:
        if (drained) addNews(go('has news', T.bellArmed));
        return;
      case T.bellArmed: {
        const n = go(
          s[ARMED] ? 'sees armed' : 'sees not armed',
          this.is('doorbell disarms first') ? T.bellDisarm : T.bellReserve,
        );
        if (!s[ARMED] || this.is('no doorbell')) finish(n);
        return;
      }
      case T.bellReserve: {
        if (isLocked(s) || !drained) return;
        const n = go('reserves the doorbell', this.is('doorbell disarms first') ? T.bell : T.bellDisarm);
        append(n, RING, RING_MAX, record | BELL | BUSY);
        store(n, PRODUCER);
        return;
      }
      case T.bellDisarm:
        store(go('stores armed = 0', this.is('doorbell disarms first') ? T.bellReserve : T.bell), DISARM);
        return;
      case T.bell: {
        if (!drained) return;
        const n = go('rings the doorbell', 0);
        replace(n, RING, RING_MAX, record | BELL | BUSY, record | BELL);
        n[WAKE] = 1;
        finish(n);
        return;
      }
    }
  }

  private refuse(n: Uint8Array, finish: (n: Uint8Array) => void): void {
    n[REFUSED]!++;
    finish(n);
  }

  /** Poller.poll(), QueueGate.update(), PollLoop.complete(). */
  private poller(s: Uint8Array, step: Step): void {
    const drained = s[BUFFER + POLLER * BUFFER_MAX] === 0;
    const go = (label: string, to: number, about = 0): Uint8Array => {
      const n = step(POLLER, label, about);
      n[PC + POLLER] = to;
      return n;
    };
    switch (s[PC + POLLER] as number) {
      case P.poll: {
        const record = visible(s) > (s[TAKEN] as number) ? (s[RING + (s[TAKEN] as number)] as number) : BUSY;
        if (record & BUSY) {
          go('polls, finds nothing', P.gate)[DONE] = 0;
          return;
        }
        if (!drained) return; // the fence in commit()
        const n = go(record & BELL ? 'skips the doorbell' : 'sends %', P.gate, record);
        n[TAKEN]!++;
        append(n, BUFFER + POLLER * BUFFER_MAX, BUFFER_MAX, CONSUMER);
        n[DONE] = record & BELL ? 0 : 1;
        if (!(record & BELL)) this.deliver(n, record);
        return;
      }
      case P.gate: {
        const n = go(s[S] ? 'finds the queue stopped' : 'finds the queue running', P.fill);
        if (!s[S]) goOn(n);
        return;
      }
      case P.fill: {
        const n = go('reads how full the ring is', P.swap);
        if (visible(s) > (s[TAKEN] as number)) goOn(n);
        return;
      }
      case P.swap: {
        if (!drained) return;
        const wakes = s[S] === 1 || this.is('woken without compare-and-swap');
        const n = go(wakes ? 'wakes the queue' : 'finds it woken', P.poll);
        n[S] = 0;
        if (wakes) n[WAKES]!++;
        goOn(n);
        return;
      }
      case P.arm: {
        const weak = this.is('no fence after arming');
        if (!weak && !drained) return;
        const n = go(
          weak ? 'stores armed = 1' : 'arms, a fence',
          this.is('no second look at the gate') ? P.seeRing : P.seeGate,
        );
        if (this.is('no second look at the ring')) n[PC + POLLER] = P.asleep;
        if (weak) append(n, BUFFER + POLLER * BUFFER_MAX, BUFFER_MAX, ARM);
        else n[ARMED] = 1;
        return;
      }
      case P.seeGate:
        go(s[S] ? 'sees the queue stopped' : 'sees the queue running', s[S] ? P.disarm : P.seeRing);
        return;
      case P.seeRing:
        if (visible(s) > (s[TAKEN] as number)) go('sees a record', P.disarm);
        else go('sees the ring empty, sleeps', P.asleep);
        return;
      case P.disarm:
        if (drained) go('disarms', P.poll)[ARMED] = 0;
        return;
      case P.asleep: {
        if (!s[WAKE]) return;
        // epoll asks the ring again, level-triggered, and the loop asks `armed`.
        const awake = visible(s) > (s[TAKEN] as number) && s[ARMED] === 0;
        const n = go(awake ? 'is woken' : 'is woken for nothing, sleeps on', awake ? P.disarm : P.asleep);
        n[WAKE] = 0;
        return;
      }
    }
  }

  /** The oldest store of a processor reaches memory. */
  private memory(s: Uint8Array, cpu: number, step: Step): void {
    const at = BUFFER + cpu * BUFFER_MAX;
    const oldest = s[at] as number;
    if (oldest === 0) return;
    const n = step(
      MEMORY + cpu,
      [
        '',
        'the producer position can be seen',
        'armed = 0 can be seen',
        'the consumer position can be seen',
        'armed = 1 can be seen',
      ][oldest] as string,
    );
    shift(n, at, BUFFER_MAX);
    if (oldest === DISARM) n[ARMED] = 0;
    if (oldest === ARM) n[ARMED] = 1;
    if (oldest !== CONSUMER) return;
    shift(n, RING, RING_MAX);
    n[TAKEN]!--;
  }

  private deliver(n: Uint8Array, record: number): void {
    const sender = senderOf(record);
    const index = indexOf(record) + 1;
    if (index <= (n[LAST + sender] as number)) n[FAULT] = ORDER;
    n[LAST + sender] = index;
    n[DELIVERED]!++;
    // Nothing of the frame is there before its sender has copied it, which it has once it takes its place.
    if (n[NEXT + sender] === indexOf(record) && (n[PC + sender] as number) <= T.place) n[FAULT] = WHOLE;
  }

  broken(s: Uint8Array): string | null {
    if (s[FAULT]) return BY_NUMBER[s[FAULT] as number] as string;
    if (!this.atRest(s)) return null;
    if (s[STOPS] !== s[WAKES]) return QUEUE_PROPERTIES.stops;
    const sent = this.setting.scripts.flat().filter((what) => what === 'frame').length;
    return (s[DELIVERED] as number) + (s[REFUSED] as number) === sent ? null : QUEUE_PROPERTIES.once;
  }

  atRest(s: Uint8Array): boolean {
    if (s[PC] !== T.done || s[PC + 1] !== T.done || s[PC + POLLER] !== P.asleep) return false;
    for (let cpu = 0; cpu < 3; cpu++) if (s[BUFFER + cpu * BUFFER_MAX]) return false;
    return !s[RING] && !s[S] && !s[WAKE];
  }

  name(record: number): string {
    return record & BELL ? 'bell' : `${'AB'[senderOf(record)] as string}${indexOf(record) + 1}`;
  }

  show(s: Uint8Array): string {
    return `stopped ${s[S]}, armed ${s[ARMED]}, ring: ${list(s, RING, RING_MAX, (record) => this.name(record))}, poller ${s[PC + POLLER] === P.asleep ? 'asleep' : 'awake'}`;
  }
}

const first = (what: 'frame' | 'news' | undefined): number =>
  what === undefined ? T.done : what === 'frame' ? T.look : T.news;

/** A held frame counts in the gate and stops the queue, in one locked instruction each; here they are one. */
function addNews(n: Uint8Array): void {
  if (!n[S]) n[STOPS]!++;
  n[S] = 1;
}

/** Whether a sender's producer position waits, and with it the ring's lock. */
const isLocked = (s: Uint8Array): boolean => s[BUFFER] === PRODUCER || s[BUFFER + BUFFER_MAX] === PRODUCER;

/** Records that others than their sender can see. */
const visible = (s: Uint8Array): number => length(s, RING, RING_MAX) - (isLocked(s) ? 1 : 0);

/** Records that take place, doorbells aside. */
function records(s: Uint8Array): number {
  let count = 0;
  for (let i = 0; i < RING_MAX && s[RING + i]; i++) if (!((s[RING + i] as number) & BELL)) count++;
  return count;
}

function goOn(n: Uint8Array): void {
  n[PC + POLLER] = n[DONE] ? P.poll : P.arm;
  n[DONE] = 0;
}
