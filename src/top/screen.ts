// SPDX-License-Identifier: MIT
/**
 * The user's choices, the keys that change them, and the whole screen as lines: a pure function of the readings and the
 * size.
 */
import { nothingIsAttached } from '../errors';
import { detail } from './detail';
import { clip, type Glyphs, type Line, part, type Part, short, widthOf } from './drawing';
import { type Change, nextOrder, type Order, type Row, sorted } from './readings';
import { chartRows, intervalsShown, summary, summaryLines } from './summary';
import { table } from './table';

// The user's choices, and the keys that change them.

export interface View {
  order: Order;
  paused: boolean;
  /** Identity of the chosen interface; null: the first. */
  chosen: string | null;
  /** Whether only the chosen interface is shown, with all its counters. */
  detail: boolean;
}

/** Ctrl-\, which does not raise SIGQUIT while the terminal is in raw mode. */
const CTRL_BACKSLASH = '\x1c';

export const FIRST_VIEW: View = { order: 'name', paused: false, chosen: null, detail: false };

/** The view after a key, named as in terminal.ts; `ids` are the interfaces in the order shown. */
export function press(view: View, key: string, ids: readonly string[]): View | 'quit' {
  const move = (by: number): View => {
    const at = Math.max(0, ids.indexOf(view.chosen ?? ''));
    return { ...view, chosen: ids[Math.min(ids.length - 1, Math.max(0, at + by))] ?? null };
  };
  switch (key) {
    case 'q':
    case 'Q':
    case 'CTRL_C':
    case CTRL_BACKSLASH:
      return 'quit';
    case 's':
      return { ...view, order: nextOrder(view.order) };
    case 'p':
    case ' ':
      return { ...view, paused: !view.paused };
    case 'UP':
      return move(-1);
    case 'DOWN':
      return move(1);
    case 'ENTER':
    case 'RIGHT':
      return { ...move(0), detail: key === 'RIGHT' || !view.detail };
    case 'ESCAPE':
    case 'LEFT':
    case 'BACKSPACE':
      return { ...view, detail: false };
    default:
      return view;
  }
}

export interface Size {
  width: number;
  height: number;
}

export interface Scene {
  rows: readonly Row[];
  view: View;
  seconds: number;
  /** The interface that came or went last, shown for a while. */
  news: Change | null;
  time: Date;
  glyphs: Glyphs;
}

const STANDARD: Size = { width: 80, height: 24 };
/** Larger than any screen: a picture must be finite, whatever a terminal says. */
const LARGEST: Size = { width: 1000, height: 500 };

/** The size to draw for. A terminal that does not know its size, such as a serial line, says 0. */
export const usableSize = (columns: number | undefined, rows: number | undefined): Size => ({
  width: Math.min(columns || STANDARD.width, LARGEST.width),
  height: Math.min(rows || STANDARD.height, LARGEST.height),
});

/** Most rows of a chart: more make it no easier to read. */
const CHART_ROWS_MAX = 12;

/** Exactly as many lines as the terminal has, none wider than it. */
export function screen(scene: Scene, { width, height }: Size): Line[] {
  const rows = sorted(scene.rows, scene.view.order);
  const place = Math.max(0, height - 2);
  const body =
    rows.length === 0 ? [[], [part(`  ${nothingIsAttached()}`)]] : interfaces(rows, scene, { width, height: place });
  const filled = [...body.slice(0, place), ...Array.from({ length: Math.max(0, place - body.length) }, (): Line => [])];
  return [head(scene, width), ...filled, foot(scene, width)].slice(0, height).map((line) => clip(line, width));
}

