// SPDX-License-Identifier: MIT
/** Figures as drawings: a chart of columns, a bar, the strip of stops and wakes. Each is exactly as wide as it is asked for. */
import type { Glyphs } from './glyphs';
import type { History, QueueActivity } from './history';
import { merged, part, type Line, type Part, type Style } from './text';

const EIGHTHS = 8;
/** The least that a figure above 0 shows, so that it differs from 0. */
const LEAST = 2;

const ROUND = [1, 1.5, 2, 3, 4, 5, 6, 8, 10];

/** The next round figure, so that a chart keeps its scale while its peak moves a little. */
export function roundScale(peak: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, peak)));
  return power * (ROUND.find((figure) => figure * power >= peak) ?? 10);
}

/** A column for each value, over so many rows, the top one first. Null is left empty. `full` is the value that fills a column. */
export function chart(values: readonly (number | null)[], full: number, rows: number, style: Style, { levels, zero }: Glyphs): Line[] {
  const heights = values.map((value) => value && Math.max(LEAST, Math.min(rows * EIGHTHS, Math.round((value / full) * rows * EIGHTHS))));
  return Array.from({ length: rows }, (_, row) => {
    const below = (rows - 1 - row) * EIGHTHS;
    return merged(
      heights.map((height): Part => {
        if (height === 0 && below === 0) return part(zero, 'faint');
        const level = Math.min(EIGHTHS, (height ?? 0) - below);
        return part(level <= 0 ? ' ' : (levels[level - 1] as string), style);
      }),
    );
  });
}

/** How full, from 0 to 1, and where the mark is. */
export function bar(fill: number, mark: number, width: number, style: Style, { bar: { full, parts, empty, mark: markGlyph, begin, end } }: Glyphs): Line {
  const cells = width - begin.length - end.length;
  if (cells < 1) return [part(' '.repeat(Math.max(0, width)))];
  const steps = parts.length + 1;
  // Something is shown of what is not empty, and something is missing of what is not full.
  const filled = fill <= 0 ? 0 : fill >= 1 ? cells * steps : Math.max(1, Math.min(cells * steps - 1, Math.round(fill * cells * steps)));
  const at = Math.min(cells - 1, Math.floor(mark * cells));
  const drawn = Array.from({ length: cells }, (_, i): Part => {
    if (i === at) return part(markGlyph);
    const here = Math.min(steps, filled - i * steps);
    return here <= 0 ? part(empty, 'faint') : part(here === steps ? full : (parts[here - 1] as string), style);
  });
  return merged([part(begin), ...drawn, part(end)].filter(({ text }) => text !== ''));
}

const QUEUE_STYLE: Readonly<Record<QueueActivity, Style>> = { ran: 'faint', woke: 'warning', stopped: 'warning' };

/** What the queue did in each interval. */
export const queueStrip = (history: History, { queue }: Glyphs): Line =>
  merged(history.map((sample) => (sample ? part(queue[sample.queue], QUEUE_STYLE[sample.queue]) : part(' '))));
