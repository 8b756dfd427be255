// SPDX-License-Identifier: MIT
/**
 * The waiting room (--when-full hold): two senders with a flow each, the kernel's way from `tx` to `sink` with a qdisc of
 * the user's on it, the room, `retry`, the poller. A step reads or changes one thing that another process sees.
 *
 * Three things are one step here that are several in the code, because wakeup.ts has them one by one: the submission of a
 * record with its look at `armed`, the doorbell, and the poller's look at a stopped gate with the fill of the ring (the
 * poller alone opens the gate, so a gate once seen stopped stays so). All shared words are changed by locked instructions
 * or by one process alone, so no store buffer is needed either.
 *
 * Sizes are places: a frame takes one in the ring and one of the credit, whole or as a piece.
 */
import type { Model, Step } from './checker';
import { append, fields, length, list, prepend, replace, shift, signed } from './fields';

export type RoomMutation =
  | 'one per superpacket'
  | 'gate read before arrived'
  | 'closed by the gate alone'
  | 'closed by the room alone'
  | 'no compare-and-swap'
  | 'no second look at the room'
  | 'sink counts after the frame is in the room'
  | 'sink counts arrival before the frame'
  | 'sink leaves the gate open'
  | 'no doorbell'
  | 'no doorbell for copies'
  | 'grant before the old one is used up'
  | 'old credit forgotten'
  | 'ring read before held_cost'
  | 'room left open'
  | 'no kick'
  | 'grant noted afterwards'
  | 'no look at the room when adopted'
  | 'wakes left as they are'
  | 'retry counts out first'
  | 'lost without a look'
  | 'look between the readings'
  | 'roomIn read before arrived';

export interface RoomSetting {
  /** Segments of each frame, by sender. */
  frames: readonly (readonly number[])[];
  /** The first frame of the first sender is in the ring to begin with. */
  filled?: boolean;
  /** So many plain frames of the first sender are in the room to begin with, and the queue is stopped. */
  waiting?: number;
  /** The queue is stopped to begin with, and so many places of a grant are not used up. */
  unused?: number;
  /** Places in the ring. */
  ring: number;
  /** Places that `tx` may fill. The poller goes about waking once no place is in use. */
  limit: number;
  /** Places that a grant leaves free besides those of the bucket, for senders that have looked at the gate before. */
  spare: number;
  /** A frame is never between the room and its count in held_cost for as long as a grant takes. */
  prompt?: boolean;
  /** Whether two senders may find the same place free. */
  racing?: boolean;
  /** Whether the kernel may cut a superpacket into its segments behind `tx`. */
  cuts?: boolean;
  /** Whether what does not move for long is looked for. */
  clock?: boolean;
  /** How many frames the user's qdisc drops or doubles at most, and the room drops. */
  drops?: number;
  copies?: number;
  roomDrops?: number;
  /** How often the poller is killed. */
  crashes?: number;
  mutation?: RoomMutation;
}

/** Places that the bucket of a closed room still lets out: it cannot be emptied. */
const LEAST = 1;
const SENDERS = 2;
const FRAMES_MAX = 4;
const ROOM_MAX = 8;
const RING_MAX = 5;

const { field, size } = fields();
const FAULT = field();
const S = field();
const GATE = field(); // segments ever sent to wait
const ARRIVED = field();
const ROOM_IN = field();
const ROOM_OUT = field();
const TWICE = field();
const LOST = field();
const ROOM_LOST = field();
const OPEN_STOPS = field(); // stops - wakes
const ARMED = field();
const WAKE = field(); // epoll has something for the poller
const TOKENS = field();
const COST = field(); // held_cost
const RUN = field(); // somebody runs the room's qdisc
const RING = field(RING_MAX);
const ROOM = field(ROOM_MAX);
const TRANSIT = field(SENDERS * FRAMES_MAX);
const OUT_PC = field();
const OUT = field();
const TX_PC = field(SENDERS);
const TX_NEXT = field(SENDERS);
const SINK_PC = field(SENDERS);
const SINK = field(SENDERS);
const PC = field();
const DONE = field();
const G = field();
const A = field();
const O = field();
const I = field();
const WANT = field();
const CLOSING = field();
const CREDIT = field();
const BASE = field();
const NOTED = field(); // held_cost as it was read
const LEFT = field();
const STALL = field(); // 1: the grant is not used up. 2: and nothing has come out for a while
const SUM = field(); // of the counters when the quiet began, and 1
const QUIET = field(); // 1: nothing has moved for long since. 2: the poller has been told
const SEEN = field(SENDERS); // segments delivered, a bit each
const LAST = field(SENDERS);
const DROPPED = field(); // segments
const COPIED = field();
const DROPS_LEFT = field();
const COPIES_LEFT = field();
const ROOM_DROPS_LEFT = field();
const CRASHES = field();

