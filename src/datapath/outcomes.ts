// SPDX-License-Identifier: MIT
/**
 * What can become of a frame, why it can be refused (`REFUSALS`), and the outcomes ring, in which the poller reports to
 * a recorder what became of each frame: its number, the outcome, and when. One writer and one reader map a BPF array.
 * When the ring is full, outcomes are counted as missed: the poller never waits, and allocates nothing.
 *
 *   page 0   head (slots written, by the poller) | tail (slots read, by the recorder) | missed | number of slots
 *   pages    slot: u32 number | u32 outcome, detail << 8 | double: CLOCK_MONOTONIC in ns
 */
import * as fs from 'node:fs';

import { BpfMap, MapFlag, MappedMemory, MapType } from 'libbpf-ts';

import { CONTROL, type REFUSALS as TX_REFUSALS } from '../layout';
import { clock, monotonicNow } from '../native/clock';

export const PAGE = 4096;
/** Offsets in the first page, each in a cache line of its own. */
export const OUTCOMES_HEADER = { head: 0, tail: 64, missed: 128, slots: 192 } as const;
export const SLOT_BYTES = 16;

/**
 * Slots for a trace ring of `traceBytes`, a power of two: enough for its smallest records, and as many frames that it
 * misses. At most 64 MiB.
 */
export const slotsFor = (traceBytes: number): number => Math.min(traceBytes >>> 6, 1 << 22);

// Why frames are refused.

/** Of the programs, or read from the peer's counter. */
interface Refused {
  /** What it means; docs/metrics.md begins with it, and goes on. */
  help: string;
}

/** Of the poller: the socket will never take the frame. */
export interface RefusedByPoller extends Refused {
  /** Where it is counted: an offset in struct control. */
  counter: number;
  /** In the outcomes ring, beside the values of OUTCOME. */
  outcome: number;
  /** Answers of the socket that mean it, whatever the frame; transmitter.ts finds others out. */
  errnos: readonly string[];
}

/**
 * One row per reason, in the order of `stats --json`; those of the programs come first, in the order of enum refusal.
 * The name is the key in `refused` of `stats`, the label in Prometheus, and what the comments of a recording say.
 */
export const REFUSALS = {
  full: { help: 'the queue was stopped, or became so' },
  oversize: { help: 'larger than the largest record' },
  runt: { help: 'shorter than an Ethernet header' },
  gso: { help: 'a superpacket that virtio_net_hdr cannot describe' },
  unreadable: { help: 'the kernel could not copy it' },
  unholdable: { help: 'it would have had to wait, but is larger than what can wait' },
  toolong: {
    help: "longer than the interface's MTU lets it receive",
    counter: CONTROL.refusedToolong,
    outcome: 2,
    errnos: ['EMSGSIZE'],
  },
  invalid: { help: 'the kernel rejected the frame', counter: CONTROL.refusedInvalid, outcome: 3, errnos: ['EINVAL'] },
  down: {
    help: 'vnet0 was down or gone when its turn came',
    counter: CONTROL.refusedDown,
    outcome: 4,
    errnos: ['ENETDOWN', 'ENXIO', 'ENODEV'],
  },
  backlog: { help: "lost in the receiving CPU's backlog" },
  error: { help: 'any other error on the reinject path', counter: CONTROL.refusedError, outcome: 5, errnos: [] },
} as const satisfies Readonly<Record<(typeof TX_REFUSALS)[number], Refused>> &
  Readonly<Record<string, Refused | RefusedByPoller>>;

export type Refusal = keyof typeof REFUSALS;

const rows = Object.entries(REFUSALS) as [Refusal, Refused | RefusedByPoller][];
/** The rows of the poller, with their names. */
export const POLLER_REFUSALS: readonly (RefusedByPoller & { name: Refusal })[] = rows.flatMap(([name, row]) =>
  'counter' in row ? [{ name, ...row }] : [],
);

/** Outcomes of a captured frame that was not refused. A comment explains `detail` where an outcome has one. */
export const OUTCOME = {
  /** `detail`: frames that crossed as one packet, this one included. */
  reinjected: 1,
  /** By a hook: discarded; replaced by another frame; a superpacket of which `detail` pieces went on or wait. */
  dropped: 6,
  changed: 7,
  segmented: 8,
  /** By a hook: delayed by `detail` tenths of a millisecond. */
  delayed: 9,
  /**
   * Not how its way ended: a rule of faults has done something to it. Its outcome follows. `detail`: see faultOf().
   */
  fault: 10,
} as const;

/** The most rules in a set, as a power of two, and the most sets: rules that are put in place count from 0 again. */
const RULE_BITS = 10;
export const FAULT_SETS = 1 << (24 - RULE_BITS);

/** The `detail` of OUTCOME.fault: a rule, by its index in a set of rules. */
export const faultOf = (set: number, rule: number): number => (set << RULE_BITS) | rule;
export const ruleOfFault = (fault: number): { set: number; rule: number } => ({
  set: fault >>> RULE_BITS,
  rule: fault & ((1 << RULE_BITS) - 1),
});

/** The first page of a new ring. */
export function outcomesHeader(slots: number): Uint8Array {
  const page = new Uint8Array(PAGE);
  new DataView(page.buffer).setUint32(OUTCOMES_HEADER.slots, slots, true);
  return page;
}

