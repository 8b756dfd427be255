// SPDX-License-Identifier: MIT
/**
 * The gate of a transmit queue: when the queue wakes, and how held frames are released. `tx` stops the queue by setting
 * bit 0 of the gate word and counts the frames it sends to the waiting room in the bits above; the poller, which drains
 * the ring, wakes it. Where frames are refused instead of held, `tx` may wake it, too: stop_and_look_again() in
 * bpf/queue.h.
 *
 * Without a waiting room, waking is one compare-and-swap at the low watermark. With one, the held frames come first:
 * the room is granted credit until it is empty, and closed again; only then a compare-and-swap, which fails if a frame
 * went to the room meanwhile, wakes the queue.
 */
import { type BpfMap, MappedMemory } from 'libbpf-ts';

import { CONTROL } from '../layout';
import { nextGrant, type Room, roomFrameCost } from '../link/credit';
import { SharedWords } from './shared-memory';

export const GATE_STOPPED = 1;

/**
 * Segments that `tx` has sent to the waiting room and that have not arrived there: on the interface, in a qdisc of the
 * user's on it, or between two CPUs. The unit is segments because the kernel may segment a superpacket behind `tx`.
 * Below 0 if more arrived than were sent: such a qdisc (netem duplicate) copies a held frame with its tag.
 *
 * The arrivals are read before what was sent, so the difference is never too small. It may be of any size: frames that
 * the kernel drops before they arrive count until they are written off.
 */
export function segmentsOnTheWay(control: SharedWords): number {
  const arrived =
    control.get64InOrder(CONTROL.heldArrived) + control.get64(CONTROL.heldMissing) - control.get64(CONTROL.heldTwice);
  return control.get64InOrder(CONTROL.heldSegments) - arrived;
}

/** Frames in the waiting room. Departures are read before arrivals, so the number is never too small. */
export function framesInRoom(control: SharedWords): number {
  const gone = control.get32(CONTROL.heldOut) + control.get64(CONTROL.heldDropped);
  return (control.get32(CONTROL.heldIn) - gone) | 0;
}

/** Held frames for the frame accounting: on the way to the room as they were sent, in the room as they are. */
export interface HeldFrames {
  now: number;
  /** All frames that have been held, dropped ones included. */
  total: number;
  dropped: number;
  /** Frames that the kernel or a qdisc of the user's made of others behind `tx`: transmitted, but not counted there. */
  added: number;
}

export function heldFrames(control: SharedWords): HeldFrames {
  const dropped = control.get64(CONTROL.heldDropped) + control.get64(CONTROL.heldMissingFrames);
  const gone = control.get64(CONTROL.heldOut) + dropped;
  const known = control.get64(CONTROL.heldIn) + control.get64(CONTROL.heldMissingFrames);
  const sent = control.get64(CONTROL.heldSent);
  const added = Math.max(0, known - sent);
  // Not summed up from departures, which go on meanwhile: a total that is too large would shrink at the next reading.
  const total = sent + added;
  return { now: total - gone, total, dropped, added };
}

export interface GateLimits {
  ringBytes: number;
  /** The largest packet that the waiting room passes, in bytes (credit.ts). */
  frameMax: number;
  /** 0: only bytes limit the queue. */
  queuePackets: number;
  lowWatermarkBytes: number;
  /** Frames at which a queue limited by --queue-packets wakes; Infinity without that limit. */
  lowWatermarkPackets: number;
}

/**
 * Looks in a row that see only kicks come out and are still plausible, besides those for the kicks that are known to
 * wait in the room; after that the room may hold nothing else.
 */
const FRUITLESS_MAX = 64;

export class QueueGate {
  /** Polls in a row that found the ring empty and the room silent although frames are held. */
  stalled = 0;
  private readonly frameCost: number;
  private heldBefore = 0;
  private kicksBefore = 0;
  /** Looks in a row that saw only kicks come out. */
  private fruitless = 0;

  constructor(
    private readonly control: SharedWords,
    private readonly ring: { available(): number },
    private readonly limits: GateLimits,
    private readonly room: Room | null,
  ) {
    this.frameCost = roomFrameCost(limits.queuePackets);
    // A new room's bucket is as small as possible, and full.
    if (control.get64(CONTROL.credit) === 0) control.set64(CONTROL.credit, limits.frameMax);
    // The previous poller may have been killed between waking the queue and its second look.
    if (room && !this.stopped && framesInRoom(control) > 0) this.stop();
  }

  get stopped(): boolean {
    return (this.control.get32(CONTROL.gate) & GATE_STOPPED) !== 0;
  }

  /** Wakes the queue if it is time; called after each poll. `drained`: all frames taken out of the ring. */
  update(drained: number): void {
    const { control, limits } = this;
    const gate = control.get32(CONTROL.gate);
    if ((gate & GATE_STOPPED) === 0) return;
    if (this.ring.available() > limits.lowWatermarkBytes) return;
    const packets = control.get64(CONTROL.captured) - drained;
    if (packets > limits.lowWatermarkPackets) return;
    if (this.room && !this.releaseHeld(this.room, packets)) return;
    if (!control.replace32(CONTROL.gate, gate, gate & ~GATE_STOPPED)) return;
    control.set64(CONTROL.wakesPoller, control.get64(CONTROL.wakesPoller) + 1);
    // An unexpected copy of a held frame may have come just before: enter_room() in bpf/queue.h saw a stopped queue.
    if (this.room && framesInRoom(control) > 0) this.stop();
  }

  /** Stops the queue as close_gate() in bpf/queue.h does: the stop is counted by whichever side sets the bit. */
  private stop(): void {
    const { control } = this;
    if ((control.or32(CONTROL.gate, GATE_STOPPED) & GATE_STOPPED) === 0) control.increment64(CONTROL.stops);
  }