/** A frame, or a piece of one: 1, its sender, its number, the piece (0: whole; 1, 2), and whether it is a copy. */
const PIECE = 16;
const COPY = 64;
/** A record that is still being written. */
const BUSY = 128;
const code = (sender: number, frame: number): number => 1 | (sender << 1) | (frame << 2);
const senderOf = (piece: number): number => (piece >> 1) & 1;
const frameOf = (piece: number): number => (piece >> 2) & 3;
const pieceOf = (piece: number): number => (piece >> 4) & 3;

const PATH = 2;
const EXIT = 4;
const POLLER = 5;
const CLOCK = 6;
const KILL = 7;

const TX = { look: 0, check: 1, reserve: 2, submit: 3, count: 4, close: 5, leave: 6, done: 7 };
const SINKS = { idle: 0, arrive: 1, in: 2, look: 3, close: 4, bell: 5, enter: 6, late: 7 };
const EXITS = { idle: 0, enqueue: 1, cost: 2, out: 3 };
const P = {
  poll: 0, gate: 1, arrived: 2, again: 3, out: 4, in: 5, close: 6, swap: 7, lookOut: 8, count: 9, lookIn: 10, reclose: 11,
  cost: 12, fill: 13, note: 14, netlink: 15, base: 16, granted: 17, arm: 18, seeGate: 19, seeRing: 20, asleep: 21, adopt: 22,
};

/** Properties, beside those of every model (checker.ts). */
export const ROOM_PROPERTIES = {
  place: 'a frame from the room finds its place in the ring',
  order: 'a flow keeps its order',
  once: 'a frame is delivered once',
  overdrawn: 'no more comes out than was granted and one frame',
  stops: 'stops = wakes at rest',
  lost: 'no frame is lost',
  copy: 'no frame is called a copy that is none',
  dropped: 'no frame is called lost that is not',
  transit: 'at rest nothing is said to be on its way',
  room: 'at rest nothing is said to be in the room',
};
const NO_PLACE = 1;
const ORDER = 2;
const TWICE_DELIVERED = 3;
const OVERDRAWN = 4;
const BY_NUMBER = ['', ROOM_PROPERTIES.place, ROOM_PROPERTIES.order, ROOM_PROPERTIES.once, ROOM_PROPERTIES.overdrawn];

export class Room implements Model {
  readonly bytes = size();
  readonly processes = ['sender A', 'sender B', 'path A', 'path B', 'retry', 'poller', 'clock', 'kill'];
  readonly idle = [KILL];
  /** What the poller reads once the queue is stopped, in this order. */
  private readonly readings: readonly number[];
  private readonly clocked: boolean;

  constructor(private readonly setting: RoomSetting) {
    this.readings = readingsOf(setting.mutation);
    this.clocked = setting.clock ?? ((setting.drops ?? 0) > 0 || (setting.roomDrops ?? 0) > 0);
  }

