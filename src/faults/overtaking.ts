// SPDX-License-Identifier: MIT
/**
 * The frames of one direction of a connection that wait until others have passed, as `reorder` makes them. A frame
 * whose longest wait is over has left: it is forgotten sooner or later, so there are never many more frames here than
 * those that wait.
 */

interface Held {
  ticket: number;
  /** How many frames of the direction must have passed. */
  at: number;
  /** When its longest wait is over, in milliseconds. */
  until: number;
}

/** The number of frames that are kept without a look at which of them have left. */
const KEPT = 64;

/** Frames that wait for equally many others, so the first of them is the next. */
class Line {
  private held: Held[] = [];
  private first = 0;
  private lookAt = KEPT;

  get length(): number {
    return this.held.length - this.first;
  }

  add(frame: Held, now: number): void {
    if (this.held.length >= this.lookAt) {
      this.held = this.held.slice(this.first).filter(({ until }) => until > now);
      this.first = 0;
      this.lookAt = Math.max(KEPT, 2 * this.held.length);
    }
    this.held.push(frame);
  }

  release(passed: number, released: number[]): void {
    for (let head = this.held[this.first]; head !== undefined && head.at <= passed; head = this.held[++this.first])
      released.push(head.ticket);
    if (this.first < this.held.length) return;
    this.held.length = 0;
    this.first = 0;
  }
}

export class Overtaking {
  /** By how many frames they wait for: rules may differ in that. */
  private readonly lines = new Map<number, Line>();
  private passed = 0;

  /** Number of frames that are kept. */
  get length(): number {
    return [...this.lines.values()].reduce((sum, line) => sum + line.length, 0);
  }

  /** Lets the frame with this ticket wait until `by` more have passed, or until `until`. */
  add(ticket: number, by: number, until: number, now: number): void {
    const line = this.lines.get(by) ?? new Line();
    this.lines.set(by, line);
    line.add({ ticket, at: this.passed + by, until }, now);
  }

  /** Another frame passes; adds the tickets of those for which it was the last. */
  pass(released: number[]): void {
    this.passed++;
    for (const line of this.lines.values()) line.release(this.passed, released);
  }
}
