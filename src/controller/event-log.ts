// SPDX-License-Identifier: MIT
/**
 * The log of an interface: each event is a line in the kernel log with the prefix `VNET: ` and a line with its time in the
 * interface's own file. /dev/kmsg takes 10 lines in 5 seconds from one writer (kernel/printk, devkmsg ratelimit), so
 * storms are summed up rather than lost.
 */
import * as fs from 'node:fs';

import { clock } from '../native/clock';
import { printable } from '../printable';

// The log of an interface: lines are written whole or not at all, and how many could not be written is said with the first that can.

/** The log is cut in half when it has grown to this. */
const BYTES_MAX = 1 << 20;
const { O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_RDWR } = fs.constants;
/** Whatever lies in its place, opening it neither follows a link nor waits. */
const FLAGS = O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK;

export class LogFile {
  private missing = 0;
  private why = '';

  constructor(private readonly file: string) {}

  /** Adds a line, without its end. Throws nothing: what is logged goes on without its log. */
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

/** Half a line is taken back: the disk is full. */
function appendWhole(fd: number, size: number, bytes: Buffer): void {
  try {
    for (let written = 0; written < bytes.length; ) written += fs.writeSync(fd, bytes, written);
  } catch (error) {
    fs.ftruncateSync(fd, size);
    throw error;
  }
}

/** Moves the second half to the beginning, over what was there: that needs no space. */
function cutInHalf(fd: number): void {
  // A description of its own: with O_APPEND pwrite(2) would append, and reading would begin at the end.
  const file = fs.openSync(`/proc/self/fd/${fd}`, O_RDWR);
  try {
    const text = fs.readFileSync(file);
    const kept = text.subarray(text.indexOf('\n', text.length >> 1) + 1);
    for (let written = 0; written < kept.length; ) written += fs.writeSync(file, kept, written, kept.length - written, written);
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

  /** Writes one line to both logs. Throws nothing. */
  write(message: string): void {
    const text = printable(message);
    if (this.kmsg >= 0) {
      try {
        fs.writeSync(this.kmsg, `${KMSG_INFO}VNET: ${text}\n`);
      } catch {
        // the kernel log may be closed to us; the file has the line
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

/** Announcements in a row, then one per interval: below the kernel log's limit. */
const BURST = 2;
const INTERVAL_MS = 2500;

/** Announces stops and wakes of one queue; those that come too fast are added up. */
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

  /** Looks at the queue and says what is new, now or when the limit allows. */
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

  /** Says what is still to be said, at once. */
  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.tokens = 1;
    this.update();
  }
}