  start(s: Uint8Array): void {
    const { drops = 0, copies = 0, roomDrops = 0, filled = false, waiting = 0, unused = 0, crashes = 0, frames } = this.setting;
    s[TOKENS] = LEAST;
    s[CREDIT] = LEAST;
    s[CRASHES] = crashes;
    s[DROPS_LEFT] = drops;
    s[COPIES_LEFT] = copies;
    s[ROOM_DROPS_LEFT] = roomDrops;
    frames.forEach((own, sender) => (s[TX_PC + sender] = own.length > 0 ? TX.look : TX.done));
    if (filled) {
      s[RING] = code(0, 0);
      s[TX_NEXT] = 1;
    }
    if (waiting > 0 || unused > 0) s[S] = s[OPEN_STOPS] = 1;
    if (unused > 0) s[TOKENS] = s[CREDIT] = unused;
    if (waiting > 0) {
      s[RUN] = 1;
      s[TX_NEXT] = s[GATE] = s[ARRIVED] = s[ROOM_IN] = waiting;
      for (let i = 0; i < waiting; i++) s[ROOM + i] = code(0, i);
      if (waiting === (frames[0] as readonly number[]).length) s[TX_PC] = TX.done;
    }
  }

  next(s: Uint8Array, step: Step): void {
    for (let sender = 0; sender < SENDERS; sender++) {
      this.tx(s, sender, step);
      this.path(s, sender, step);
    }
    this.retry(s, step);
    this.poller(s, step);
    this.clock(s, step);
    if (s[CRASHES]) this.kill(step);
  }

  /** The poller is gone with what it knew, and another one takes over. */
  private kill(step: Step): void {
    const n = step(KILL, 'the poller is killed');
    n[CRASHES]!--;
    n[QUIET] = n[SUM] = n[STALL] = n[CLOSING] = 0;
    turn(n);
    n[PC] = P.adopt;
  }

  /** Of the counters only differences matter, as long as the poller has no readings of them. */
  normalize(n: Uint8Array): void {
    const pc = n[PC] as number;
    if ((pc > P.gate && pc <= P.lookOut) || n[CLOSING] || n[SUM]) return;
    n[GATE]! -= n[ARRIVED] as number;
    n[ARRIVED] = 0;
    n[ROOM_IN]! -= n[ROOM_OUT] as number;
    n[ROOM_OUT] = 0;
    n[COST]! -= n[BASE] as number;
    if (pc >= P.fill && pc <= P.base) n[NOTED]! -= n[BASE] as number;
    n[BASE] = 0;
  }

  private is(mutation: RoomMutation): boolean {
    return this.setting.mutation === mutation;
  }

  private segments(piece: number): number {
    const whole = (this.setting.frames[senderOf(piece)] as readonly number[])[frameOf(piece)] as number;
    return pieceOf(piece) === 0 ? whole : 1;
  }

  /** transmit() and hold_frame(). */
  private tx(s: Uint8Array, sender: number, step: Step): void {
    const { frames, limit, ring, racing = false } = this.setting;
    const own = frames[sender] as readonly number[];
    const index = s[TX_NEXT + sender] as number;
    const frame = code(sender, index);
    const go = (label: string, pc: number): Uint8Array => {
      const n = step(sender, label, frame);
      n[TX_PC + sender] = pc;
      return n;
    };
    const finish = (n: Uint8Array): void => {
      n[TX_NEXT + sender]!++;
      n[TX_PC + sender] = index + 1 < own.length ? TX.look : TX.done;
    };
    const used = length(s, RING, RING_MAX);
    switch (s[TX_PC + sender]) {
      case TX.look:
        if (s[S]) go('finds the queue stopped for %', TX.count);
        else go('finds the queue running for %', TX.check);
        return;
      case TX.check:
        if (used + 1 > limit) go('finds no place for %', TX.count);
        else if (racing) go('finds place for %', TX.reserve);
        else append(go('finds place for %, reserves', TX.submit), RING, RING_MAX, frame | BUSY);
        return;
      case TX.reserve:
        if (used >= ring) go('cannot reserve for %', TX.count);
        else append(go('reserves for %', TX.submit), RING, RING_MAX, frame | BUSY);
        return;
      case TX.submit: {
        const n = go(s[ARMED] ? 'submits % and wakes the poller' : 'submits %', 0);
        submit(n, frame);
        finish(n);
        return;
      }
      case TX.count: {
        const n = go(s[S] ? 'counts % in the gate' : 'counts % in the gate, which is open', s[S] ? TX.leave : TX.close);
        n[GATE]! += this.is('one per superpacket') ? 1 : (own[index] as number);
        return;
      }
      case TX.close:
        closeGate(go('stops the queue', TX.leave));
        return;
      case TX.leave: {
        const n = go(s[ARMED] ? 'rings the doorbell, % leaves for sink' : '% leaves for sink', 0);
        if (!this.is('no doorbell')) ringDoorbell(n);
        append(n, TRANSIT + sender * FRAMES_MAX, FRAMES_MAX, frame);
        finish(n);
        return;
      }
    }
  }

