// SPDX-License-Identifier: MIT
/** The poller's steps in the model of the waiting room, and those of the clock and of a kill. */
import type { Step } from './checker';
import { length, shift, signed } from './fields';
import {
  A,
  ARMED,
  ARRIVED,
  BASE,
  BUSY,
  CLOCK,
  closeGate,
  CLOSING,
  COPIED,
  COPY,
  COST,
  CRASHES,
  CREDIT,
  DONE,
  EXITS,
  FAULT,
  frameOf,
  FRAMES_MAX,
  G,
  GATE,
  I,
  KILL,
  LAST,
  LEAST,
  LEFT,
  LOST,
  NOTED,
  O,
  OPEN_STOPS,
  ORDER,
  OUT_PC,
  OVERDRAWN,
  P,
  PC,
  pieceOf,
  POLLER,
  QUIET,
  RING,
  RING_MAX,
  ROOM,
  ROOM_IN,
  ROOM_LOST,
  ROOM_OUT,
  type RoomMutation,
  type RoomSetting,
  RUN,
  S,
  SEEN,
  segmentsOf,
  senderOf,
  SENDERS,
  SINK_PC,
  STALL,
  SUM,
  TOKENS,
  TRANSIT,
  TWICE,
  TWICE_DELIVERED,
  TX,
  TX_PC,
  WAKE,
  WANT,
} from './room-state';

/**
 * Poller.poll(), QueueGate.update(), PollLoop.complete(), and the controller's search for frames that no longer move.
 */
export class RoomPoller {
  /** The counters that the poller reads once the queue is stopped, in this order. */
  private readonly readings: readonly number[];
  private readonly clocked: boolean;

  constructor(private readonly setting: RoomSetting) {
    this.readings = readingsOf(setting.mutation);
    this.clocked = setting.clock ?? ((setting.drops ?? 0) > 0 || (setting.roomDrops ?? 0) > 0);
  }

  next(s: Uint8Array, step: Step): void {
    this.poller(s, step);
    this.clock(s, step);
    if (s[CRASHES]) this.kill(step);
  }

  private is(mutation: RoomMutation): boolean {
    return this.setting.mutation === mutation;
  }

  /** The poller dies, its local state is lost, and another poller takes over. */
  private kill(step: Step): void {
    const n = step(KILL, 'the poller is killed');
    n[CRASHES]!--;
    n[QUIET] = n[SUM] = n[STALL] = n[CLOSING] = 0;
    turn(n);
    n[PC] = P.adopt;
  }

