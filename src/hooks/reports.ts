// SPDX-License-Identifier: MIT
/** Says what goes wrong in a hook: at once, then added up, since it may go wrong with every frame. */
const INTERVAL_MS = 2500;
/** Different texts that are told apart within one interval. */
const TEXTS_MAX = 8;

export class Reports {
  private readonly waiting = new Map<string, number>();
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly write: (text: string) => void) {}

  add(text: string): void {
    if (this.timer === undefined) {
      this.write(text);
      this.timer = setTimeout(() => this.flush(), INTERVAL_MS);
      this.timer.unref();
      return;
    }
    const key = this.waiting.has(text) || this.waiting.size < TEXTS_MAX ? text : 'hook errors of other kinds';
    this.waiting.set(key, (this.waiting.get(key) ?? 0) + 1);
  }

  /** Says what has come together. */
  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    for (const [text, times] of this.waiting) this.write(times > 1 ? `${text}, ${times} times` : text);
    this.waiting.clear();
  }
}
