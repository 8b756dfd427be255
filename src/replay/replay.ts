// SPDX-License-Identifier: MIT
/** The frames of a capture, given to a sender whole or not at all, when they are due. */
import { virtioNetHeaderOf } from '../recording/virtio-net-header';
import type { CapturedFrame } from './captured-frame';
import { FrameSender } from './frame-sender';
import type { Pace } from './pace';

/** What frames are given to: FrameSender. */
export interface Sender {
  add(frame: Uint8Array, virtioNetHeader: Uint8Array | null): void;
  flush(): void;
}

export class Replay {
  /** Frames of which the file has only a part, or more than a frame can have. */
  cut = 0;

  constructor(
    private readonly sender: Sender,
    private readonly pace: Pace | null,
  ) {}

  async send(frames: Iterable<CapturedFrame>): Promise<void> {
    for (const { time, length, bytes, comments } of frames) {
      if (bytes.length < length || bytes.length > FrameSender.MAX_BYTES) {
        this.cut++;
        continue;
      }
      const wait = this.pace?.dueIn(time) ?? 0;
      if (wait > 0) {
        this.sender.flush();
        await this.pace?.wait(wait);
      }
      this.sender.add(bytes, headerOf(comments));
    }
    this.sender.flush();
  }
}

function headerOf(comments: readonly string[]): Uint8Array | null {
  for (const comment of comments) {
    const header = virtioNetHeaderOf(comment);
    if (header) return header;
  }
  return null;
}