  /** What the kernel and a user's qdisc do with the frame, then `sink`. */
  private path(s: Uint8Array, sender: number, step: Step): void {
    const piece = s[SINK + sender] as number;
    const go = (label: string, pc: number): Uint8Array => {
      const n = step(PATH + sender, label, piece);
      n[SINK_PC + sender] = pc;
      if (pc === SINKS.idle) n[SINK + sender] = 0;
      return n;
    };
    switch (s[SINK_PC + sender]) {
      case SINKS.idle:
        this.travel(s, sender, step);
        return;
      case SINKS.arrive: {
        const n = go('sink counts % as arrived', this.is('sink counts arrival before the frame') ? SINKS.in : SINKS.look);
        n[ARRIVED]! += this.segments(piece);
        return;
      }
      case SINKS.in:
        go('sink counts % into the room', SINKS.look)[ROOM_IN]!++;
        return;
      case SINKS.look:
        if (s[S] || this.is('sink leaves the gate open')) go('sink finds the queue stopped', SINKS.enter);
        else go('sink finds the queue running', SINKS.close);
        return;
      case SINKS.close:
        closeGate(go('sink stops the queue', SINKS.bell));
        return;
      case SINKS.bell: {
        const n = go(s[ARMED] ? 'sink rings the doorbell' : 'sink finds the poller awake', SINKS.enter);
        if (!this.is('no doorbell for copies')) ringDoorbell(n);
        return;
      }
      case SINKS.enter: {
        const late = this.is('sink counts after the frame is in the room');
        const n = go('% enters the room', late ? SINKS.late : SINKS.idle);
        append(n, ROOM, ROOM_MAX, piece);
        n[RUN] = 1;
        if ((s[ROOM_DROPS_LEFT] as number) === 0) return;
        const lost = go('the room drops %', SINKS.idle);
        lost[ROOM_DROPS_LEFT]!--;
        lost[DROPPED]! += this.segments(piece);
        return;
      }
      case SINKS.late:
        go('sink counts % into the room', SINKS.idle)[ROOM_IN]!++;
        return;
    }
  }

  /** The first frame on its way to `sink`: whole, in pieces, dropped or doubled. */
  private travel(s: Uint8Array, sender: number, step: Step): void {
    const queue = TRANSIT + sender * FRAMES_MAX;
    const piece = s[queue] as number;
    if (piece === 0) return;
    const take = (label: string): Uint8Array => {
      const n = step(PATH + sender, label, piece);
      shift(n, queue, FRAMES_MAX);
      return n;
    };
    const arrive = (n: Uint8Array, what: number): void => {
      n[SINK + sender] = what;
      n[SINK_PC + sender] = SINKS.arrive;
      if (!this.is('sink counts after the frame is in the room') && !this.is('sink counts arrival before the frame')) n[ROOM_IN]!++;
    };
    arrive(take('% is counted into the room'), piece);
    if (pieceOf(piece) !== 0) return;
    if (this.setting.cuts && this.segments(piece) === 2) {
      const n = take('% is cut up, its first piece counted into the room');
      prepend(n, queue, FRAMES_MAX, piece | (2 * PIECE));
      arrive(n, piece | PIECE);
    }
    if ((s[DROPS_LEFT] as number) > 0) {
      const n = take('a qdisc drops %');
      n[DROPS_LEFT]!--;
      n[DROPPED]! += this.segments(piece);
    }
    if ((s[COPIES_LEFT] as number) > 0 && (piece & COPY) === 0) {
      const n = take('a qdisc doubles %');
      prepend(n, queue, FRAMES_MAX, piece | COPY);
      prepend(n, queue, FRAMES_MAX, piece);
      n[COPIES_LEFT]!--;
      n[COPIED]! += this.segments(piece);
    }
  }

