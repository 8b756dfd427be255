// SPDX-License-Identifier: MIT
/**
 * Joins what the trace ring says of a frame, when it left the waiting room, and its outcome. Frames are passed on in
 * the order in which they were captured, each once its outcome is known.
 */
import { OUTCOME } from '../datapath/outcomes';
import { ROOM_NUMBERED } from '../layout';
import type { RecordedFrame, TraceListener } from './trace-ring';

// Frames that wait for news, by number. Numbers are consecutive, so nearly each frame has a slot of its own. Frames
// that share a slot queue there: two CPUs took one number in the same instant, or the numbers have wrapped round.

export class Waiting {
  private readonly slots: (RecordedFrame | null)[];
  /** The frames after the first, for each slot that several share. */
  private readonly behind = new Map<number, RecordedFrame[]>();

  /** `size` is a power of two. */
  constructor(private readonly size: number) {
    this.slots = new Array<RecordedFrame | null>(size).fill(null);
  }

  put(frame: RecordedFrame): void {
    const slot = frame.number & (this.size - 1);
    if (this.slots[slot] === null) {
      this.slots[slot] = frame;
      return;
    }
    const others = this.behind.get(slot);
    if (others) others.push(frame);
    else this.behind.set(slot, [frame]);
  }

  /** Takes the frame with that number that has waited longest; only the bits in `mask` count. */
  take(number: number, mask = -1): RecordedFrame | null {
    const frame = this.find(number, mask);
    if (frame) this.remove(frame);
    return frame;
  }

  /** That frame, which stays. */
  find(number: number, mask = -1): RecordedFrame | null {
    const slot = number & (this.size - 1);
    const first = this.slots[slot] as RecordedFrame | null;
    if (first === null || ((first.number ^ number) & mask) === 0) return first;
    return this.behind.get(slot)?.find((each) => ((each.number ^ number) & mask) === 0) ?? null;
  }

  remove(frame: RecordedFrame): void {
    const slot = frame.number & (this.size - 1);
    const others = this.behind.size === 0 ? undefined : this.behind.get(slot);
    if (this.slots[slot] === frame) this.slots[slot] = others?.shift() ?? null;
    else if (others) others.splice(others.indexOf(frame), others.includes(frame) ? 1 : 0);
    if (others?.length === 0) this.behind.delete(slot);
  }
}

/** The bits of a held frame's number that are still known when it leaves the room. */
const ROOM_BITS = ROOM_NUMBERED - 1;
/** Frames that may be in the ring without sharing slots; more of them only take longer. */
const RING_SLOTS = 1 << 18;
/** Frames by which CPUs may disagree about the order. */
const DISORDER = 64;

/** Frames by which one in the room cannot be overtaken; far fewer than it takes numbers to wrap round. */
const OVERTAKEN = 1024;

/** How far the loop was before the trace ring and the outcomes were read. */
export interface Progress {
  /** Frames ever put into the ring, and taken out of it. */
  captured: number;
  drained: number;
  roomIsEmpty: boolean;
}

export class FrameLog implements TraceListener {
  /** Frames in the order of capture, from index `first` on. */
  private queue: RecordedFrame[] = [];
  private first = 0;
  /** Frames in the ring, by their number among the captured ones. */
  private readonly inRing = new Waiting(RING_SLOTS);
  /** Frames in the waiting room, by the part of their number that is kept there. */
  private readonly inRoom = new Waiting(ROOM_BITS + 1);
  /** The loop's progress from before the data read so far was written. */
  progress: Progress = { captured: 0, drained: 0, roomIsEmpty: false };
  /** The number in the room of the frame that left it last. */
  private lastReleased = 0;
  /** Memory of the frames whose end is awaited here, in bytes. */
  bytes = 0;

  captured(frame: RecordedFrame): void {
    this.append(frame);
    this.inRing.put(frame);
  }

  held(frame: RecordedFrame): void {
    this.append(frame);
    this.inRoom.put(frame);
  }

  refused(frame: RecordedFrame, reason: number): void {
    this.append(frame);
    frame.refuse(reason, frame.time);
  }

  released(tag: number, number: number, time: number): void {
    const frame = this.takeFromRoom(tag);
    if (!frame) return; // held before the recording began, missed, or a copy that a qdisc on the interface made
    this.lastReleased = frame.number;
    frame.release(number, time);
    this.inRing.put(frame);
  }

  roomRefused(tag: number, reason: number, time: number): void {
    this.takeFromRoom(tag)?.refuse(reason, time);
  }

  private takeFromRoom(tag: number): RecordedFrame | null {
    return (tag & ROOM_NUMBERED) === 0 ? null : this.inRoom.take(tag, ROOM_BITS);
  }

  /** Notes an outcome; ignores that of a frame captured before the recording began, or missed. */
  told(number: number, outcome: number, detail: number, time: number): void {
    if (outcome !== OUTCOME.fault) return this.inRing.take(number)?.end(outcome, detail, time);
    const frame = this.inRing.find(number);
    if (frame) (frame.faults ??= []).push(detail);
  }

  /** The next frame, once its end is known or will never be known; with `force`, as it is. */
  shift(force: boolean): RecordedFrame | null {
    const frame = this.queue[this.first];
    if (!frame) return null;
    if (frame.ending === 'open') {
      if (this.isGone(frame)) this.giveUp(frame, frame.inRoom ? 'lost' : 'untold');
      else if (force) this.giveUp(frame, 'open');
      else return null;
    }
    this.bytes -= frame.size;
    this.first++;
    if (this.first >= 4096 && this.first * 2 >= this.queue.length) {
      this.queue = this.queue.slice(this.first);
      this.first = 0;
    }
    return frame;
  }

  /** Whether the loop is done with the frame, although no outcome has been read. */
  private isGone(frame: RecordedFrame): boolean {
    const { captured, drained, roomIsEmpty } = this.progress;
    // First in, first out: a frame that many others have overtaken has left, and that was missed.
    if (frame.inRoom) return roomIsEmpty || ((this.lastReleased - frame.number) << 1) >> 1 > OVERTAKEN;
    const behind = (drained - frame.number) | 0;
    return behind > DISORDER || (behind > 0 && drained === captured);
  }

  private append(frame: RecordedFrame): void {
    this.queue.push(frame);
    this.bytes += frame.size;
  }

  private giveUp(frame: RecordedFrame, ending: RecordedFrame['ending']): void {
    if (frame.inRoom) this.inRoom.remove(frame);
    else this.inRing.remove(frame);
    frame.ending = ending;
  }
}
