// SPDX-License-Identifier: MIT
/**
 * Records one interface: asks its controller for a trace ring, reads it, and writes what happens to each frame. The
 * recorder is a process of its own: whatever happens to it, the loop goes on.
 *
 * The order of reading matters: first how far the poller has written outcomes, then how far the trace ring is written,
 * because a frame is in the trace ring before the poller can have it.
 */
import * as os from 'node:os';
import * as path from 'node:path';

import { BpfMap, MappedMemory } from 'libbpf-ts';

import type { RecordingAnswer } from '../control/orders';
import { ControlClient } from '../control/socket';
import { OutcomeReader } from '../datapath/outcomes';
import { heldFrames } from '../datapath/queue-gate';
import { SharedWords } from '../datapath/shared-memory';
import { CONTROL } from '../layout';
import { clock } from '../native/clock';
import type { PacketFilter } from '../packet/filter';
import { printable } from '../printable';
import { visiblePins } from '../state/bpffs';
import { type Attachment, controlSocket } from '../state/store';
import { commentOf } from './comment';
import { FRAME_BYTES_MAX, type RecordedPacket, type Section } from './contract';
import { FaultWords } from './fault-words';
import { FrameLog, type Progress } from './frame-log';
import { RECORDING_PINS } from './session';
import { type OutputFiles, OutputFull } from './sink';
import { type RecordedFrame, TraceReader } from './trace-ring';
import { type Counts, RecordingOutput, WallClock } from './writer';

export interface RecorderOptions {
  bufferBytes: number;
  /** Bytes kept of each frame. */
  snapLen: number;
  /** Frames after which the recording ends; Infinity: never. */
  count: number;
  application: string;
  /** Null: all frames. */
  filter: PacketFilter | null;
}

export interface Recorded {
  frames: number;
  missed: number;
  /** Frames that the filter does not match. */
  unmatched: number;
  bytes: number;
}

/** Takes the frames of a recording that goes into no file. Its methods must not throw. */
export interface FrameListener {
  /** Whether heard() is to be called with the frame. This is called for each frame, once its end is known. */
  wants(frame: RecordedFrame): boolean;
  heard(packet: RecordedPacket, frame: RecordedFrame): void;
}

/** Stands where RecordingOutput does for a recording that goes into no file. */
class ToListener {
  frames = 0;
  readonly bytes = 0;
  readonly blockedFor = 0;

  constructor(private readonly listener: FrameListener) {}

  wants(frame: RecordedFrame): boolean {
    return this.listener.wants(frame);
  }

  packet(packet: RecordedPacket, frame: RecordedFrame): Promise<void> {
    this.frames++;
    this.listener.heard(packet, frame);
    return Promise.resolve();
  }

  readonly begin = (): Promise<void> => Promise.resolve();
  readonly flush = this.begin;
  readonly tick = this.begin;
  readonly end = this.begin;
  readonly endFull = this.begin;
}

/**
 * Interval between looks at the trace ring, in milliseconds: nothing wakes the recorder, so it costs the loop nothing.
 */
const LOOK_MS = 5;
/** Memory for frames whose end is not known yet, in bytes; above it the oldest are written without it. */
const OPEN_BYTES_MAX = 256 << 20;
/** How long the end of a recording waits for frames that are still in the loop, in milliseconds. */
const LINGER_MS = 200;

function sectionOf({ iface, netns }: Attachment, { application, snapLen, filter }: RecorderOptions): Section {
  const description = printable(
    `frames that ${iface}${netns.name === null ? '' : ` in ${netns.name}`} transmits, looped by vnet-bpf`,
  );
  return {
    application,
    os: `${os.type()} ${os.release()}`,
    interface: printable(iface),
    description,
    snapLen,
    filter: filter?.expression,
  };
}

export class Recorder implements Disposable {
  private readonly clock = new WallClock();
  private readonly log = new FrameLog();
  private readonly faultWords: FaultWords;
  private readonly owned: Disposable[] = [];
  private readonly trace: TraceReader;
  private readonly outcomes: OutcomeReader;
  private readonly control: SharedWords;
  private readonly output: RecordingOutput | ToListener;
  /** Frames that were written without their end, which was missed. */
  private untold = 0;
  /** Frames that came while the recording was paused, and how many had been captured when it was paused last. */
  private leftOut = 0;
  private pausedAt: number | null = null;
  private stopping = false;
  /** Whether the controller has ended the recording because the interface goes away. */
  private over = false;
  private wake: () => void = () => undefined;

  private constructor(
    private readonly client: ControlClient,
    private readonly before: RecordingAnswer,
    attachment: Attachment,
    into: OutputFiles | FrameListener,
    private readonly options: RecorderOptions,
  ) {
    this.faultWords = new FaultWords(client);
    const pins = visiblePins(attachment);
    using trace = BpfMap.openPinned(path.join(pins, RECORDING_PINS.trace));
    using outcomes = BpfMap.openPinned(path.join(pins, RECORDING_PINS.outcomes));
    using control = BpfMap.openPinned(path.join(pins, 'control'));
    this.trace = this.own(new TraceReader(trace, options.filter));
    this.outcomes = this.own(new OutcomeReader(outcomes));
    const memory = this.own(MappedMemory.map({ fd: control.fd, length: CONTROL.size }));
    this.control = new SharedWords(memory.buffer, 0, CONTROL.size);
    this.output =
      'wants' in into
        ? new ToListener(into)
        : new RecordingOutput(
            into,
            sectionOf(attachment, options),
            this.clock,
            () => this.counts,
            (counts) => this.summary(counts),
          );
  }

  private own<T extends Disposable>(resource: T): T {
    this.owned.push(resource);
    return resource;
  }