  /** Poller.poll(), QueueGate.update(), PollLoop.complete(). */
  private poller(s: Uint8Array, step: Step): void {
    const go = (label: string, pc: number, about = 0): Uint8Array => {
      const n = step(POLLER, label, about);
      n[PC] = pc;
      return n;
    };
    const pc = s[PC] as number;
    switch (pc) {
      case P.poll: {
        const head = s[RING] as number;
        if (head === 0 || head & BUSY) {
          go('finds nothing', P.gate)[DONE] = 0;
          return;
        }
        const n = go('sends %', P.gate, head);
        n[DONE] = 1;
        shift(n, RING, RING_MAX);
        this.deliver(n, head);
        return;
      }
      case P.gate: {
        const used = length(s, RING, RING_MAX);
        if (!s[S] || used > 0) {
          turn(go(s[S] ? 'finds the queue stopped, the ring not empty' : 'finds the queue running', 0));
          return;
        }
        const n = go('finds the queue stopped, the ring empty', this.readings[0] as number);
        if (this.is('gate read before arrived')) n[G] = s[GATE] as number;
        if (s[QUIET] === 1) n[QUIET] = 2;
        return;
      }
      case P.arrived:
        this.read(go('reads arrived', 0), A, s[ARRIVED] as number, pc);
        return;
      case P.again:
        this.read(go('reads gate', 0), G, s[GATE] as number, pc);
        return;
      case P.out:
        this.read(go('reads roomOut', 0), O, s[ROOM_OUT] as number, pc);
        return;
      case P.in:
        this.read(go('reads roomIn', 0), I, s[ROOM_IN] as number, pc);
        return;
      case P.cost: {
        const n = go('reads held_cost', P.fill);
        n[NOTED] = s[COST] as number;
        n[LEFT] = this.left(s);
        if (signed(n[LEFT] as number) < -LEAST) n[FAULT] = OVERDRAWN;
        if (signed(n[LEFT] as number) <= LEAST || this.is('grant before the old one is used up')) return;
        if (s[STALL] === 2) {
          n[WANT] = LEAST;
          n[PC] = P.note;
          return;
        }
        n[STALL] = 1;
        turn(n);
        return;
      }
      case P.fill: {
        const used = this.is('ring read before held_cost') ? 0 : length(s, RING, RING_MAX);
        const grant = this.setting.ring - used - LEAST - this.setting.spare;
        const n = go('reads how full the ring is', P.note);
        n[WANT] = Math.max(grant, 0);
        if (grant < LEAST) turn(n);
        return;
      }
      case P.note: {
        // Noted before the grant: a poller that takes over after a kill must not find less than may be left.
        const n = go('notes the most that may be left', P.netlink);
        const used = signed((s[NOTED] as number) - (s[BASE] as number));
        const least = this.is('grant noted afterwards') ? (s[CREDIT] as number) : 0;
        n[CREDIT] = least || (s[WANT] as number) + used + Math.max(signed(s[LEFT] as number), 0);
        return;
      }
      case P.netlink:
        if (this.setting.prompt && s[OUT_PC] !== EXITS.idle && s[OUT_PC] !== EXITS.out) return;
        go('grants %', P.base, 2 * (s[WANT] as number))[TOKENS] = s[WANT] as number;
        return;
      case P.base: {
        const n = go('reads held_cost again, notes the base', P.granted);
        const moved = signed((s[COST] as number) - (s[NOTED] as number));
        // What came out meanwhile may have used the old grant, up to what was left of it.
        const old = this.is('old credit forgotten') ? 0 : Math.min(moved, Math.max(signed(s[LEFT] as number), 0));
        n[BASE] = (s[NOTED] as number) + old;
        n[NOTED] = n[LEFT] = 0;
        return;
      }
      case P.granted: {
        const n = go('notes the grant, sends a kick', P.swap);
        n[CREDIT] = s[WANT] as number;
        n[WANT] = n[CLOSING] = n[STALL] = 0;
        if (!this.is('no kick')) n[RUN] = 1;
        if (!s[CLOSING]) turn(n);
        return;
      }
      case P.close: {
        const n = go('reads held_cost', P.swap);
        if (this.left(s) <= LEAST || this.is('room left open')) return;
        n[NOTED] = s[COST] as number;
        n[LEFT] = this.left(s);
        n[WANT] = LEAST;
        n[CLOSING] = 1;
        n[PC] = P.note;
        return;
      }
      case P.swap: {
        const same = s[S] === 1 && (s[G] === s[GATE] || this.is('no compare-and-swap'));
        const n = go(same ? 'wakes the queue' : 'finds the gate changed', P.count);
        n[G] = 0;
        if (same) n[S] = 0;
        else turn(n);
        return;
      }
      case P.count: {
        const n = go('counts the wake', P.lookIn);
        n[OPEN_STOPS]!--;
        if (this.is('no second look at the room')) turn(n);
        return;
      }
      case P.adopt: {
        const n = go(
          s[S]
            ? 'another poller finds the queue stopped, wakes are stops - 1'
            : 'another poller finds the queue running, wakes are stops',
          P.lookIn,
        );
        if (s[S] || this.is('no look at the room when adopted')) n[PC] = P.poll;
        if (!this.is('wakes left as they are')) n[OPEN_STOPS] = s[S] as number;
        return;
      }
      case P.lookIn:
        go('reads roomIn again', P.lookOut)[I] = s[ROOM_IN] as number;
        return;
      case P.lookOut: {
        const differs = s[I] !== (((s[ROOM_OUT] as number) + (s[ROOM_LOST] as number)) & 255);
        const n = go('reads roomOut again', P.reclose);
        n[I] = 0;
        if (!differs) turn(n);
        return;
      }
      case P.reclose: {
        const n = go('stops the queue again', 0);
        closeGate(n);
        turn(n);
        return;
      }
      case P.arm:
        go('arms', P.seeGate)[ARMED] = 1;
        return;
      case P.seeGate:
        if (s[S]) go('sees the queue stopped, disarms', P.poll)[ARMED] = 0;
        else go('sees the queue running', P.seeRing);
        return;
      case P.seeRing:
        if (s[RING]) go('sees a record, disarms', P.poll)[ARMED] = 0;
        else go('sleeps', P.asleep);
        return;
      case P.asleep:
        if (s[WAKE]) go('is woken', s[ARMED] ? P.asleep : P.poll)[WAKE] = 0;
        return;
    }
  }

