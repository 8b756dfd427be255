// SPDX-License-Identifier: MIT
/** The frames of an interface, for the pages that show them: one recording, as `record` makes it, serves all of them. */
import { kindOf, tookOf } from '../capture/comment';
import type { RecordedPacket } from '../capture/contract';
import { type FrameListener, Recorder } from '../capture/recorder';
import type { RecordedFrame } from '../capture/trace-ring';
import { clock } from '../native/clock';
import { parseFilter } from '../packet/filter';
import type { FilterFunction } from '../packet/filter-code';
import { Frame, summaryOf } from '../packet/frame';
import type { Attachment } from '../state/store';
import { refusalOf } from './actions';
import type { FrameSeen, FromServer, Refusal } from './protocol';

/** Bytes of each frame that are recorded and sent. */
const SNAP_BYTES = 256;
/** Frames wait in it for this process; smaller than that of `record`, because a page shows a sample anyway. */
const BUFFER_BYTES = 4 << 20;
/** Milliseconds after which a recording is tried again, such as one that somebody else makes just now. */
const RETRY_MS = 1000;
/** The same the first time: the one before, of this process, may not be quite over. */
const RETRY_SOON_MS = 200;
/** Frames in a message, of which there are ten a second: 500 frames a second. */
const BATCH_MAX = 50;
/** Recorded frames between two messages after which the others are left out, unless a page wants only certain ones. */
const SAMPLE = 2 * BATCH_MAX;
/** Round trips from which percentiles are computed, and how old the last of them may be, in milliseconds. */
const ROUND_TRIPS = 1024;
const ROUND_TRIPS_OLD_MS = 1000;
const ETHERNET_HEADER = 14;

/** The frames for one page since its last message: the first BATCH_MAX; of others the number. */
export class FrameBatch {
  private frames: FrameSeen[] = [];
  private missed = 0;
  private number = 0;
  private told: Refusal | null = null;
  private readonly filter: FilterFunction | null;

  /** `filter` in tcpdump's syntax; '' matches all. Throws USAGE. */
  constructor(filter: string) {
    this.filter = filter.trim() === '' ? null : parseFilter(filter).compiled();
  }

  /** Whether it wants all frames, so that any sample of them will do. */
  get wantsAll(): boolean {
    return this.filter === null;
  }

  matches({ block, frameAt, captured, length }: RecordedFrame): boolean {
    return this.filter === null || this.filter(block.bytes, frameAt, captured, length);
  }

  /** Whether there is a place for one more frame; if not, it counts as missed. */
  hasPlace(): boolean {
    if (this.frames.length < BATCH_MAX) return true;
    this.missed++;
    return false;
  }

  add(frame: Omit<FrameSeen, 'number'>): void {
    this.frames.push({ number: ++this.number, ...frame });
  }

  miss(count: number): void {
    this.missed += count;
  }

  /** What there is to tell the page; null if nothing is new. Begins anew. */
  take(name: string, unavailable: Refusal | null): Extract<FromServer, { type: 'frames' }> | null {
    const { frames, missed } = this;
    const isNews = unavailable?.message !== this.told?.message;
    if (frames.length === 0 && missed === 0 && !isNews) return null;
    this.frames = [];
    this.missed = 0;
    this.told = unavailable;
    return { type: 'frames', interface: name, frames, missed, unavailable };
  }
}

/** The last round trips, in microseconds. */
class RoundTrips {
  private readonly ring = new Float64Array(ROUND_TRIPS);
  private count = 0;
  private at = -Infinity;

  add(us: number): void {
    this.ring[this.count++ % ROUND_TRIPS] = us;
    this.at = clock.now();
  }

  percentiles(): { p50: number; p99: number } | null {
    if (clock.now() - this.at > ROUND_TRIPS_OLD_MS) {
      this.count = 0;
      return null;
    }
    const sorted = this.ring.slice(0, Math.min(this.count, ROUND_TRIPS)).sort();
    const at = (share: number): number => Math.round(sorted[Math.floor((sorted.length - 1) * share)] as number);
    return { p50: at(0.5), p99: at(0.99) };
  }
}