  /**
   * Starts recording. Throws a VnetError if no process loops the interface, or it is being recorded; nothing stays open
   * then.
   */
  static async begin(
    attachment: Attachment,
    into: OutputFiles | FrameListener,
    options: RecorderOptions,
  ): Promise<Recorder> {
    const client = await ControlClient.connect(controlSocket(attachment.id));
    try {
      const { bufferBytes, filter } = options;
      // The filter may read more of a frame than the recording keeps.
      const snapLen = Math.min(FRAME_BYTES_MAX, Math.max(options.snapLen, filter?.bytesNeeded ?? 0));
      const before = (await client.ask({ order: 'record', bufferBytes, snapLen })) as RecordingAnswer;
      const recorder = new Recorder(client, before, attachment, into, options);
      client.onGone(() => recorder.end());
      return recorder;
    } catch (error) {
      client.close();
      throw error;
    }
  }

  /** Ends the recording soon: run() then resolves. */
  stop(): void {
    this.stopping = true;
    this.wake();
  }

  /** Leaves frames out from now on, which count as missed, so that a recording of which a sample is enough costs little. */
  pause(): void {
    if (this.pausedAt !== null) return;
    this.pausedAt = this.control.get64(CONTROL.captured);
    this.tell(true);
  }

  /** Goes on after pause(). */
  resume(): void {
    if (this.pausedAt === null) return;
    this.leftOut += this.control.get64(CONTROL.captured) - this.pausedAt;
    this.pausedAt = null;
    this.tell(false);
  }

  private tell(paused: boolean): void {
    // A controller that is gone ends the recording.
    this.client.ask({ order: 'record-pause', paused }).catch(() => undefined);
  }

  private end(): void {
    this.over = true;
    this.stop();
  }

  /** Records until stop(), until enough frames are written, or until the interface is gone. */
  async run(): Promise<Recorded> {
    try {
      await this.output.begin();
      while (!this.stopping && this.output.frames < this.options.count) {
        if ((await this.look(false)) > 0) continue;
        await this.output.tick();
        await this.rest(LOOK_MS);
      }
      await this.finish();
    } catch (error) {
      if (error instanceof OutputFull) await this.output.endFull();
      throw error;
    }
    return this.recorded;
  }

  /** Milliseconds for which a pipe has not been read. */
  get blockedFor(): number {
    return this.output.blockedFor;
  }

  /** The result so far. */
  get recorded(): Recorded {
    const { frames, bytes } = this.output;
    return { frames, missed: this.missed, unmatched: this.trace.unmatched, bytes };
  }

  private get counts(): Counts {
    return { missed: this.missed, untold: this.untold, unmatched: this.trace.unmatched };
  }

  /** Frames that were not recorded. */
  private get missed(): number {
    return this.control.get64(CONTROL.traceMissed) - this.before.missed + this.leftOut;
  }

  /** Reads what has been written; returns how many items there were. */
  private async look(force: boolean): Promise<number> {
    const progress = this.progress();
    const told = this.outcomes.written;
    const written = this.trace.written;
    let taken = 0;
    while (this.trace.read < written) {
      const count = this.trace.take(this.log);
      taken += count;
      if (count === 0) await this.rest(0); // a record is being written
      if (taken % 8192 < count) await this.drain(false);
    }
    taken += this.outcomes.takeUntil(told, (number, outcome, detail, time) =>
      this.log.told(number, outcome, detail, time),
    );
    this.log.progress = progress;
    await this.drain(force);
    return taken;
  }

  private progress(): Progress {
    const { control } = this;
    return {
      captured: control.get64(CONTROL.captured),
      drained: control.get64(CONTROL.drained),
      roomIsEmpty: heldFrames(control).now === 0,
    };
  }

  /** Writes the frames whose end is known, or all. */
  private async drain(all: boolean): Promise<void> {
    const { log, output, options } = this;
    while (output.frames < options.count) {
      const frame = log.shift(all || log.bytes > OPEN_BYTES_MAX);
      if (!frame) break;
      if (output.wants(frame)) {
        const { high, low } = this.clock.stamp(frame.time);
        const packet = {
          high,
          low,
          length: frame.length,
          block: frame.block,
          at: frame.frameAt,
          captured: Math.min(frame.captured, options.snapLen),
          comment: commentOf(frame, frame.faults === null ? [] : await this.faultWords.of(frame.faults)),
        };
        await output.packet(packet, frame);
      }
      if (frame.ending === 'untold' || frame.ending === 'lost') this.untold++;
    }
    await output.flush();
  }

  /** Ends the recording; waits up to LINGER_MS for frames that are still in the loop. */
  private async finish(): Promise<void> {
    if (!this.over) await this.client.ask({ order: 'record-stop' }).catch(() => undefined);
    for (const end = clock.now() + LINGER_MS; ; await this.rest(LOOK_MS)) {
      await this.look(false);
      if (this.over || this.log.bytes === 0 || clock.now() > end || this.output.frames >= this.options.count) break;
    }
    await this.look(true);
    this.client.close();
    await this.output.end();
  }

  private summary({ missed, untold, unmatched }: Counts): string {
    const ends = `${untold === 0 ? '' : `; of ${untold} more the end was missed`}${unmatched === 0 ? '' : `; ${unmatched} did not match the filter`}`;
    return missed === 0
      ? `no frame was missed${ends}`
      : `${missed} frames were missed: the recorder was too slow for --buffer ${this.options.bufferBytes}${ends}`;
  }

  private rest(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  [Symbol.dispose](): void {
    this.client.close();
    for (const resource of this.owned.splice(0)) resource[Symbol.dispose]();
  }
}