/** As many of the left parts, two spaces apart, as fit beside the right part; the first ones are the most important. */
function apart(left: readonly (readonly Part[])[], right: Line, width: number): Line {
  const cells = (line: Line): number => line.reduce((sum, { text }) => sum + widthOf(text), 0);
  const place = width - cells(right) - (right.length > 0 ? 1 : 0);
  const line: Part[] = [];
  for (const parts of left) {
    const gap = line.length === 0 ? [] : [part('  ')];
    if (cells(line) + cells(gap) + cells(parts) > place) break;
    line.push(...gap, ...parts);
  }
  return right.length === 0
    ? line
    : [...line, part(' '.repeat(Math.max(0, width - cells(line) - cells(right)))), ...right];
}

function head({ rows, view, seconds, time }: Scene, width: number): Line {
  const count = `${rows.length} interface${rows.length === 1 ? '' : 's'}`;
  const left = [
    'vnet-bpf top',
    count,
    `by ${view.order}`,
    `every ${seconds} s`,
    `last ${short(intervalsShown(width) * seconds)} s`,
  ];
  const clock = part(time.toTimeString().slice(0, 8), 'title');
  return apart(
    left.map((text, i) => [part(text, i === 0 ? 'title' : 'plain')]),
    view.paused ? [part('PAUSED', 'warning'), part(' '), clock] : [clock],
    width,
  );
}

function foot({ news, view, glyphs }: Scene, width: number): Line {
  const keys: readonly [string, string][] = [
    ['q', 'quit'],
    [glyphs.arrows, 'choose'],
    ['enter', view.detail ? 'back' : 'detail'],
    ['s', 'sort'],
    ['p', view.paused ? 'resume' : 'pause'],
  ];
  return apart(
    keys.map(([key, word]) => [part(key, 'title'), part(` ${word}`, 'faint')]),
    news === null ? [] : [part(`${news.name} ${news.what}`, 'warning')],
    width,
  );
}

function interfaces(rows: readonly Row[], scene: Scene, { width, height }: Size): Line[] {
  const { view, glyphs } = scene;
  const at = Math.max(
    0,
    rows.findIndex(({ id }) => id === view.chosen),
  );
  const chosen = rows[at] as Row;
  if (view.detail) return detail(chosen, { width, height }, glyphs);
  return summaries(rows, chosen, { width, height }, glyphs) ?? list(rows, at, scene, { width, height });
}

/** The summaries of all interfaces, with empty lines between them; null if they do not all fit. */
function summaries(rows: readonly Row[], chosen: Row, { width, height }: Size, glyphs: Glyphs): Line[] | null {
  const chartHeight = Math.min(CHART_ROWS_MAX, chartRows(Math.floor((height - rows.length + 1) / rows.length)));
  if (chartHeight === 0) return null;
  return rows.flatMap((row, i) => [
    ...(i > 0 ? [[]] : []),
    ...summary(row, row === chosen, chartHeight, width, glyphs),
  ]);
}

/**
 * One line per interface, then the summary of the chosen one if there is space, or the number of lines that do not fit.
 */
function list(rows: readonly Row[], at: number, { glyphs, seconds }: Scene, { width, height }: Size): Line[] {
  const lines = (from: number, to: number): Line[] =>
    table(rows.slice(from, to), rows, rows[at]?.id, width, seconds, glyphs);
  if (rows.length + 1 > height) {
    const fit = Math.max(1, height - 2);
    const first = Math.min(rows.length - fit, Math.max(0, at - Math.floor(fit / 2)));
    return [
      ...lines(first, first + fit),
      [part(`  ${first} more above, ${rows.length - first - fit} more below`, 'faint')],
    ];
  }
  const left = height - rows.length - 1;
  const chartHeight = Math.min(CHART_ROWS_MAX, chartRows(left - 1) || chartRows(left));
  if (chartHeight === 0) return lines(0, rows.length);
  const gap = Math.min(1, left - summaryLines(chartHeight));
  return [
    ...lines(0, rows.length),
    ...Array.from({ length: gap }, (): Line => []),
    ...summary(rows[at] as Row, true, chartHeight, width, glyphs),
  ];
}
