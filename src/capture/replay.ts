// SPDX-License-Identifier: MIT
/**
 * Replays the frames of a capture: passes each to a sender when it is due, whole or not at all. Frames that cannot be
 * sent are left out, with a reason.
 */
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';

import { clock } from '../native/clock';
import type { PacketFilter } from '../packet/filter';
import { ETH_HEADER_BYTES } from '../packet/headers';
import { virtioNetHeaderOf } from './comment';
import { type CapturedFrame, LINKTYPE_ETHERNET, linkTypeText } from './contract';
import { FrameSender, type WireFrames } from './sender';

// Frames of a capture that are not sent, and why.

interface Reason {
  /** Follows the number of frames. */
  words: string;
  /** What to do about it; null where nothing is wrong. */
  hint: string | null;
}

/** Reasons, in the order in which they are reported. */
const REASONS = {
  cut: {
    words: 'not whole: cut off when captured',
    hint: 'capture or record without a snapshot length (tcpdump -s 0, no --snaplen)',
  },
  lengths: {
    words: 'with lengths that contradict each other',
    hint: 'tcprewrite --fixlen=trunc -i FILE -o NEW writes lengths anew',
  },
  oversize: { words: 'longer than any frame of the loop', hint: 'no interface can send them' },
  runt: {
    words: 'shorter than an Ethernet header',
    hint: 'they are no Ethernet frames; editcap -r FILE NEW picks others',
  },
  toolong: { words: 'longer than the MTU, and no superpacket', hint: null },
  filter: { words: 'that the filter does not match', hint: null },
} as const satisfies Record<string, Reason>;

export type ReasonName = keyof typeof REASONS;

/** Why a frame cannot be sent on any interface; null if it can. */
export function reasonAgainst({ captured, length, bytes }: CapturedFrame, bytesMax: number): ReasonName | null {
  if (captured > length) return 'lengths';
  if (captured > bytesMax) return 'oversize';
  if (bytes.length < captured) return 'lengths';
  if (captured < length) return 'cut';
  return captured < ETH_HEADER_BYTES ? 'runt' : null;
}

export class LeftOut {
  readonly byReason = new Map<ReasonName, number>();
  /** Frames of link types other than Ethernet, by type. */
  readonly byLinkType = new Map<number, number>();
  /** Length of the longest frame that exceeds the MTU, in bytes. */
  longest = 0;

  add(reason: ReasonName): void {
    increment(this.byReason, reason);
  }

  /** Counts a frame of another link type; returns false for an Ethernet frame. */
  addOther({ linkType }: CapturedFrame): boolean {
    if (linkType === LINKTYPE_ETHERNET) return false;
    increment(this.byLinkType, linkType);
    return true;
  }

  get total(): number {
    return sum(this.byReason) + sum(this.byLinkType);
  }

  /** Ethernet frames that should have been sent. */
  get failed(): number {
    return sum(this.byReason) - (this.byReason.get('filter') ?? 0);
  }

  /** Counts by reason; `linkType` has the frames of other link types. */
  counts(): Record<string, number> {
    return {
      ...Object.fromEntries(this.byReason),
      ...(this.byLinkType.size > 0 && { linkType: sum(this.byLinkType) }),
    };
  }

  /** Text such as `3 not whole: cut off when captured, 1 of link type 101 (raw IP)`. */
  words(): string {
    const reasons = this.reasons().map((reason) => `${this.byReason.get(reason)} ${REASONS[reason].words}`);
    return [...reasons, ...[...this.byLinkType].map(([type, count]) => `${count} of ${linkTypeText(type)}`)].join(', ');
  }

  /** What to do about the first reason. */
  hint(iface: string, mtuFor: (bytes: number) => number | null): string {
    const [first] = this.reasons();
    if (first !== 'toolong')
      return (first && REASONS[first].hint) ?? 'capture on an Ethernet interface, not on "any" or a tunnel';
    const mtu = mtuFor(this.longest);
    return mtu === null
      ? 'capture them again on an interface with an MTU of at most 65535'
      : `ip link set ${iface} mtu ${mtu}`;
  }

  private reasons(): ReasonName[] {
    return (Object.keys(REASONS) as ReasonName[]).filter((reason) => this.byReason.has(reason));
  }
}

function increment<K>(counts: Map<K, number>, key: K): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function sum(counts: ReadonlyMap<unknown, number>): number {
  let total = 0;
  for (const count of counts.values()) total += count;
  return total;
}

/** What sends the frames: FrameSender. */
export interface Sender {
  /** Takes a frame; true if the caller must await flush() before the next one. */
  add(frame: Uint8Array, virtioNetHeader: Uint8Array | null): boolean;
  /** Resolves when the frames taken have been sent, or `signal` is aborted. */
  flush(signal: AbortSignal): Promise<void>;
}

export interface ReplayOptions {
  /** Null: as fast as the sender takes them. */
  pace: Pace | null;
  /** Null: superpackets and unfinished checksums are sent as they are. */
  wire: WireFrames | null;
  /** Null: all frames. */
  filter: PacketFilter | null;
  /** Called before the wait for a gap that is longer than LONG_GAP_MS. */
  onLongGap?: (ms: number) => void;
}

