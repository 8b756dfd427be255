// SPDX-License-Identifier: MIT
/**
 * Frames that a hook delays, in the memory of its thread, until they are due. Their records have left the ring.
 *
 * They do not wait in the ring, because it frees space only in order: one waiting frame would occupy all the space
 * after it, and after a crash the frames that were sent after it would be sent again. A frame that waits when its
 * thread ends, however that ends, is lost and counted as lost (countLostWaiting in src/datapath/recovery.ts).
 *
 *   blocks of 2 KiB:  [f1][f2 .][f2  ][ free ][f3]        a frame has as many as it needs, and each names the next
 *   heap of frames:   f3 (due 10.5) f1 (due 12.0) f2 (due 40.2)
 *
 * The memory is limited. A frame is judged only if there is space for it, so frames that do not fit stay in the ring,
 * and behind it in the kernel. Frames that are due at the same time leave in their order.
 */

const BLOCK_BYTES = 2048;
/** Bytes for all frames that wait. The memory is allocated for the first frame. */
export const WAITING_BYTES = 64 << 20;
const NONE = -1;

export class WaitingFrames {
  private memory: Uint8Array = new Uint8Array(0);
  private readonly blocks: number;
  /** By block: the next block of the frame, or the next free one. */
  private next = new Int32Array(0);
  private free = NONE;
  private freeBlocks: number;
  // By the first block of each frame.
  private dues = new Float64Array(0);
  private orders = new Float64Array(0);
  private lengths = new Int32Array(0);
  private tickets = new Int32Array(0);
  /** Where in the heap the frame is. */
  private places = new Int32Array(0);
  /** First blocks, as a binary heap. */
  private heap = new Int32Array(0);
  private size = 0;
  private order = 0;
  /** Number of frames removed by discard() that nobody has counted yet. */
  discarded = 0;
  private readonly byTicket = new Map<number, number>();

  constructor(bytes = WAITING_BYTES) {
    this.blocks = Math.floor(bytes / BLOCK_BYTES);
    this.freeBlocks = this.blocks;
  }

  /** Number of frames. */
  get length(): number {
    return this.size;
  }

  /** When the first frame is due, in milliseconds; Infinity without frames. */
  get due(): number {
    return this.size === 0 ? Infinity : (this.dues[this.heap[0] as number] as number);
  }

  /** Whether this many frames, with these bytes in total, would fit. */
  fits(frames: number, bytes: number): boolean {
    // Each frame wastes at most a part of a block.
    return frames + Math.ceil(bytes / BLOCK_BYTES) <= this.freeBlocks;
  }

  /**
   * Keeps a copy of `memory[at, at + length)`, which must fit, until `due`. A `ticket` other than 0 names it for
   * hasten().
   */
  add(memory: Uint8Array, at: number, length: number, due: number, ticket = 0): void {
    if (this.next.length === 0) this.takeMemory();
    const first = this.takeBlock();
    let block = first;
    for (let done = 0; ;) {
      const part = Math.min(BLOCK_BYTES, length - done);
      this.memory.set(memory.subarray(at + done, at + done + part), block * BLOCK_BYTES);
      done += part;
      if (done >= length) break;
      block = this.next[block] = this.takeBlock();
    }
    this.next[block] = NONE;
    this.dues[first] = due;
    this.orders[first] = this.order++;
    this.lengths[first] = length;
    this.tickets[first] = ticket;
    if (ticket !== 0) this.byTicket.set(ticket, first);
    this.place(this.size, first);
    this.up(this.size++);
  }

  /** Bytes of the first frame if it is due at `now`, otherwise 0. */
  ready(now: number): number {
    if (this.size === 0) return 0;
    const first = this.heap[0] as number;
    return (this.dues[first] as number) <= now ? (this.lengths[first] as number) : 0;
  }

