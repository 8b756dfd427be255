// SPDX-License-Identifier: MIT
// Says when a guest has had its time. Time is qemu's own processor time, so that a busy host does not make a slow
// guest a hanging one; and by the wall clock four times that, because a guest that waits forever uses none.
import { cpuMs } from '../helpers/process-times';

const WALL_FACTOR = 4;
const LOOK_MS = 500;

/** A limit that runs again from each time it is restarted. */
interface Limit<Kind> {
  readonly kind: Kind;
  readonly why: string;
  readonly ms: number;
  cpuAt: number;
  wallAt: number;
}

export class Watchdog<Kind extends string> {
  readonly #limits = new Map<Kind, Limit<Kind>>();
  readonly #cpu: () => number;
  readonly #timer: NodeJS.Timeout;

  /** `cpu` and the two last are for tests. */
  constructor(
    pid: number,
    onEnd: (kind: Kind, why: string) => void,
    cpu = () => cpuMs(pid),
    private readonly wall = () => Date.now(),
    lookMs = LOOK_MS,
  ) {
    this.#cpu = () => {
      try {
        return cpu();
      } catch {
        return 0; // it has just ended
      }
    };
    this.#timer = setInterval(() => {
      const [now, clock] = [this.#cpu(), this.wall()];
      for (const { kind, why, ms, cpuAt, wallAt } of this.#limits.values()) {
        if (now - cpuAt > ms) onEnd(kind, `${why} ${ms / 1000} s of processor time`);
        else if (clock - wallAt > ms * WALL_FACTOR) onEnd(kind, `${why} ${(ms * WALL_FACTOR) / 1000} s`);
      }
    }, lookMs);
  }

  /** Begins a limit, or begins it anew. `why` is what the message says before the time: "no output for". */
  start(kind: Kind, ms: number, why: string): void {
    this.#limits.set(kind, { kind, why, ms, cpuAt: this.#cpu(), wallAt: this.wall() });
  }

  stop(kind: Kind): void {
    this.#limits.delete(kind);
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