/** Longer gaps are reported, in milliseconds. */
const LONG_GAP_MS = 10_000;
/** How long signals and timers may wait while frames are sent, in milliseconds. */
const TURN_MS = 50;

export class Replay {
  readonly leftOut = new LeftOut();
  /** Frames of the file that were read. */
  frames = 0;
  private readonly stopping = new AbortController();
  private turnedAt = clock.now();

  constructor(
    private readonly sender: Sender,
    private readonly options: ReplayOptions,
  ) {}

  /** Ends the replay: no further frame is sent. */
  stop(): void {
    this.stopping.abort();
  }

  get stopped(): boolean {
    return this.stopping.signal.aborted;
  }

  /** Sends the frames that have to be sent, including those before an error that `frames` throws while it reads. */
  async send(frames: Iterable<CapturedFrame>): Promise<void> {
    try {
      await this.sendEach(frames);
    } finally {
      await this.flush();
    }
  }

  private async sendEach(frames: Iterable<CapturedFrame>): Promise<void> {
    const { pace } = this.options;
    for (const frame of frames) {
      if (this.stopped) return;
      this.frames++;
      if (this.leftOut.addOther(frame) || this.isLeftOut(frame)) continue;
      const wait = pace?.dueIn(frame.time) ?? 0;
      if (wait > 0) {
        await this.flush();
        if (wait > LONG_GAP_MS) this.options.onLongGap?.(wait);
        await pace?.wait(wait, this.stopping.signal);
        if (this.stopped) return;
      }
      const header = headerOf(frame.comments);
      // A frame with a header was recorded in the loop, and enters it again as it did then.
      const wire = header === null ? this.options.wire : null;
      const pieces = wire === null ? 1 : this.wirePieces(wire, frame.bytes);
      for (let i = 0; i < pieces; i++)
        if (this.sender.add(wire === null ? frame.bytes : wire.piece(i), header)) await this.flush();
    }
  }

  private wirePieces(wire: WireFrames, frame: Uint8Array): number {
    const pieces = wire.open(frame);
    if (pieces === 0) {
      this.leftOut.add('toolong');
      this.leftOut.longest = Math.max(this.leftOut.longest, frame.length);
    }
    return pieces;
  }

  private isLeftOut(frame: CapturedFrame): boolean {
    const { filter } = this.options;
    const matches = filter === null || filter.matches(frame.bytes, 0, frame.bytes.length, frame.length);
    const reason = matches ? reasonAgainst(frame, FrameSender.MAX_BYTES) : 'filter';
    if (reason === null) return false;
    this.leftOut.add(reason);
    return true;
  }

  private async flush(): Promise<void> {
    await this.sender.flush(this.stopping.signal);
    if (clock.now() - this.turnedAt < TURN_MS) return;
    await turn();
    this.turnedAt = clock.now();
  }
}

function headerOf(comments: readonly string[]): Uint8Array | null {
  for (const comment of comments) {
    const header = virtioNetHeaderOf(comment);
    if (header) return header;
  }
  return null;
}

// When the frames of a capture are due if they are sent as far apart as they were captured.

/** How late one of Node's timers may be, in milliseconds. */
const TIMER_MS = 2;
/** Longest delay of one of Node's timers, 24.8 days in milliseconds: a longer one ends at once. */
const TIMER_MAX_MS = 2 ** 31 - 1;
/**
 * Captures from several sources have times that go back by less than this. A larger step back means that the clock was
 * set, or that another file begins.
 */
const DISORDER_NS = 1_000_000_000n;

const word = new Int32Array(new SharedArrayBuffer(4));

export class Pace {
  /** The latest time of a frame so far. */
  private latest: bigint | null = null;
  /** When that frame was due, in milliseconds. */
  private due = 0;

  /** Longer gaps than `maxGapMs` are shortened to it. */
  constructor(private readonly maxGapMs = Infinity) {}

  /** Milliseconds until a frame of this time is due; 0 or less: now. A frame without a time is due at once. */
  dueIn(time: bigint | null): number {
    if (time === null) return 0;
    if (this.latest === null) this.due = clock.now();
    const gap = this.latest === null ? 0n : time - this.latest;
    if (this.latest === null || gap > 0n || gap < -DISORDER_NS) this.latest = time;
    if (gap > 0n) this.due += Math.min(Number(gap) / 1e6, this.maxGapMs);
    return this.due - clock.now();
  }

  /** Waits, at the end without the event loop, whose timers are not exact. The signal ends the wait early. */
  async wait(ms: number, signal?: AbortSignal): Promise<void> {
    const end = clock.now() + ms;
    for (let left = ms; left > TIMER_MS && !signal?.aborted; left = end - clock.now()) {
      await delay(Math.min(left - TIMER_MS, TIMER_MAX_MS), undefined, { signal }).catch(() => undefined);
    }
    const rest = end - clock.now();
    if (rest > 0 && !signal?.aborted) Atomics.wait(word, 0, 0, rest);
  }
}