  /** The room's qdisc, and `retry` behind it. */
  private retry(s: Uint8Array, step: Step): void {
    const piece = s[OUT] as number;
    const go = (label: string, pc: number): Uint8Array => {
      const n = step(EXIT, label, piece || (s[ROOM] as number));
      n[OUT_PC] = pc;
      if (pc === EXITS.idle) n[OUT] = 0;
      return n;
    };
    switch (s[OUT_PC]) {
      case EXITS.idle: {
        if (!s[RUN]) return;
        if (s[ROOM] === 0 || s[TOKENS] === 0) {
          go('the room lets nothing out', EXITS.idle)[RUN] = 0;
          return;
        }
        const n = go('% leaves the room', EXITS.enqueue);
        n[OUT] = s[ROOM] as number;
        shift(n, ROOM, ROOM_MAX);
        n[TOKENS]!--;
        if (this.is('retry counts out first')) n[ROOM_OUT]!++;
        return;
      }
      case EXITS.enqueue: {
        const n = go(s[ARMED] ? '% goes into the ring and wakes the poller' : '% goes into the ring', EXITS.cost);
        if (length(s, RING, RING_MAX) >= this.setting.ring) {
          n[FAULT] = NO_PLACE;
          return;
        }
        append(n, RING, RING_MAX, piece);
        submit(n, piece);
        if (this.is('retry counts out first')) n[OUT] = 0;
        return;
      }
      case EXITS.cost:
        go('retry counts the credit used', this.is('retry counts out first') ? EXITS.idle : EXITS.out)[COST]!++;
        return;
      case EXITS.out:
        go('retry counts % out', EXITS.idle)[ROOM_OUT]!++;
        return;
    }
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
        // Whatever happens next, no less may be left: a kill leaves this for the next poller.
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
        // What came out meanwhile may have been of the old grant, as far as there was one.
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
        const n = go(s[S] ? 'another poller finds the queue stopped, wakes are stops - 1' : 'another poller finds the queue running, wakes are stops', P.lookIn);
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

  /** Keeps a reading; after the last one it judges. */
  private read(n: Uint8Array, at: number, value: number, pc: number): void {
    n[at] = value;
    const index = this.readings.indexOf(pc) + 1;
    if (index < this.readings.length) n[PC] = this.readings[index] as number;
    else this.judge(n);
  }

  /** releaseHeld(), with the readings at hand. */
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

  /** Whether what is missing has been looked for, and the counters are as they were before. */
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

  /** What may still come out of the latest grant. A frame on its way from the room to the ring may not be in it. */
  private left(s: Uint8Array): number {
    return (s[CREDIT] as number) - signed((s[COST] as number) - (s[BASE] as number));
  }

  /** The controller's look into the qdiscs, once nothing has moved for so long that no backlog can have a frame. */
  private clock(s: Uint8Array, step: Step): void {
    if (s[STALL] === 1 && !s[OUT_PC] && !s[RUN] && !s[RING]) step(CLOCK, 'nothing has come out for a while')[STALL] = 2;
    if (s[SUM] === 0 || s[QUIET]) return;
    for (let sender = 0; sender < SENDERS; sender++) {
      const pc = s[TX_PC + sender] as number;
      if (s[TRANSIT + sender * FRAMES_MAX] || s[SINK_PC + sender] || (pc > TX.count && pc < TX.done)) return;
    }
    if (s[ROOM] || s[OUT_PC]) return;
    step(CLOCK, 'for long nothing has moved, and the qdiscs are empty')[QUIET] = 1;
  }

  private deliver(n: Uint8Array, piece: number): void {
    const sender = senderOf(piece);
    const first = frameOf(piece) * 2 + (pieceOf(piece) === 2 ? 1 : 0);
    const end = first + this.segments(piece);
    if (piece & COPY) return;
    if (first < (n[LAST + sender] as number) && n[COPIED] === 0) n[FAULT] = ORDER;
    n[LAST + sender] = Math.max(n[LAST + sender] as number, end);
    for (let i = first; i < end; i++) {
      if ((n[SEEN + sender] as number) & (1 << i)) n[FAULT] = TWICE_DELIVERED;
      n[SEEN + sender]! |= 1 << i;
    }
  }

  broken(s: Uint8Array): string | null {
    if (s[FAULT]) return BY_NUMBER[s[FAULT] as number] as string;
    if (!this.atRest(s)) return null;
    if (s[OPEN_STOPS] !== 0) return ROOM_PROPERTIES.stops;
    if (this.delivered(s) + (s[DROPPED] as number) < this.sent()) return ROOM_PROPERTIES.lost;
    if ((s[TWICE] as number) > (s[COPIED] as number)) return ROOM_PROPERTIES.copy;
    if ((s[LOST] as number) > (s[DROPPED] as number)) return ROOM_PROPERTIES.dropped;
    const held = signed((s[GATE] as number) - (s[ARRIVED] as number) - (s[LOST] as number) + (s[TWICE] as number));
    // Copies that came while the queue was woken: the next stop counts them.
    if (held > 0 || (held < 0 && s[COPIED] === 0)) return ROOM_PROPERTIES.transit;
    if (signed((s[ROOM_IN] as number) - (s[ROOM_OUT] as number) - (s[ROOM_LOST] as number)) !== 0) return ROOM_PROPERTIES.room;
    return null;
  }

  private delivered(s: Uint8Array): number {
    let count = 0;
    for (let sender = 0; sender < SENDERS; sender++) for (let bits = s[SEEN + sender] as number; bits; bits >>= 1) count += bits & 1;
    return count;
  }

  private sent(): number {
    return this.setting.frames.flat().reduce((sum, segments) => sum + segments, 0);
  }

  atRest(s: Uint8Array): boolean {
    for (let sender = 0; sender < SENDERS; sender++) {
      if (s[TX_PC + sender] !== TX.done || s[TRANSIT + sender * FRAMES_MAX] || s[SINK_PC + sender]) return false;
    }
    return !s[ROOM] && !s[OUT_PC] && !s[RING] && !s[S] && s[PC] === P.asleep && !s[RUN] && !s[WAKE];
  }

  name(piece: number): string {
    if ((piece & 1) === 0) return `places: ${piece / 2}`;
    return `${'AB'[senderOf(piece)] as string}${frameOf(piece) + 1}${['', 'a', 'b'][pieceOf(piece)] as string}${piece & COPY ? "'" : ''}`;
  }

  show(s: Uint8Array): string {
    const name = (piece: number): string => this.name(piece);
    return (
      `stopped ${s[S]}, gate - arrived ${signed((s[GATE] as number) - (s[ARRIVED] as number))}, lost ${s[LOST]}, twice ${s[TWICE]}, ` +
      `roomIn - roomOut ${signed((s[ROOM_IN] as number) - (s[ROOM_OUT] as number))}, tokens ${s[TOKENS]}, ` +
      `ring: ${list(s, RING, RING_MAX, name)}, room: ${list(s, ROOM, ROOM_MAX, name)}`
    );
  }
}

function readingsOf(mutation: RoomMutation | undefined): readonly number[] {
  switch (mutation) {
    case 'gate read before arrived':
      return [P.arrived, P.out, P.in];
    case 'roomIn read before arrived':
      return [P.out, P.in, P.arrived, P.again];
    default:
      return [P.arrived, P.again, P.out, P.in];
  }
}

/** close_gate(). */
function closeGate(n: Uint8Array): void {
  if (n[S]) return;
  n[S] = 1;
  n[OPEN_STOPS]!++;
}

function ringDoorbell(n: Uint8Array): void {
  if (!n[ARMED]) return;
  n[ARMED] = 0;
  n[WAKE] = 1;
}

/** bpf_ringbuf_submit() with wakeup_flag(). */
function submit(n: Uint8Array, piece: number): void {
  replace(n, RING, RING_MAX, piece | BUSY, piece);
  ringDoorbell(n);
}

/** After update(): polls again if there was something, else goes about sleeping. */
function turn(n: Uint8Array): void {
  n[G] = n[A] = n[O] = n[I] = n[LEFT] = n[NOTED] = n[WANT] = 0;
  n[PC] = n[DONE] ? P.poll : P.arm;
  n[DONE] = 0;
}
