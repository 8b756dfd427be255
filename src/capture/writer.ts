// SPDX-License-Identifier: MIT
/**
 * Writes a recording: one file after another, each with its own statistics at the end, and the timestamps.
 */
import { clock, monotonicNow } from '../native/clock';
import type { CaptureWriter, RecordedPacket, Section, Stamp } from './contract';
import { type OutputFiles, OutputFull, type Sink } from './sink';

/** What the recorder has counted since it began. */
export interface Counts {
  missed: number;
  /** Frames whose end was missed. */
  untold: number;
  /** Frames that the filter does not match. */
  unmatched: number;
}

/** Bytes that are collected before they are written. */
const CHUNK_BYTES = 128 << 10;
/** A pipe is written to at least this often, in milliseconds: only a write shows that its reader is gone. */
const HEARTBEAT_MS = 2000;

export class RecordingOutput {
  private readonly writer: CaptureWriter;
  private sink: Sink;
  /** The write in progress. */
  private writing: Promise<void> = Promise.resolve();
  private writes = 0;
  private flushedAt = 0;
  /** Frames written or about to be written, in all files. */
  frames = 0;
  /** Bytes passed to the sinks, in all files. */
  bytes = 0;
  private file = { startedAt: 0, firstAt: 0, frames: 0, bytes: 0, before: { missed: 0, untold: 0, unmatched: 0 } };
  /** Frames in the data that has not been passed on yet. */
  private waiting = 0;

  /** Opens the first file. */
  constructor(
    private readonly files: OutputFiles,
    private readonly section: Section,
    private readonly wallClock: WallClock,
    private readonly counts: () => Counts,
    /** Puts the counts of a file into words. */
    private readonly summary: (counts: Counts) => string,
  ) {
    const Writer = files.format.load();
    this.writer = new Writer();
    this.sink = files.open();
  }

  async begin(): Promise<void> {
    this.file = { startedAt: monotonicNow(), firstAt: 0, frames: 0, bytes: 0, before: this.counts() };
    this.writer.begin(this.section);
    await this.flush();
  }

  /** Frames are all written. */
  wants(): boolean {
    return true;
  }

  async packet(packet: RecordedPacket): Promise<void> {
    if (this.isDue(packet.captured)) await this.rotate();
    if (this.file.frames === 0) this.file.firstAt = clock.now();
    this.writer.packet(packet);
    this.frames++;
    this.file.frames++;
    this.waiting++;
    if (this.writer.out.length >= CHUNK_BYTES) await this.flush();
  }

  /** Begins another file if it is time, and notices a pipe whose reader is gone. */
  async tick(): Promise<void> {
    if (this.isDue(0)) await this.rotate();
    if (this.sink.live && clock.now() - this.flushedAt > HEARTBEAT_MS) await this.writeStatistics();
  }

  private isDue(frameBytes: number): boolean {
    const { rotation } = this.files;
    const { frames, bytes, firstAt } = this.file;
    if (rotation === null || frames === 0) return false;
    return (
      bytes + this.writer.out.length + this.writer.bytesFor(frameBytes) > rotation.bytes ||
      clock.now() - firstAt >= rotation.seconds * 1000
    );
  }

  private async rotate(): Promise<void> {
    await this.end();
    this.sink = this.files.open();
    await this.begin();
  }

  /** Milliseconds for which a pipe has not been read. */
  get blockedFor(): number {
    return this.sink.live && this.writes > 0 ? clock.now() - this.flushedAt : 0;
  }

  /** Passes on what was written; waits for the previous write, not for this one. */
  async flush(): Promise<void> {
    const { out } = this.writer;
    if (out.length === 0) return;
    const bytes = out.take();
    await this.writing;
    this.waiting = 0;
    this.flushedAt = clock.now();
    this.writes++;
    this.file.bytes += bytes.length;
    this.bytes += bytes.length;
    this.writing = this.sink
      .write(bytes, (written) => this.writer.complete(written).bytes)
      .finally(() => this.writes--);
    this.writing.catch((error: unknown) => {
      if (error instanceof OutputFull) this.forget(this.writer.complete(bytes.subarray(error.kept)).frames);
    }); // the next wait for this write throws it
  }

  private forget(frames: number): void {
    this.frames -= frames;
    this.file.frames -= frames;
  }

  /** Ends the file, with everything that was recorded. */
  async end(): Promise<void> {
    await this.writeStatistics();
    await this.writing;
    await this.sink.close();
  }

  /** Ends a file that is full: it has as much of the recording as fits. */
  async endFull(): Promise<void> {
    // Data that was taken from the writer while a write failed is lost, too.
    this.forget(this.waiting);
    this.writer.out.take();
    this.addStatistics();
    await this.sink.writeLast(this.writer.out.take());
    await this.sink.close();
  }

  private async writeStatistics(): Promise<void> {
    this.addStatistics();
    await this.flush();
  }

  private addStatistics(): void {
    const { startedAt, frames, before } = this.file;
    const now = this.counts();
    const counts = {
      missed: now.missed - before.missed,
      untold: now.untold - before.untold,
      unmatched: now.unmatched - before.unmatched,
    };
    this.writer.statistics({
      start: this.wallClock.stamp(startedAt),
      end: this.wallClock.stamp(monotonicNow()),
      received: frames + counts.missed + counts.unmatched,
      dropped: counts.missed,
      delivered: frames,
      accepted: this.section.filter === undefined ? undefined : frames,
      comment: this.summary(counts),
    });
  }
}

// Converts the kernel's monotonic clock to 64-bit timestamps, one for each frame, without BigInt.

export class WallClock {
  private readonly seconds: number;
  private readonly nanoseconds: number;

  /**
   * Both clocks at one moment: milliseconds since 1970, and nanoseconds. Later changes of the wall clock have no
   * effect.
   */
  constructor(wallMs = performance.timeOrigin + performance.now(), monotonic = monotonicNow()) {
    const seconds = Math.floor(monotonic / 1e9);
    const wallSeconds = Math.floor(wallMs / 1000);
    this.seconds = wallSeconds - seconds;
    this.nanoseconds = Math.round((wallMs - wallSeconds * 1000) * 1e6) - (monotonic - seconds * 1e9);
  }

  /** A time of CLOCK_MONOTONIC as nanoseconds since 1970. */
  stamp(monotonic: number): Stamp {
    const whole = Math.floor(monotonic / 1e9);
    return product(whole + this.seconds, monotonic - whole * 1e9 + this.nanoseconds);
  }
}

/** Seconds and (perhaps negative) nanoseconds as nanoseconds, in halves; each step stays below 2^53. */
function product(seconds: number, nanoseconds: number): Stamp {
  const upper = Math.floor(seconds / 65536) * 1e9; // of 2^16 ns
  const rest = (seconds % 65536) * 1e9 + nanoseconds + (upper % 65536) * 65536;
  const carry = Math.floor(rest / 4294967296);
  return { high: Math.floor(upper / 65536) + carry, low: rest - carry * 4294967296 };
}
