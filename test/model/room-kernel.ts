// SPDX-License-Identifier: MIT
/** The programs' steps in the model of the waiting room, and the kernel's between them. */
import type { Step } from './checker';
import { append, length, prepend, shift } from './fields';
import {
  ARMED,
  ARRIVED,
  BUSY,
  closeGate,
  code,
  COPIED,
  COPIES_LEFT,
  COPY,
  COST,
  DROPPED,
  DROPS_LEFT,
  EXIT,
  EXITS,
  FAULT,
  FRAMES_MAX,
  GATE,
  NO_PLACE,
  OUT,
  OUT_PC,
  PATH,
  PIECE,
  pieceOf,
  RING,
  RING_MAX,
  ringDoorbell,
  ROOM,
  ROOM_DROPS_LEFT,
  ROOM_IN,
  ROOM_MAX,
  ROOM_OUT,
  type RoomMutation,
  type RoomSetting,
  RUN,
  S,
  segmentsOf,
  SENDERS,
  SINK,
  SINK_PC,
  SINKS,
  submit,
  TOKENS,
  TRANSIT,
  TX,
  TX_NEXT,
  TX_PC,
} from './room-state';

/** The kernel's side: `tx`, the way to `sink`, the room and `release`. */
export class RoomKernel {
  constructor(private readonly setting: RoomSetting) {}

  next(s: Uint8Array, step: Step): void {
    for (let sender = 0; sender < SENDERS; sender++) {
      this.tx(s, sender, step);
      this.path(s, sender, step);
    }
    this.release(s, step);
  }

  private is(mutation: RoomMutation): boolean {
    return this.setting.mutation === mutation;
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
    switch (s[TX_PC + sender] as number) {
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
    switch (s[SINK_PC + sender] as number) {
      case SINKS.idle:
        this.travel(s, sender, step);
        return;
      case SINKS.arrive: {
        const n = go(
          'sink counts % as arrived',
          this.is('sink counts arrival before the frame') ? SINKS.in : SINKS.look,
        );
        n[ARRIVED]! += segmentsOf(this.setting, piece);
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
        lost[DROPPED]! += segmentsOf(this.setting, piece);
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
      if (!this.is('sink counts after the frame is in the room') && !this.is('sink counts arrival before the frame'))
        n[ROOM_IN]!++;
    };
    arrive(take('% is counted into the room'), piece);
    if (pieceOf(piece) !== 0) return;
    if (this.setting.cuts && segmentsOf(this.setting, piece) === 2) {
      const n = take('% is cut up, its first piece counted into the room');
      prepend(n, queue, FRAMES_MAX, piece | (2 * PIECE));
      arrive(n, piece | PIECE);
    }
    if ((s[DROPS_LEFT] as number) > 0) {
      const n = take('a qdisc drops %');
      n[DROPS_LEFT]!--;
      n[DROPPED]! += segmentsOf(this.setting, piece);
    }
    if ((s[COPIES_LEFT] as number) > 0 && (piece & COPY) === 0) {
      const n = take('a qdisc doubles %');
      prepend(n, queue, FRAMES_MAX, piece | COPY);
      prepend(n, queue, FRAMES_MAX, piece);
      n[COPIES_LEFT]!--;
      n[COPIED]! += segmentsOf(this.setting, piece);
    }
  }

  /** The room's qdisc, and `release` behind it. */
  private release(s: Uint8Array, step: Step): void {
    const piece = s[OUT] as number;
    const go = (label: string, pc: number): Uint8Array => {
      const n = step(EXIT, label, piece || (s[ROOM] as number));
      n[OUT_PC] = pc;
      if (pc === EXITS.idle) n[OUT] = 0;
      return n;
    };
    switch (s[OUT_PC] as number) {
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
        if (this.is('release counts out first')) n[ROOM_OUT]!++;
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
        if (this.is('release counts out first')) n[OUT] = 0;
        return;
      }
      case EXITS.cost:
        go('release counts the credit used', this.is('release counts out first') ? EXITS.idle : EXITS.out)[COST]!++;
        return;
      case EXITS.out:
        go('release counts % out', EXITS.idle)[ROOM_OUT]!++;
        return;
    }
  }
}
