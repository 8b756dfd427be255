// SPDX-License-Identifier: MIT
/** The frames of a capture, given to a sender whole or not at all, when they are due. */
import { setImmediate as turn } from 'node:timers/promises';

import type { PacketFilter } from '../filter/program';
import { clock } from '../native/clock';
import { virtioNetHeaderOf } from '../recording/virtio-net-header';
import type { CapturedFrame } from './captured-frame';
import { FrameSender } from './frame-sender';
import { LeftOut, reasonAgainst } from './left-out';
import type { Pace } from './pace';
import type { WireFrames } from './wire-frames';

/** What frames are given to: FrameSender. */
export interface Sender {
  /** Takes a frame; true if flush() has to be waited for before the next one. */
  add(frame: Uint8Array, virtioNetHeader: Uint8Array | null): boolean;
  /** Resolves when what was taken has been sent, or `signal` is given. */
  flush(signal: AbortSignal): Promise<void>;
}

export interface ReplayOptions {
  /** Null: as fast as the sender takes them. */
  pace: Pace | null;
  /** Null: superpackets and unfinished checksums are sent as they are. */
  wire: WireFrames | null;
  /** Null: all frames. */
  filter: PacketFilter | null;
  /** Called before a gap between two frames is waited for that is longer than `longGapMs`. */
  onLongGap?: (ms: number) => void;
}

/** Gaps that are told. */
const LONG_GAP_MS = 10_000;
/** How long signals and timers wait while frames are sent. */
const TURN_MS = 50;

export class Replay {
  readonly leftOut = new LeftOut();
  /** Frames of the file that were looked at. */
  frames = 0;
  private readonly stopping = new AbortController();
  private turnedAt = clock.now();

  constructor(
    private readonly sender: Sender,
    private readonly options: ReplayOptions,
  ) {}

  /** Ends it: no frame is sent any more. */
  stop(): void {
    this.stopping.abort();
  }

  get stopped(): boolean {
    return this.stopping.signal.aborted;
  }

  /** Sends what is to be sent of them; also those before an error, which `frames` throws of what it reads from. */
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
      // What has a header was recorded in the loop, and enters it again as it did.
      const wire = header === null ? this.options.wire : null;
      const pieces = wire === null ? 1 : this.wirePieces(wire, frame.bytes);
      for (let i = 0; i < pieces; i++) if (this.sender.add(wire === null ? frame.bytes : wire.piece(i), header)) await this.flush();
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
