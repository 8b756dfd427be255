// SPDX-License-Identifier: MIT
/** Tells of refused frames while somebody listens: counters are only read, so nobody announces them. */
const INTERVAL_MS = 500;

export class RefusalWatch {
  private timer: NodeJS.Timeout | undefined;
  private seen: Record<string, number> = {};

  constructor(
    private readonly read: () => Record<string, number>,
    private readonly tell: (reason: string, frames: number) => void,
  ) {}

  start(): void {
    if (this.timer) return;
    this.seen = { ...this.read() };
    this.timer = setInterval(() => this.look(), INTERVAL_MS).unref();
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private look(): void {
    const now = this.read();
    const before = this.seen;
    this.seen = { ...now };
    for (const [reason, count] of Object.entries(now)) {
      const frames = count - (before[reason] ?? 0);
      if (frames > 0) this.tell(reason, frames);
    }
  }
}