/** A recording as long as there are batches to fill. */
export class FrameFeed implements FrameListener {
  private readonly batches = new Set<FrameBatch>();
  private readonly roundTrips = new RoundTrips();
  private recorder: Recorder | null = null;
  private running: Promise<void> | null = null;
  private retryAt = -Infinity;
  /** Attempts that have failed since the last recording. */
  private failures = 0;
  private missed = 0;
  /** Frames recorded since the last tick. */
  private seen = 0;
  /** The batches for the frame that wants() was asked about last. */
  private places: FrameBatch[] = [];
  /** Why there is no recording; null if there is one, or none is wanted. */
  unavailable: Refusal | null = null;

  /** `before`: what has to be over before the first recording begins. */
  constructor(private readonly before: Promise<unknown>) {}

  add(batch: FrameBatch): void {
    this.batches.add(batch);
  }

  delete(batch: FrameBatch): void {
    this.batches.delete(batch);
    if (this.batches.size === 0) this.recorder?.stop();
  }

  /** Round trips through the loop, from vnet0's egress to the reinjection; null if none were recorded lately. */
  get latency(): { p50: number; p99: number } | null {
    return this.roundTrips.percentiles();
  }

  /** Begins to record, if that is wanted and not the case; counts the frames that the recording has missed. */
  keepGoing(attachment: Attachment): void {
    this.seen = 0;
    this.recorder?.resume();
    if (this.recorder) this.countMissed(this.recorder.recorded.missed);
    if (this.batches.size === 0 || this.running || clock.now() < this.retryAt) return;
    this.running = this.record(attachment).finally(() => (this.running = null));
  }

  private countMissed(missed: number): void {
    if (missed > this.missed) for (const batch of this.batches) batch.miss(missed - this.missed);
    this.missed = missed;
  }

  private async record(attachment: Attachment): Promise<void> {
    try {
      await this.before;
      const options = { bufferBytes: BUFFER_BYTES, snapLen: SNAP_BYTES, count: Infinity, application: '' };
      using recorder = await Recorder.begin(attachment, this, { ...options, filter: null });
      this.unavailable = null;
      this.failures = 0;
      this.missed = 0;
      this.recorder = recorder;
      if (this.batches.size === 0) recorder.stop();
      await recorder.run();
    } catch (error) {
      if (this.failures++ > 0) this.unavailable = refusalOf(error);
      this.retryAt = clock.now() + (this.failures > 1 ? RETRY_MS : RETRY_SOON_MS);
    } finally {
      this.recorder = null;
    }
  }

  wants(frame: RecordedFrame): boolean {
    if (++this.seen === SAMPLE && [...this.batches].every(({ wantsAll }) => wantsAll)) this.recorder?.pause();
    if (kindOf(frame) === 'passed' && frame.ending === 'told') this.roundTrips.add((frame.endedAt - frame.time) / 1000);
    this.places.length = 0;
    for (const batch of this.batches) if (batch.matches(frame) && batch.hasPlace()) this.places.push(batch);
    return this.places.length > 0;
  }

  heard({ high, low, length, comment }: RecordedPacket, frame: RecordedFrame): void {
    const bytes = frame.bytes.subarray(0, SNAP_BYTES);
    const seen = {
      time: (high * 4294967296 + low) / 1e6,
      length,
      summary: summaryLine(bytes),
      outcome: comment,
      kind: kindOf(frame),
      took: tookOf(frame),
      bytes: Buffer.from(bytes).toString('base64'),
    };
    for (const batch of this.places) batch.add(seen);
  }

  /** Ends the recording; resolves when nothing of it is left. */
  async close(): Promise<void> {
    this.batches.clear();
    this.recorder?.stop();
    await this.running;
  }
}

/** The headers behind Ethernet's in one line; Ethernet's if there are none that are known. */
export function summaryLine(bytes: Uint8Array): string {
  if (bytes.length < ETHERNET_HEADER) return 'shorter than an Ethernet header';
  const [ethernet, ...others] = summaryOf(Frame.of(bytes));
  return (others.length === 0 ? [ethernet ?? ''] : others).map((line) => line.replace(/ +/g, ' ').trim()).join('; ');
}
