// SPDX-License-Identifier: MIT
/**
 * Which dots move along the loop. At low rates each frame is a dot; above that a dot stands for 2, 5, 10 or more, so
 * that eyes and browser can follow.
 */
import type { Stats } from '../../datapath/stats';
import type { PathName } from './layout';

/** Dots a second on a path; more frames than these share dots. */
const DOTS_A_SECOND = 12;
/** Dots that move at the same time, on all paths. */
export const DOTS_AT_ONCE = 96;
/** Time in milliseconds over which the dots of one reading are spread: the time between two readings. */
const SPREAD_MS = 100;
/** Time in milliseconds that a dot is under way. */
const TRAVEL_MS: Readonly<Record<PathName, number>> = {
  sent: 900, returned: 1800, held: 500, released: 400, refused: 700, hook: 700, behind: 700,
}; // prettier-ignore

export interface Dot {
  path: PathName;
  /** When it starts, and how long it is under way, in milliseconds. */
  start: number;
  travel: number;
}

/** Reasons for which frames are refused after they have left the ring; `tx` refuses for the others. */
const LATE = ['toolong', 'invalid', 'down', 'backlog', 'error'] as const;

/** Losses by the part of the loop where frames fall out, by reason; only those that have occurred. */
export function lossesByPart({
  refused,
  held,
  hooks,
  impair,
  behind,
  stray,
}: Stats): Record<'tx' | 'hook' | 'behind', [string, number][]> {
  const isLate = (reason: string): boolean => (LATE as readonly string[]).includes(reason);
  const entries = Object.entries(refused);
  const some = (losses: [string, number][]): [string, number][] => losses.filter(([, frames]) => frames > 0);
  return {
    tx: some([...entries.filter(([reason]) => !isLate(reason)), ['held', held.dropped], ['stray', stray]]),
    hook: some([['hook or faults', hooks.dropped], ['hook-waiting', hooks.lost]]),
    behind: some([...entries.filter(([reason]) => isLate(reason)), ['impair', impair.lost], ['behind', behind.lost]]),
  }; // prettier-ignore
}

/** Frames that have taken each path since the interface was attached. */
function passedOn(stats: Stats): Record<PathName, number> {
  const losses = lossesByPart(stats);
  const lost = (part: keyof typeof losses): number => losses[part].reduce((all, [, frames]) => all + frames, 0);
  return {
    sent: Math.max(0, stats.tx.packets - lost('tx')),
    returned: stats.rx.packets,
    held: stats.held.total,
    released: stats.held.total - stats.held.now - stats.held.dropped,
    refused: lost('tx'),
    hook: lost('hook'),
    behind: lost('behind'),
  };
}

/** How many frames a dot stands for at a rate: 1, 2, 5, 10 and so on; as many as before while that does well enough. */
export function framesPerDot(framesASecond: number, before: number): number {
  const dots = framesASecond / before;
  if (dots <= DOTS_A_SECOND && (before === 1 || dots > DOTS_A_SECOND / 6)) return before;
  let frames = 1;
  while (framesASecond / frames > DOTS_A_SECOND * 0.8) frames *= String(frames).startsWith('2') ? 2.5 : 2;
  return frames;
}

export class Motion {
  dots: Dot[] = [];
  private before: Record<PathName, number> | null = null;
  /** Parts of a dot that are left over, by path. */
  private readonly rest = new Map<PathName, number>();

  /** Adds the dots for what has passed since the last reading, at `now` in milliseconds. */
  add(stats: Stats, perDot: number, now: number): void {
    const passed = passedOn(stats);
    const { before } = this;
    this.before = passed;
    this.dots = this.dots.filter(({ start, travel }) => now < start + travel);
    if (!before) return;
    for (const path of Object.keys(passed) as PathName[]) {
      const due = Math.max(0, passed[path] - before[path]) / perDot + (this.rest.get(path) ?? 0);
      const dots = Math.min(Math.floor(due + 1e-9), DOTS_AT_ONCE - this.dots.length);
      this.rest.set(path, due - Math.floor(due + 1e-9));
      // The reinject path begins where a frame that was just sent would come out of the ring.
      const delay = path === 'returned' || path === 'behind' ? TRAVEL_MS.sent : 0;
      for (let i = 0; i < dots; i++)
        this.dots.push({ path, start: now + delay + (i * SPREAD_MS) / dots, travel: TRAVEL_MS[path] });
    }
  }

  clear(): void {
    this.dots = [];
    this.before = null;
  }
}