  /** Copies the first frame to `into` and removes it. */
  take(into: Uint8Array): void {
    const first = this.heap[0] as number;
    let left = this.lengths[first] as number;
    let last = first;
    for (let block = first, to = 0; block !== NONE; block = this.next[block] as number) {
      const part = Math.min(BLOCK_BYTES, left);
      into.set(this.memory.subarray(block * BLOCK_BYTES, block * BLOCK_BYTES + part), to);
      to += part;
      left -= part;
      last = block;
      this.freeBlocks++;
    }
    this.next[last] = this.free;
    this.free = first;
    const ticket = this.tickets[first] as number;
    if (ticket !== 0) this.byTicket.delete(ticket);
    const moved = this.heap[--this.size] as number;
    if (this.size === 0) return;
    this.place(0, moved);
    this.down(0);
  }

  /** Makes the frame with that ticket due at another time; does nothing if it has left, or is leaving. */
  move(ticket: number, due: number): void {
    const first = this.byTicket.get(ticket);
    if (first === undefined || this.dues[first] === -Infinity) return;
    this.dues[first] = due;
    this.up(this.places[first] as number);
    this.down(this.places[first] as number);
  }

  /** Makes the frame with that ticket due at once; does nothing if it has left. */
  hasten(ticket: number): void {
    this.move(ticket, -Infinity);
  }

  /** Removes the frame with that ticket; it counts in `discarded`. Does nothing if it has left, or is leaving. */
  discard(ticket: number): void {
    const first = this.byTicket.get(ticket);
    if (first === undefined || this.dues[first] === -Infinity) return;
    this.byTicket.delete(ticket);
    this.discarded++;
    let last = first;
    for (let block = first; block !== NONE; block = this.next[block] as number) {
      last = block;
      this.freeBlocks++;
    }
    this.next[last] = this.free;
    this.free = first;
    const place = this.places[first] as number;
    const moved = this.heap[--this.size] as number;
    if (place === this.size) return;
    this.place(place, moved);
    this.up(place);
    this.down(this.places[moved] as number);
  }

  /** Makes all frames due at once; they leave in the order in which they would have. */
  hastenAll(): void {
    // Once all are equally due, only their orders keep them in the order of their times.
    const sorted = this.heap.slice(0, this.size).sort((a, b) => (this.isBefore(a, b) ? -1 : 1));
    sorted.forEach((first, i) => {
      this.dues[first] = -Infinity;
      this.orders[first] = i - this.size;
      this.place(i, first);
    });
  }

  private takeMemory(): void {
    const { blocks } = this;
    this.memory = new Uint8Array(blocks * BLOCK_BYTES);
    this.next = Int32Array.from({ length: blocks }, (_, i) => (i + 1 < blocks ? i + 1 : NONE));
    this.free = 0;
    this.dues = new Float64Array(blocks);
    this.orders = new Float64Array(blocks);
    [this.lengths, this.tickets, this.places, this.heap] = [
      new Int32Array(blocks),
      new Int32Array(blocks),
      new Int32Array(blocks),
      new Int32Array(blocks),
    ];
  }

  private takeBlock(): number {
    const block = this.free;
    if (block === NONE) throw new RangeError('no memory is left for frames that wait');
    this.free = this.next[block] as number;
    this.freeBlocks--;
    return block;
  }

  private isBefore(a: number, b: number): boolean {
    const difference = (this.dues[a] as number) - (this.dues[b] as number);
    // NaN: both are hastened.
    return difference < 0 || (!(difference > 0) && (this.orders[a] as number) < (this.orders[b] as number));
  }

  private place(at: number, first: number): void {
    this.heap[at] = first;
    this.places[first] = at;
  }

  private up(from: number): void {
    const moving = this.heap[from] as number;
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      const above = this.heap[parent] as number;
      if (!this.isBefore(moving, above)) break;
      this.place(at, above);
      at = parent;
    }
    this.place(at, moving);
  }

  private down(from: number): void {
    const moving = this.heap[from] as number;
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.size) break;
      if (child + 1 < this.size && this.isBefore(this.heap[child + 1] as number, this.heap[child] as number)) child++;
      const below = this.heap[child] as number;
      if (!this.isBefore(below, moving)) break;
      this.place(at, below);
      at = child;
    }
    this.place(at, moving);
  }
}
