// SPDX-License-Identifier: MIT
/**
 * One direction of a TCP connection: numbers relative to its beginning, which go on where those of the header wrap, and
 * which bytes have been sent before.
 */

/** Spans of missing bytes that are remembered. */
const GAPS_MAX = 64;

export interface Seen {
  /** Relative number of the first byte, and of the byte after the last. */
  from: number;
  to: number;
  /**
   * `new`: sent for the first time. `again`: some of it was sent before. `late`: it belongs before bytes that came
   * earlier, and was not seen before.
   */
  order: 'new' | 'again' | 'late';
  /** Bytes before it that have not been seen. */
  missing: number;
}

export class Sequence {
  private base: number | null = null;
  /** Relative number of the byte after the last that was sent. */
  next = 0;
  private gaps: (readonly [from: number, to: number])[] = [];

  /** Whether a number has been seen. */
  get isKnown(): boolean {
    return this.base !== null;
  }

  /** Whether a SYN with this number begins another connection. */
  isOther(sequence: number): boolean {
    return this.base !== null && this.base !== sequence;
  }

  /**
   * The number of a header relative to the beginning. The first byte of data is 1, with and without a SYN: the first
   * number that is asked about is that of a SYN with `isSyn`, otherwise that of data.
   */
  relative(sequence: number, isSyn = false): number {
    if (this.base === null) {
      this.base = isSyn ? sequence : (sequence - 1) >>> 0;
      this.next = isSyn ? 0 : 1;
    }
    // The nearest number to the last one, in either direction, that has these 32 bits.
    return this.next + ((sequence - this.base - this.next) | 0);
  }

  /** Notes that `length` numbers were sent; SYN and FIN have one each. */
  send(sequence: number, length: number, isSyn: boolean): Seen {
    const from = this.relative(sequence, isSyn);
    const to = from + length;
    const missing = Math.max(0, from - this.next);
    if (missing > 0) this.miss(this.next, from);
    let order: Seen['order'] = 'new';
    if (from < this.next && length > 0) {
      const filled = this.fill(from, to);
      order = Math.min(to, this.next) - from > filled ? 'again' : 'late';
    }
    this.next = Math.max(this.next, to);
    return { from, to, order, missing };
  }

  /** Notes that the other side acknowledges everything up to a relative number; returns how much of it was not seen. */
  acknowledge(to: number): number {
    const missing = Math.max(0, to - this.next);
    if (missing > 0) this.miss(this.next, to);
    this.next = Math.max(this.next, to);
    return missing;
  }

  private miss(from: number, to: number): void {
    this.gaps.push([from, to]);
    if (this.gaps.length > GAPS_MAX) this.gaps.shift();
  }

  /** Takes a span out of the gaps; returns how many of its bytes were in them. */
  private fill(from: number, to: number): number {
    let filled = 0;
    this.gaps = this.gaps.flatMap(([start, end]): (readonly [number, number])[] => {
      const [first, last] = [Math.max(from, start), Math.min(to, end)];
      if (first >= last) return [[start, end]];
      filled += last - first;
      return [[start, first] as const, [last, end] as const].filter(([a, b]) => a < b);
    });
    return filled;
  }
}
