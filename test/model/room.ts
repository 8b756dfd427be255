// SPDX-License-Identifier: MIT
/**
 * The waiting room (--when-full hold): two senders with a flow each, the kernel's way from `tx` to `sink` with a qdisc
 * of the user's on it, the room, `release`, the poller. A step reads or changes one thing that another process sees.
 *
 * Three things are one step here that are several in the code, because queue.ts has them one by one: the submission of
 * a record with its look at `armed`, the doorbell, and the poller's look at a stopped gate with the fill of the ring
 * (the poller alone opens the gate, so a gate once seen stopped stays so). All shared words are changed by locked
 * instructions or by one process alone, so no store buffer is needed either.
 *
 * Sizes are places: a frame takes one in the ring and one of the credit, whole or as a piece.
 */
import type { Model, Step } from './checker';
import { list, signed } from './fields';
import {
  ARRIVED,
  BASE,
  BY_NUMBER,
  BYTES,
  CLOSING,
  code,
  COPIED,
  COPIES_LEFT,
  COPY,
  COST,
  CRASHES,
  CREDIT,
  DROPPED,
  DROPS_LEFT,
  FAULT,
  frameOf,
  FRAMES_MAX,
  GATE,
  KILL,
  LEAST,
  LOST,
  NOTED,
  OPEN_STOPS,
  OUT_PC,
  P,
  PC,
  pieceOf,
  RING,
  RING_MAX,
  ROOM,
  ROOM_DROPS_LEFT,
  ROOM_IN,
  ROOM_LOST,
  ROOM_MAX,
  ROOM_OUT,
  ROOM_PROPERTIES,
  type RoomSetting,
  RUN,
  S,
  SEEN,
  senderOf,
  SENDERS,
  SINK_PC,
  SUM,
  TOKENS,
  TRANSIT,
  TWICE,
  TX,
  TX_NEXT,
  TX_PC,
  WAKE,
} from './room-state';
import { RoomKernel } from './room-kernel';
import { RoomPoller } from './room-poller';

export class Room implements Model {
  readonly bytes = BYTES;
  readonly processes = ['sender A', 'sender B', 'path A', 'path B', 'release', 'poller', 'clock', 'kill'];
  readonly idle = [KILL];
  private readonly kernel: RoomKernel;
  private readonly poller: RoomPoller;

  constructor(private readonly setting: RoomSetting) {
    this.kernel = new RoomKernel(setting);
    this.poller = new RoomPoller(setting);
  }

  start(s: Uint8Array): void {
    const {
      drops = 0,
      copies = 0,
      roomDrops = 0,
      filled = false,
      waiting = 0,
      unused = 0,
      crashes = 0,
      frames,
    } = this.setting;
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
    this.kernel.next(s, step);
    this.poller.next(s, step);
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
    if (signed((s[ROOM_IN] as number) - (s[ROOM_OUT] as number) - (s[ROOM_LOST] as number)) !== 0)
      return ROOM_PROPERTIES.room;
    return null;
  }

  private delivered(s: Uint8Array): number {
    let count = 0;
    for (let sender = 0; sender < SENDERS; sender++)
      for (let bits = s[SEEN + sender] as number; bits; bits >>= 1) count += bits & 1;
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
