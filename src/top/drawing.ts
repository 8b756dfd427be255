// SPDX-License-Identifier: MIT
import type { History, QueueActivity } from './readings';

/**
 * How `top` draws: numbers and lines as text, charts, bars. A line consists of parts with a style; widths are in
 * terminal cells.
 */
export type Style = 'plain' | 'title' | 'chosen' | 'good' | 'warning' | 'bad' | 'faint' | 'tx' | 'rx';

export interface Part {
  text: string;
  style: Style;
}

export type Line = readonly Part[];

export const part = (text: string, style: Style = 'plain'): Part => ({ text, style });

export const textOf = (line: Line): string => line.map(({ text }) => text).join('');

/** Wide characters of East Asian scripts and emoji: two cells. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
/** Characters written over the one before them, without a cell of their own. */
const COMBINING = /\p{M}/u;
/** Text with one cell for each character, as most is. */
const NARROW = /^[\x20-\x7e\u2500-\u259f]*$/;

const cellsOf = (char: string): number => (COMBINING.test(char) ? 0 : WIDE.test(char) ? 2 : 1);

/** Number of cells that a text takes. */
export const widthOf = (text: string): number =>
  NARROW.test(text) ? text.length : [...text].reduce((cells, char) => cells + cellsOf(char), 0);

/** The beginning of a text, as much as fits into `width` cells. */
function beginningOf(text: string, width: number): string {
  if (NARROW.test(text)) return text.slice(0, Math.max(0, width));
  let left = width;
  let end = 0;
  for (const char of text) {
    left -= cellsOf(char);
    if (left < 0) break;
    end += char.length;
  }
  return text.slice(0, end);
}

/** A text in exactly `width` cells: padded, or cut with a mark where something is missing. */
export function fitted(text: string, width: number): string {
  const shown = widthOf(text) <= width ? text : `${beginningOf(text, width - 1)}~`.slice(0, Math.max(0, width));
  return shown + ' '.repeat(Math.max(0, width - widthOf(shown)));
}

/** A line, cut to fit. */
export function clip(line: Line, width: number): Line {
  let left = width;
  return line.flatMap(({ text, style }) => {
    const shown = beginningOf(text, left);
    // If a wide character does not fit, what follows must not take its place.
    left = shown === text ? left - widthOf(shown) : 0;
    return shown === '' ? [] : [{ text: shown, style }];
  });
}

/** Joins neighbouring parts of one style. */
export function merged(parts: readonly Part[]): Line {
  const line: Part[] = [];
  for (const { text, style } of parts) {
    const last = line.at(-1);
    if (last?.style === style) last.text += text;
    else line.push({ text, style });
  }
  return line;
}

/** 12345 as 12.3k, in at most five characters. */
export function short(value: number): string {
  const units = ['', 'k', 'M', 'G', 'T', 'P'];
  let rest = value;
  let unit = 0;
  // 999.5 would be rounded to 1000.
  while (rest >= 999.5 && unit < units.length - 1) {
    rest /= 1000;
    unit++;
  }
  const digits = unit === 0 ? (rest < 9.95 && !Number.isInteger(rest) ? 1 : 0) : rest < 99.95 ? 1 : 0;
  return rest.toFixed(digits) + units[unit];
}

/** `12.3k packets/s`, `142 Mbit/s`; a dash while unknown. */
export const packetRate = (value: number | undefined): string =>
  `${value === undefined ? '-' : short(value)} packets/s`;

export function bitRate(value: number | undefined): string {
  if (value === undefined) return '- bit/s';
  const [, number, unit] = /^([\d.]+)(\D?)$/.exec(short(value)) as unknown as [string, string, string];
  return `${number} ${unit}bit/s`;
}

export const percent = (part_: number): string => `${Math.round(part_ * 100)} %`;

/** The characters that charts are made of. */
export interface Glyphs {
  /** Columns of a chart: from one eighth of a cell to a full cell. */
  levels: string;
  /** A column of height 0. */
  zero: string;
  /** A bar: cells filled, partly filled (from left to right, the least first), empty, the mark, and both ends. */
  bar: { full: string; parts: string; empty: string; mark: string; begin: string; end: string };
  /** Activity of the queue: never stopped, stopped and woke, stopped all the time. */
  queue: { ran: string; woke: string; stopped: string };
  /** The keys that move the choice. */
  arrows: string;
}

export const BLOCKS: Glyphs = {
  levels: '▁▂▃▄▅▆▇█',
  zero: '▁',
  bar: { full: '█', parts: '▏▎▍▌▋▊▉', empty: '░', mark: '┃', begin: '', end: '' },
  queue: { ran: '▁', woke: '▄', stopped: '█' },
  arrows: '↑↓',
};

export const ASCII: Glyphs = {
  levels: '.:-=+*%#',
  zero: '_',
  bar: { full: '#', parts: '', empty: '.', mark: '|', begin: '[', end: ']' },
  queue: { ran: '_', woke: '+', stopped: '#' },
  arrows: 'up/down',
};

// Figures as drawings: a chart of columns, a bar, the strip of stops and wakes. Each is exactly as wide as requested.

const EIGHTHS = 8;
/** Eighths shown for any figure above 0, so that it differs from 0. */
const LEAST = 2;

const ROUND = [1, 1.5, 2, 3, 4, 5, 6, 8, 10];

/** The next round figure, so that a chart keeps its scale while its peak changes a little. */
export function roundScale(peak: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, peak)));
  return power * (ROUND.find((figure) => figure * power >= peak) ?? 10);
}

/**
 * A column for each value, over `rows` rows, the top one first. Null leaves a column empty. `full` is the value that
 * fills a column.
 */
export function chart(
  values: readonly (number | null)[],
  full: number,
  rows: number,
  style: Style,
  { levels, zero }: Glyphs,
): Line[] {
  const heights = values.map(
    (value) => value && Math.max(LEAST, Math.min(rows * EIGHTHS, Math.round((value / full) * rows * EIGHTHS))),
  );
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

/** A bar filled to `fill`, with a mark at `mark`, both from 0 to 1. */
export function bar(
  fill: number,
  mark: number,
  width: number,
  style: Style,
  { bar: { full, parts, empty, mark: markGlyph, begin, end } }: Glyphs,
): Line {
  const cells = width - begin.length - end.length;
  if (cells < 1) return [part(' '.repeat(Math.max(0, width)))];
  const steps = parts.length + 1;
  // A bar that is not empty shows something, and one that is not full lacks something.
  const filled =
    fill <= 0
      ? 0
      : fill >= 1
        ? cells * steps
        : Math.max(1, Math.min(cells * steps - 1, Math.round(fill * cells * steps)));
  const at = Math.min(cells - 1, Math.floor(mark * cells));
  const drawn = Array.from({ length: cells }, (_, i): Part => {
    if (i === at) return part(markGlyph);
    const here = Math.min(steps, filled - i * steps);
    return here <= 0 ? part(empty, 'faint') : part(here === steps ? full : (parts[here - 1] as string), style);
  });
  return merged([part(begin), ...drawn, part(end)].filter(({ text }) => text !== ''));
}

const QUEUE_STYLE: Readonly<Record<QueueActivity, Style>> = { ran: 'faint', woke: 'warning', stopped: 'warning' };

/** The activity of the queue in each interval. */
export const queueStrip = (history: History, { queue }: Glyphs): Line =>
  merged(history.map((sample) => (sample ? part(queue[sample.queue], QUEUE_STYLE[sample.queue]) : part(' '))));