  /** Stores a reading; after the last one, judges them. */
  private read(n: Uint8Array, at: number, value: number, pc: number): void {
    n[at] = value;
    const index = this.readings.indexOf(pc) + 1;
    if (index < this.readings.length) n[PC] = this.readings[index] as number;
    else this.judge(n);
  }

  /** releaseHeld(), once all readings have been taken. */
  private judge(n: Uint8Array): void {
    let transit = signed((n[G] as number) - (n[A] as number) - (n[LOST] as number) + (n[TWICE] as number));
    let inRoom = signed((n[I] as number) - (n[O] as number) - (n[ROOM_LOST] as number));
    if (this.is('one per superpacket')) {
      inRoom = 0;
      transit = signed((n[G] as number) - (n[O] as number) - (n[LOST] as number) + (n[TWICE] as number));
    }
    if (transit < 0) {
      n[TWICE]! -= transit;
      transit = 0;
    }
    if (this.is('closed by the gate alone')) inRoom = 0;
    if (this.is('closed by the room alone')) transit = 0;
    if (transit > 0 || inRoom > 0) {
      if (this.isLost(n)) {
        n[LOST]! += transit;
        n[ROOM_LOST]! += inRoom;
        n[QUIET] = n[SUM] = 0;
        turn(n);
      } else {
        n[PC] = P.cost;
      }
      n[G] = n[A] = n[O] = n[I] = 0;
      return;
    }
    n[SUM] = n[QUIET] = 0;
    n[A] = n[O] = n[I] = n[STALL] = 0;
    n[PC] = P.close;
  }

  /** Whether the missing frames have been searched for, and the counters have not changed since. */
  private isLost(n: Uint8Array): boolean {
    if (this.is('lost without a look')) return true;
    if (!this.clocked) return false;
    const sum = (n[G] as number) + (n[A] as number) + (n[O] as number) + (n[I] as number) + 1;
    if (n[SUM] !== sum) {
      n[SUM] = sum;
      n[QUIET] = 0;
    }
    return n[QUIET] === 2 || (n[QUIET] === 1 && this.is('look between the readings'));
  }

  /** What is left of the latest grant. A frame on its way from the room to the ring may not be deducted yet. */
  private left(s: Uint8Array): number {
    return (s[CREDIT] as number) - signed((s[COST] as number) - (s[BASE] as number));
  }

  /** The controller's look at the qdiscs, once nothing has moved for longer than a backlog can hold a frame. */
  private clock(s: Uint8Array, step: Step): void {
    if (s[STALL] === 1 && !s[OUT_PC] && !s[RUN] && !s[RING]) step(CLOCK, 'nothing has come out for a while')[STALL] = 2;
    if (s[SUM] === 0 || s[QUIET]) return;
    for (let sender = 0; sender < SENDERS; sender++) {
      const pc = s[TX_PC + sender] as number;
      if (s[TRANSIT + sender * FRAMES_MAX] || s[SINK_PC + sender] || (pc > TX.count && pc < TX.done)) return;
    }
    if (s[ROOM] || s[OUT_PC]) return;
    step(CLOCK, 'nothing has moved for a long time, and the qdiscs are empty')[QUIET] = 1;
  }

  private deliver(n: Uint8Array, piece: number): void {
    const sender = senderOf(piece);
    const first = frameOf(piece) * 2 + (pieceOf(piece) === 2 ? 1 : 0);
    const end = first + segmentsOf(this.setting, piece);
    if (piece & COPY) return;
    if (first < (n[LAST + sender] as number) && n[COPIED] === 0) n[FAULT] = ORDER;
    n[LAST + sender] = Math.max(n[LAST + sender] as number, end);
    for (let i = first; i < end; i++) {
      if ((n[SEEN + sender] as number) & (1 << i)) n[FAULT] = TWICE_DELIVERED;
      n[SEEN + sender]! |= 1 << i;
    }
  }
}

function readingsOf(mutation: RoomMutation | undefined): readonly number[] {
  if (mutation === 'gate read before arrived') return [P.arrived, P.out, P.in];
  if (mutation === 'roomIn read before arrived') return [P.out, P.in, P.arrived, P.again];
  return [P.arrived, P.again, P.out, P.in];
}

/** After update(): polls again if the poll found a frame, otherwise prepares to sleep. */
function turn(n: Uint8Array): void {
  n[G] = n[A] = n[O] = n[I] = n[LEFT] = n[NOTED] = n[WANT] = 0;
  n[PC] = n[DONE] ? P.poll : P.arm;
  n[DONE] = 0;
}
