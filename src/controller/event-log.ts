// SPDX-License-Identifier: MIT
/**
 * The log of an interface. Each event becomes a line with the prefix `VNET: ` in the kernel log, and a line with its
 * time in the interface's own file. /dev/kmsg accepts 10 lines in 5 seconds from one writer (devkmsg ratelimit in
 * kernel/printk), so bursts are summarized rather than lost.
 */
import * as fs from 'node:fs';

import type { QueueControls } from '../datapath/queue-gate';
import { CONTROL } from '../layout';
import { clock } from '../native/clock';
import { printable } from '../printable';

// The log file. Lines are written whole or not at all. The first line that can be written again comes after a line that
// tells how many are missing.

/** Size in bytes at which the log is cut in half. */
const BYTES_MAX = 1 << 20;
const { O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_RDWR } = fs.constants;
/** Whatever lies in the log's place, these flags neither follow a symbolic link nor block. */
const FLAGS = O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK;

export class LogFile {
  private missing = 0;
  private why = '';

  constructor(private readonly file: string) {}

  /** Adds a line, given without its newline. Never throws: the interface works without its log. */
  append(line: string): void {
    try {
      this.write(this.missing > 0 ? `${this.gap()}\n${line}\n` : `${line}\n`);
      this.missing = 0;
    } catch (error) {
      this.missing++;
      this.why = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    }
  }

  private gap(): string {
    return `${new Date().toISOString()} VNET: ${this.missing} ${this.missing === 1 ? 'line is' : 'lines are'} missing here, which could not be written (${this.why})`;
  }

  private write(lines: string): void {
    const fd = fs.openSync(this.file, FLAGS, 0o600);
    try {
      const { size } = fs.fstatSync(fd);
      appendWhole(fd, size, Buffer.from(lines));
      if (size > BYTES_MAX) cutInHalf(fd);
    } finally {
      fs.closeSync(fd);
    }
  }
}

/** Appends `bytes` whole or not at all: half a line, as on a full disk, is taken back. */
function appendWhole(fd: number, size: number, bytes: Buffer): void {
  try {
    for (let written = 0; written < bytes.length;) written += fs.writeSync(fd, bytes, written);
  } catch (error) {
    fs.ftruncateSync(fd, size);
    throw error;
  }
}

/** Moves the second half to the beginning, in place, so that it needs no disk space. */
function cutInHalf(fd: number): void {
  // Opened anew for an open file description of its own: with O_APPEND, pwrite(2) would append and reading would begin
  // at the end.
  const file = fs.openSync(`/proc/self/fd/${fd}`, O_RDWR);
  try {
    const text = fs.readFileSync(file);
    const kept = text.subarray(text.indexOf('\n', text.length >> 1) + 1);
    for (let written = 0; written < kept.length;)
      written += fs.writeSync(file, kept, written, kept.length - written, written);
    fs.ftruncateSync(file, kept.length);
  } finally {
    fs.closeSync(file);
  }
}

const KMSG_INFO = '<6>';

export class EventLog implements Disposable {
  private readonly log: LogFile;
  private kmsg: number;

  constructor(file: string) {
    this.log = new LogFile(file);
    try {
      this.kmsg = fs.openSync('/dev/kmsg', 'w');
    } catch {
      this.kmsg = -1; // a container without /dev/kmsg still has the log file
    }
  }

  /** Writes one line to both logs. Never throws. */
  write(message: string): void {
    const text = printable(message);
    if (this.kmsg >= 0) {
      try {
        fs.writeSync(this.kmsg, `${KMSG_INFO}VNET: ${text}\n`);
      } catch {
        // the kernel log may be closed to this process; the file has the line
      }
    }
    this.log.append(`${new Date().toISOString()} VNET: ${text}`);
  }

  close(): void {
    if (this.kmsg < 0) return;
    fs.closeSync(this.kmsg);
    this.kmsg = -1;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

export interface QueueReading {
  stops: number;
  wakes: number;
  stopped: boolean;
}

export const queueReadingOf = (controls: QueueControls): QueueReading => ({
  stops: controls.sum(CONTROL.stops),
  wakes: controls.sum(CONTROL.wakesTx) + controls.sum(CONTROL.wakesPoller),
  stopped: controls.stopped,
});

/**
 * Announcements that may follow each other at once; after those, one per interval. That stays below the kernel log's
 * limit.
 */
const BURST = 2;
const INTERVAL_MS = 2500;

/** Announces stops and wakes of the queue; those that come too fast are summed up. */
export class QueueAnnouncer {
  private announced: QueueReading = { stops: 0, wakes: 0, stopped: false };
  private tokens = BURST;
  private refilled = clock.now();
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly iface: () => string,
    private readonly read: () => QueueReading,
    private readonly write: (text: string) => void,
  ) {
    this.announced = read();
  }

  /** Reads the queue and announces what is new, now or when the limit allows. */
  update(): void {
    const now = clock.now();
    this.tokens = Math.min(BURST, this.tokens + (now - this.refilled) / INTERVAL_MS);
    this.refilled = now;
    const reading = this.read();
    const stops = reading.stops - this.announced.stops;
    const wakes = reading.wakes - this.announced.wakes;
    if (stops === 0 && wakes === 0) return;
    if (this.tokens < 1) {
      this.timer ??= setTimeout(() => {
        this.timer = undefined;
        this.update();
      }, INTERVAL_MS).unref();
      return;
    }
    this.tokens -= 1;
    this.announced = reading;
    this.say('stopped', stops, 'ring full');
    this.say('woken', wakes, 'drained to the low watermark');
  }

  private say(what: string, times: number, why: string): void {
    if (times > 0) this.write(`queue ${what} on ${this.iface()}: ${why}${times > 1 ? `, ${times} times` : ''}`);
  }

  /** Announces at once what is still pending. */
  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.tokens = 1;
    this.update();
  }
}
