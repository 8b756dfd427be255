// SPDX-License-Identifier: MIT
/**
 * Lines that send one frame after another, each with a queue. How fast a line sends is one thing (Service), which
 * frames its queue drops another: a frame that finds the queue full, or, with CoDel, one that has waited for too long.
 *
 * CoDel decides when a frame is about to be sent, and by what has come in until then. Until then its frames wait as long
 * as they would if no frame before them were dropped; a decision corrects that.
 */
import { Codel, type CodelSettings } from './codel';
import type { QueueLimit } from './rules';
import type { Opportunities } from './trace';

/** How fast a line sends. Times are in milliseconds. */
export interface Service {
  /** When a frame that has arrived at `from` would begin to be sent, after those that were sent before. */
  begins(from: number): number;
  /** Sends a frame of this many bytes; returns when all of it has been sent. */
  send(from: number, bytes: number): number;
  /** The same service at the same point. */
  copy(): Service;
}

/** A constant rate. */
export class ConstantRate implements Service {
  constructor(
    private readonly bytesPerMs: number,
    private freeAt = 0,
  ) {}

  begins(from: number): number {
    return Math.max(from, this.freeAt);
  }

  send(from: number, bytes: number): number {
    return (this.freeAt = this.begins(from) + bytes / this.bytesPerMs);
  }

  copy(): ConstantRate {
    return new ConstantRate(this.bytesPerMs, this.freeAt);
  }
}

/** Bytes that one opportunity delivers, and those that each packet has beyond its IP packet (mahimahi's link_queue.cc). */
const OPPORTUNITY_BYTES = 1504;
const TUN_HEADER_BYTES = 4;
const ETHERNET_BYTES = 14;

/** The opportunities of a trace, from the first frame on. What an opportunity could have delivered besides is lost. */
export class RecordedRate implements Service {
  constructor(
    private readonly trace: Opportunities,
    /** When the first frame came. */
    private base = NaN,
    /** The opportunity being used: its time, and the bytes that it has left. */
    private at = -Infinity,
    private left = 0,
    /** The number of the next one. */
    private next = 0,
  ) {}

  begins(from: number): number {
    if (Number.isNaN(this.base)) this.base = from;
    return this.isUsable(from) ? this.at : this.timeOf(this.after(from));
  }

  send(from: number, bytes: number): number {
    if (Number.isNaN(this.base)) this.base = from;
    for (let need = Math.max(1, bytes - ETHERNET_BYTES) + TUN_HEADER_BYTES; need > 0;) {
      if (!this.isUsable(from)) {
        const number = this.after(from);
        this.at = this.timeOf(number);
        this.next = number + 1;
        this.left = OPPORTUNITY_BYTES;
      }
      const part = Math.min(need, this.left);
      need -= part;
      this.left -= part;
    }
    return this.at;
  }

  copy(): RecordedRate {
    return new RecordedRate(this.trace, this.base, this.at, this.left, this.next);
  }

  /** Only frames that were there at the time of an opportunity can use the rest of it. */
  private isUsable(from: number): boolean {
    return this.left > 0 && from < this.at;
  }

  private after(from: number): number {
    return Math.max(this.next, this.trace.firstAfter(from - this.base));
  }

  private timeOf(number: number): number {
    return this.base + this.trace.timeOf(number);
  }
}

/** A queue that drops what finds it full. */
export class TailDropLine {
  /** When everything has been sent, in milliseconds, and what has not been sent at a time. */
  private readonly sent: { at: number; bytes: number }[] = [];
  private first = 0;
  private bytes = 0;
  private lastSent = 0;

  constructor(
    private readonly service: Service,
    private readonly limit: Exclude<QueueLimit, { codel: true }>,
  ) {}

  /** When a frame that arrives at `now` has been sent; Infinity if it finds the queue full. */
  admit(now: number, bytes: number): number {
    this.forget(now);
    if ('ms' in this.limit ? this.lastSent - now > this.limit.ms : this.bytes > this.limit.bytes) return Infinity;
    this.lastSent = this.service.send(now, bytes);
    if ('bytes' in this.limit) {
      this.sent.push({ at: this.lastSent, bytes });
      this.bytes += bytes;
    }
    return this.lastSent;
  }

  private forget(now: number): void {
    const { sent } = this;
    for (let head = sent[this.first]; head !== undefined && head.at <= now; head = sent[++this.first])
      this.bytes -= head.bytes;
    if (this.first < FORGET_AT) return;
    sent.splice(0, this.first);
    this.first = 0;
  }
}

/** Number of frames of the past that are kept, because a list is shortened in one go. */
const FORGET_AT = 1024;

/** A frame in the queue of CoDel. */
export interface Queued {
  readonly arrives: number;
  readonly bytes: number;
  /** When it will have been sent if no frame before it is dropped. */
  due: number;
}

/** Called with each frame about which CoDel has decided: when it will have been sent, or Infinity if it is dropped. */
export type Decided<T extends Queued> = (frame: T, due: number) => void;

/** The most frames in the queue of CoDel, as in the kernel (net/sched/sch_codel.c). */
const CODEL_FRAMES_MAX = 1000;

export class CodelLine<T extends Queued> {
  private readonly codel: Codel<T>;
  private readonly queue: T[] = [];
  /** What has been sent, and that plus all of the queue. */
  private planned: Service;
  private lastArrival = -Infinity;

  constructor(
    private readonly service: Service,
    settings: CodelSettings,
  ) {
    this.codel = new Codel(settings);
    this.planned = service.copy();
  }

  /** When the next decision is due; Infinity while the queue is empty. */
  get due(): number {
    const [head] = this.queue;
    return head === undefined ? Infinity : this.service.begins(head.arrives);
  }

  /** Adds the frame that `make` makes, or returns null if the queue is full. The time must have been advanced to now. */
  admit(now: number, bytes: number, make: (queued: Queued) => T): T | null {
    if (this.queue.length >= CODEL_FRAMES_MAX) return null;
    // Frames are sent in the order in which they were decided on, so one cannot arrive before another.
    this.lastArrival = Math.max(now, this.lastArrival);
    const frame = make({ arrives: this.lastArrival, bytes, due: this.planned.send(this.lastArrival, bytes) });
    this.queue.push(frame);
    return frame;
  }

  /** Makes all decisions that are due until `now`. */
  advance(now: number, decided: Decided<T>): void {
    for (let at = this.due; at <= now && at < Infinity; at = this.due) {
      const before = this.queue.length;
      const frame = this.codel.dequeue(at, this.queue, (dropped) => decided(dropped, Infinity));
      const isKept = frame !== null;
      if (isKept) decided(frame, this.service.send(frame.arrives, frame.bytes));
      if (before - this.queue.length > (isKept ? 1 : 0)) this.planAnew();
    }
  }

  /** After a drop, everything behind goes sooner. */
  private planAnew(): void {
    this.planned = this.service.copy();
    for (const frame of this.queue) frame.due = this.planned.send(frame.arrives, frame.bytes);
  }
}