  /** Releases held frames as far as the ring has free space; true once none is left and the room is closed. */
  private releaseHeld(room: Room, packets: number): boolean {
    const { control, limits, ring } = this;
    const onTheWay = segmentsOnTheWay(control);
    // From now on the copies count as if they had been sent, too.
    if (onTheWay < 0) control.set64(CONTROL.heldTwice, control.get64(CONTROL.heldTwice) - onTheWay);
    const account = this.readAccount();
    if (onTheWay <= 0 && framesInRoom(control) <= 0) {
      this.stalled = 0;
      // As closed as a room can be: the headroom takes what may still come out.
      return control.get64(CONTROL.credit) === limits.frameMax || this.grant(room, limits.frameMax, account);
    }
    // Read after the account: what has left the room meanwhile is in both, never in neither.
    const usedBytes = ring.available();
    const { ringBytes, frameMax, queuePackets } = limits;
    const grant = nextGrant({ ringBytes, frameMax, usedBytes, queuePackets, packets }, account.outstanding);
    if (grant > 0) {
      this.stalled = this.isPlausible ? 0 : this.stalled + 1;
      this.grant(room, grant, account);
    } else {
      this.stalled = usedBytes === 0 ? this.stalled + 1 : 0;
    }
    return false;
  }

  /** How much of the latest grant the room has used. */
  private readAccount(): Account {
    const { control } = this;
    const used = control.get64InOrder(CONTROL.heldCost);
    return {
      used,
      outstanding: control.get64(CONTROL.credit) + this.frameCost - (used - control.get64(CONTROL.creditBase)),
    };
  }

  /**
   * Whether anything has come out of the room since the last call. A grant may have released only kicks, of which a
   * queue limited to a few packets needs many: the next grant is due at once then.
   */
  roomMoved(): boolean {
    const held = this.control.get64(CONTROL.heldOut);
    const kicks = this.control.get64(CONTROL.kicksOut);
    if (held !== this.heldBefore) this.fruitless = 0;
    else if (kicks !== this.kicksBefore) this.fruitless++;
    const has = held !== this.heldBefore || (kicks !== this.kicksBefore && this.isPlausible);
    this.heldBefore = held;
    this.kicksBefore = kicks;
    return has;
  }

  /**
   * Whether what waits may still be behind kicks. A queue of a few packets leaves thousands of them behind a burst. Each
   * grant sends one; one that could not be sent counts as well, which only makes the bound larger.
   */
  private get isPlausible(): boolean {
    const kicks = this.control.get64(CONTROL.grants) - this.control.get64(CONTROL.kicksOut);
    return this.fruitless < FRUITLESS_MAX + Math.max(0, kicks);
  }

  /** Grants credit again although the last grant seems unused: for a silent room. */
  unstall(): void {
    if (!this.room) return;
    this.grant(this.room, this.limits.frameMax, this.readAccount());
  }

  private grant(room: Room, bytes: number, { used, outstanding }: Account): boolean {
    const { control } = this;
    const credit = control.get64(CONTROL.credit);
    // A kill in between must leave on record at least what may still come out, of the old grant and the new one.
    control.set64(CONTROL.credit, bytes + used - control.get64(CONTROL.creditBase) + Math.max(0, outstanding));
    if (!room.fill(bytes)) {
      control.set64(CONTROL.credit, credit);
      return false;
    }
    // What came out since the account was read uses up the old grant first, and then the new one.
    const since = control.get64(CONTROL.heldCost) - used;
    control.set64(CONTROL.creditBase, used + Math.min(since, Math.max(0, outstanding)));
    control.set64(CONTROL.credit, bytes);
    control.set64(CONTROL.grants, control.get64(CONTROL.grants) + 1);
    room.kick();
    return true;
  }
}

/** How far the latest grant is used up, at one reading. */
interface Account {
  /** CONTROL.heldCost at that time. */
  used: number;
  /** Bytes of the grant that may still leave the room. */
  outstanding: number;
}

// The control words of all queues of an interface, for every reader except their pollers.

export class QueueControls implements Disposable {
  readonly queues: readonly SharedWords[];
  private readonly memory: MappedMemory;

  /** Maps the map `control`, which stays the caller's and may be closed. */
  constructor({ fd, maxEntries }: BpfMap) {
    this.memory = MappedMemory.map({ fd, length: maxEntries * CONTROL.size });
    this.queues = Array.from(
      { length: maxEntries },
      (_, queue) => new SharedWords(this.memory.buffer, queue * CONTROL.size, CONTROL.size),
    );
  }

  /** The words of the first queue: for what is counted only there. */
  get first(): SharedWords {
    return this.queues[0] as SharedWords;
  }

  /** The sum of a counter over all queues. */
  sum(offset: number): number {
    return this.queues.reduce((total, queue) => total + queue.get64(offset), 0);
  }

  max(offset: number): number {
    return Math.max(...this.queues.map((queue) => queue.get64(offset)));
  }

  /** Whether any queue is stopped. */
  get stopped(): boolean {
    return this.queues.some((queue) => (queue.get32(CONTROL.gate) & GATE_STOPPED) !== 0);
  }

  /** Held frames, in all waiting rooms and on the way to them. */
  get held(): HeldFrames {
    const all = { now: 0, total: 0, dropped: 0, added: 0 };
    for (const { now, total, dropped, added } of this.queues.map(heldFrames)) {
      all.now += now;
      all.total += total;
      all.dropped += dropped;
      all.added += added;
    }
    return all;
  }

  close(): void {
    this.memory.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
