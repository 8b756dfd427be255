// SPDX-License-Identifier: MIT
/**
 * Tells the world: each event is a line in the kernel log with the prefix `VNET: ` and a line
 * with its time in the log of the interface. /dev/kmsg takes 10 lines in 5 seconds from one
 * writer (kernel/printk, devkmsg ratelimit), so storms are summed up rather than lost.
 */
import * as fs from 'node:fs';

import { clock } from '../native/clock';
import { printable } from '../printable';
import { LogFile } from '../state/log-file';

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