export function createOutcomes(slots: number): BpfMap {
  const map = BpfMap.create({
    type: MapType.ARRAY,
    name: 'outcomes',
    keySize: 4,
    valueSize: PAGE,
    maxEntries: 1 + (slots * SLOT_BYTES) / PAGE,
    flags: MapFlag.MMAPABLE,
  });
  map.set(new Uint8Array(4), outcomesHeader(slots));
  return map;
}

/** Maps the whole ring; the descriptor stays the caller's. */
export function mapOutcomes(fd: number): MappedMemory {
  using first = MappedMemory.map({ fd, length: PAGE });
  const slots = new Uint32Array(first.buffer)[OUTCOMES_HEADER.slots >>> 2] as number;
  return MappedMemory.map({ fd, length: PAGE + slots * SLOT_BYTES });
}

/** CLOCK_MONOTONIC in nanoseconds minus the polling threads' clock, which allocates nothing when it is read. */
const clockOffset = (): number => monotonicNow() - clock.now() * 1e6;

/** The poller's end of the ring. */
export class OutcomeWriter {
  private readonly words: Uint32Array;
  private readonly doubles: Float64Array;
  private readonly offset = clockOffset();
  private readonly slots: number;
  private head: number;

  private constructor(private readonly memory: MappedMemory) {
    this.words = new Uint32Array(memory.buffer);
    this.doubles = new Float64Array(memory.buffer);
    this.head = this.words[OUTCOMES_HEADER.head >>> 2] as number;
    this.slots = this.words[OUTCOMES_HEADER.slots >>> 2] as number;
  }

  /**
   * Maps the array and closes the descriptor. Null if mapping fails: outcomes are unknown then, and the loop goes on.
   */
  static take(fd: number): OutcomeWriter | null {
    try {
      return new OutcomeWriter(mapOutcomes(fd));
    } catch {
      return null;
    } finally {
      fs.closeSync(fd);
    }
  }

  /** The current time, for note(). */
  now(): number {
    return clock.now() * 1e6 + this.offset;
  }

  /**
   * Notes the outcome of the frame that left the ring as number `position` of all. CPUs may have put frames into the
   * ring in another order than they took numbers: `stamp`, the low half of the frame's number, says which frame it is.
   */
  note(position: number, stamp: number, outcome: number, detail: number, time: number): void {
    const { words } = this;
    if ((this.head - Atomics.load(words, OUTCOMES_HEADER.tail >>> 2)) >>> 0 >= this.slots) {
      words[OUTCOMES_HEADER.missed >>> 2] = (words[OUTCOMES_HEADER.missed >>> 2] as number) + 1;
      return;
    }
    const slot = PAGE + (this.head & (this.slots - 1)) * SLOT_BYTES;
    words[slot >>> 2] = position + (((stamp - position) << 16) >> 16);
    words[(slot >>> 2) + 1] = (detail << 8) | outcome;
    this.doubles[(slot >>> 3) + 1] = time;
    this.head = (this.head + 1) >>> 0;
  }

  /** Makes the notes visible to the recorder; called before the frames are counted as drained. */
  publish(): void {
    Atomics.store(this.words, OUTCOMES_HEADER.head >>> 2, this.head);
  }

  close(): void {
    this.memory.close();
  }
}

/** Puts a descriptor into the word from which a poll loop takes it, or 0 for none; closes one that was not taken. */
export function handOver(command: Int32Array, word: number, fd: number): void {
  const untaken = Atomics.exchange(command, word, fd);
  if (untaken > 0) fs.closeSync(untaken);
}

/** In that word: the loop has taken the descriptor, and writes outcomes. */
export const TAKEN = -1;

// The recorder's end of the ring.

/** `number` is truncated to 32 bits; `time` is CLOCK_MONOTONIC in ns. */
export type OutcomeListener = (number: number, outcome: number, detail: number, time: number) => void;

export class OutcomeReader implements Disposable {
  private readonly memory: MappedMemory;
  private readonly words: Uint32Array;
  private readonly doubles: Float64Array;
  private readonly slots: number;
  private tail: number;

  constructor(outcomes: { fd: number }) {
    this.memory = mapOutcomes(outcomes.fd);
    this.words = new Uint32Array(this.memory.buffer);
    this.doubles = new Float64Array(this.memory.buffer);
    this.slots = this.words[OUTCOMES_HEADER.slots >>> 2] as number;
    this.tail = this.words[OUTCOMES_HEADER.tail >>> 2] as number;
  }

  /** The number of slots written so far. */
  get written(): number {
    return Atomics.load(this.words, OUTCOMES_HEADER.head >>> 2);
  }

  /** Outcomes for which the ring had no free slot. */
  get missed(): number {
    return Atomics.load(this.words, OUTCOMES_HEADER.missed >>> 2);
  }

  /** Passes the outcomes up to `written` to the listener; returns how many there were. */
  takeUntil(written: number, listener: OutcomeListener): number {
    const { words, doubles } = this;
    const count = (written - this.tail) >>> 0;
    for (let i = 0; i < count; i++) {
      const slot = PAGE + ((this.tail + i) & (this.slots - 1)) * SLOT_BYTES;
      const what = words[(slot >>> 2) + 1] as number;
      listener(words[slot >>> 2] as number, what & 0xff, what >>> 8, doubles[(slot >>> 3) + 1] as number);
    }
    this.tail = written;
    Atomics.store(words, OUTCOMES_HEADER.tail >>> 2, written);
    return count;
  }

  close(): void {
    this.memory.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
