// SPDX-License-Identifier: MIT
/** A line on a terminal about work in progress, rewritten twice a second. */
import * as fs from 'node:fs';

import { clock } from '../native/clock';
import { news, newsWaits } from '../native/standard-streams';
import { inForeground, isTerminal, movesCursor } from '../native/terminal';
import { printable } from '../printable';

const INTERVAL_MS = 500;
const COLUMNS = 80;

export class ProgressLine implements Disposable {
  private readonly timer: NodeJS.Timeout | undefined;
  /** Characters now on the terminal. */
  private shown = 0;

  /** `text` is called for each update. If standard error is not a terminal nothing is shown. */
  constructor(private readonly text: () => string) {
    if (isTerminal(fs.fstatSync(2)) && movesCursor(process.env))
      this.timer = setInterval(() => this.show(), INTERVAL_MS).unref();
  }

  private show(): void {
    // While a shell has this process in the background, the terminal is the shell's. A terminal that is stopped would
    // show the lines of all that time at once, and what is kept for it has an end.
    if (!inForeground() || newsWaits(2)) return;
    const text = printable(this.text()).slice(0, (process.stderr.columns || COLUMNS) - 1);
    this.write(text);
  }

  private write(text: string): void {
    news(2, `\r${text.padEnd(this.shown)}${text === '' ? '\r' : ''}`);
    this.shown = text.length;
  }

  /** Removes the line, so that other text can be printed. */
  clear(): void {
    if (this.shown > 0) this.write('');
  }

  [Symbol.dispose](): void {
    clearInterval(this.timer);
    this.clear();
  }
}

/** How fast a number grows: over the last seconds, or since the beginning if that is shorter. */
export class Rate {
  private readonly samples: { at: number; value: number }[] = [{ at: clock.now(), value: 0 }];

  /** Growth per second; `value` is the number now. */
  of(value: number): number {
    const now = clock.now();
    this.samples.push({ at: now, value });
    while (this.samples.length > 2 && now - (this.samples[1] as { at: number }).at > WINDOW_MS) this.samples.shift();
    const first = this.samples[0] as { at: number; value: number };
    return ((value - first.value) * 1000) / Math.max(1, now - first.at);
  }
}

const WINDOW_MS = 5000;

/** Formats a duration: `12 s`, `3 min 20 s`, `2 h 5 min`, `30 days`. */
export function duration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.round(seconds / 86400)} days`;
}
