// SPDX-License-Identifier: MIT
/**
 * What is sent to a terminal without waiting for it: one that nobody reads, or that stands still, must not keep keys and
 * signals from being heard. A terminal is opened once more for that: O_NONBLOCK would be set for everybody who shares it.
 */
import * as fs from 'node:fs';

import { clock } from '../native/clock';
import { reopened } from '../native/standard-streams';

/** How often a terminal that took nothing is tried again, and how long at the end. */
const RETRY_MS = 20;
const LAST_MS = 200;

const pause = new Int32Array(new SharedArrayBuffer(4));
const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? 'EIO';

export class TerminalOutput {
  private readonly fd: number;
  private rest: Buffer = Buffer.alloc(0);
  private timer: NodeJS.Timeout | undefined;

  /**
   * @param fd a descriptor of the terminal
   * @param onLost called with the name of the errno when nothing can be written any more
   */
  constructor(fd: number, private readonly onLost: (code: string) => void) {
    this.fd = reopened(fd);
  }

  /** Whether the terminal has not taken yet what was sent last: a newer picture waits for that, or escape sequences would be cut. */
  get waits(): boolean {
    return this.rest.length > 0;
  }

  /** Sends a text behind what still waits. */
  send(text: string): void {
    this.rest = Buffer.concat([this.rest, Buffer.from(text)]);
    this.try_();
  }

  /** Sends the last text and closes; waits a moment for the terminal, and no longer. */
  end(text: string): void {
    clearTimeout(this.timer);
    this.rest = Buffer.concat([this.rest, Buffer.from(text)]);
    try {
      for (const until = clock.now() + LAST_MS; ; Atomics.wait(pause, 0, 0, RETRY_MS)) {
        this.writeSome();
        if (!this.waits || clock.now() > until) return;
      }
    } catch {
      // the terminal has gone
    } finally {
      if (this.fd > 2) fs.closeSync(this.fd);
    }
  }

  private try_(): void {
    try {
      this.writeSome();
    } catch (error) {
      this.rest = Buffer.alloc(0);
      return this.onLost(codeOf(error));
    }
    if (!this.waits) return;
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.try_();
    }, RETRY_MS).unref();
  }

  /** As much as the terminal takes at once. */
  private writeSome(): void {
    try {
      while (this.waits) this.rest = this.rest.subarray(fs.writeSync(this.fd, this.rest));
    } catch (error) {
      if (codeOf(error) !== 'EAGAIN') throw error;
    }
  }
}
