// SPDX-License-Identifier: MIT
/** What a state of the waiting room's model consists of, in which settings it is searched, and its mutants. */
import { fields, replace } from './fields';

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
  | 'release counts out first'
  | 'lost without a look'
  | 'look between the readings'
  | 'roomIn read before arrived';

export interface RoomSetting {
  /** Segments of each frame, by sender. */
  frames: readonly (readonly number[])[];
  /** The first frame of the first sender is in the ring to begin with. */
  filled?: boolean;
  /** How many plain frames of the first sender are in the room to begin with; the queue is stopped then. */
  waiting?: number;
  /** How many places of a grant are not used up to begin with; the queue is stopped then. */
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
  /** Whether the kernel may segment a superpacket behind `tx`. */
  cuts?: boolean;
  /** Whether frames that have not moved for a long time are searched for. */
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
export const LEAST = 1;
export const SENDERS = 2;
export const FRAMES_MAX = 4;
export const ROOM_MAX = 8;
export const RING_MAX = 5;

const { field, size } = fields();
export const FAULT = field();
export const S = field();
export const GATE = field(); // all segments sent to wait
export const ARRIVED = field();
export const ROOM_IN = field();
export const ROOM_OUT = field();
export const TWICE = field();
export const LOST = field();
export const ROOM_LOST = field();
export const OPEN_STOPS = field(); // stops - wakes
export const ARMED = field();
export const WAKE = field(); // epoll has something for the poller
export const TOKENS = field();
export const COST = field(); // held_cost
export const RUN = field(); // a CPU runs the room's qdisc
export const RING = field(RING_MAX);
export const ROOM = field(ROOM_MAX);
export const TRANSIT = field(SENDERS * FRAMES_MAX);
export const OUT_PC = field();
export const OUT = field();
export const TX_PC = field(SENDERS);
export const TX_NEXT = field(SENDERS);
export const SINK_PC = field(SENDERS);
export const SINK = field(SENDERS);
export const PC = field();
export const DONE = field();
export const G = field();
export const A = field();
export const O = field();
export const I = field();
export const WANT = field();
export const CLOSING = field();
export const CREDIT = field();
export const BASE = field();
export const NOTED = field(); // held_cost as it was read
export const LEFT = field();
export const STALL = field(); // 1: the grant is not used up. 2: and nothing has come out for a while
export const SUM = field(); // of the counters when the quiet began, and 1
export const QUIET = field(); // 1: nothing has moved for a long time since. 2: the poller has been notified
export const SEEN = field(SENDERS); // segments delivered, a bit each
export const LAST = field(SENDERS);
export const DROPPED = field(); // segments
export const COPIED = field();
export const DROPS_LEFT = field();
export const COPIES_LEFT = field();
export const ROOM_DROPS_LEFT = field();
export const CRASHES = field();
/** Bytes of a state. */
export const BYTES = size();

/** A frame, or a piece of one: 1, its sender, its number, the piece (0: whole; 1, 2), and whether it is a copy. */
export const PIECE = 16;
export const COPY = 64;
/** A record that is still being written. */
export const BUSY = 128;
export const code = (sender: number, frame: number): number => 1 | (sender << 1) | (frame << 2);
export const senderOf = (piece: number): number => (piece >> 1) & 1;
export const frameOf = (piece: number): number => (piece >> 2) & 3;
export const pieceOf = (piece: number): number => (piece >> 4) & 3;

export const PATH = 2;
export const EXIT = 4;
export const POLLER = 5;
export const CLOCK = 6;
export const KILL = 7;

export const TX = { look: 0, check: 1, reserve: 2, submit: 3, count: 4, close: 5, leave: 6, done: 7 };
export const SINKS = { idle: 0, arrive: 1, in: 2, look: 3, close: 4, bell: 5, enter: 6, late: 7 };
export const EXITS = { idle: 0, enqueue: 1, cost: 2, out: 3 };
export const P = {
  poll: 0,
  gate: 1,
  arrived: 2,
  again: 3,
  out: 4,
  in: 5,
  close: 6,
  swap: 7,
  lookOut: 8,
  count: 9,
  lookIn: 10,
  reclose: 11,
  cost: 12,
  fill: 13,
  note: 14,
  netlink: 15,
  base: 16,
  granted: 17,
  arm: 18,
  seeGate: 19,
  seeRing: 20,
  asleep: 21,
  adopt: 22,
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
export const NO_PLACE = 1;
export const ORDER = 2;
export const TWICE_DELIVERED = 3;
export const OVERDRAWN = 4;
export const BY_NUMBER = [
  '',
  ROOM_PROPERTIES.place,
  ROOM_PROPERTIES.order,
  ROOM_PROPERTIES.once,
  ROOM_PROPERTIES.overdrawn,
];

/** close_gate(). */
export function closeGate(n: Uint8Array): void {
  if (n[S]) return;
  n[S] = 1;
  n[OPEN_STOPS]!++;
}

export function ringDoorbell(n: Uint8Array): void {
  if (!n[ARMED]) return;
  n[ARMED] = 0;
  n[WAKE] = 1;
}

/** bpf_ringbuf_submit() with wakeup_flag(). */
export function submit(n: Uint8Array, piece: number): void {
  replace(n, RING, RING_MAX, piece | BUSY, piece);
  ringDoorbell(n);
}

/** Segments of a frame, or of a piece of one. */
export function segmentsOf(setting: RoomSetting, piece: number): number {
  const whole = (setting.frames[senderOf(piece)] as readonly number[])[frameOf(piece)] as number;
  return pieceOf(piece) === 0 ? whole : 1;
}
