// SPDX-License-Identifier: MIT
/** One interface with charts: figures on the left, and on the right their history, up to the edge. */
import { bytes } from '../terminal/output';
import {
  bar,
  bitRate,
  chart,
  fitted,
  type Glyphs,
  type Line,
  part,
  type Part,
  percent,
  queueStrip,
  roundScale,
  short,
  type Style,
  widthOf,
} from './drawing';
import { dropsOf, fillOf, nameOf, newest, type Row, sumOf } from './readings';

const STATE_STYLE: Readonly<Record<string, Style>> = {
  running: 'good',
  stopped: 'warning',
  crashed: 'bad',
  detached: 'bad',
};
export const stateStyle = (state: string): Style => STATE_STYLE[state] ?? 'plain';

/** Lines of a summary besides the charts of tx and rx: the head, queue, stops, poll. */
const OTHER_LINES = 4;
/** Narrower terminals have space for only one figure per line, in cells. */
const WIDE = 60;
const LABEL = 8;

/** Number of lines in a summary whose charts have `rows` rows. */
export const summaryLines = (rows: number): number => 2 * rows + OTHER_LINES;

/** Rows of the charts in a summary of at most `lines` lines; 0 if there is no space for a summary. */
export const chartRows = (lines: number): number => Math.max(0, Math.floor((lines - OTHER_LINES) / 2));

/** Cells left of the charts, including a space after the figures. */
const figuresWidth = (width: number): number => LABEL + (width < WIDE ? 11 : 24) + 1;

/** Number of intervals that a summary shows. */
export const intervalsShown = (width: number): number => Math.max(0, width - figuresWidth(width));

export function summary(row: Row, chosen: boolean, rows: number, width: number, glyphs: Glyphs): Line[] {
  const { stats, rates } = row;
  const shown = newest(row.history, intervalsShown(width));
  const [tx, rx] = (['tx', 'rx'] as const).map((side) => shown.map((sample) => sample && sample[side])) as [
    (number | null)[],
    (number | null)[],
  ];
  const peak = (values: readonly (number | null)[]): number => Math.max(0, ...values.map((value) => value ?? 0));
  // One scale for both charts, so that they can be compared.
  const full = roundScale(Math.max(peak(tx), peak(rx)));
  const rateLines = (
    label: 'tx' | 'rx',
    values: readonly (number | null)[],
    packets: number | undefined,
    bits: number | undefined,
  ): Line[] =>
    chart(values, full, rows, label, glyphs).map((drawn, i) => {
      if (i === 0) return [...figures(label, rateFigures(packets, bits, width), width), ...drawn];
      return [
        ...(i === 1 ? figures('peak', bitRate(peak(values)), width, 'faint') : [part(' '.repeat(figuresWidth(width)))]),
        ...drawn,
      ];
    });
  return [
    head(row, chosen, width),
    ...rateLines('tx', tx, rates?.txPackets, rates?.txBits),
    ...rateLines('rx', rx, rates?.rxPackets, rates?.rxBits),
    queueLine(row, width, glyphs),
    [
      ...figures(
        'stops',
        stopFigures(row, width),
        width,
        stats.held.now > 0 || (rates && rates.stops > 0) ? 'warning' : 'plain',
      ),
      ...queueStrip(shown, glyphs),
    ],
    pollLine(row, width),
  ];
}

/** The name, the state, and the settings as far as there is space. */
export function head({ stats, budget, whenFull }: Row, chosen: boolean, width: number): Line {
  const state = stats.state;
  const settings = `${stats.backend}, ${whenFull} when full, budget ${budget}`;
  const name = nameOf(stats);
  const nameWidth = Math.max(8, Math.min(widthOf(name), width - state.length - 5));
  const rest = width - nameWidth - state.length - 5;
  const shownSettings = rest >= settings.length + 2 ? settings.padStart(rest - 1) : '';
  return [
    part(`${chosen ? '>' : ' '} ${fitted(name, nameWidth)} `, chosen ? 'chosen' : 'title'),
    part(' '),
    part(state, stateStyle(state)),
    part(` ${shownSettings}`, 'faint'),
  ];
}

function figures(label: string, text: string, width: number, style: Style = 'plain'): Part[] {
  return [
    part(`  ${label.padEnd(LABEL - 2)}`, 'faint'),
    part(`${text.padStart(figuresWidth(width) - LABEL - 1)} `, style),
  ];
}

function rateFigures(packets: number | undefined, bits: number | undefined, width: number): string {
  if (width < WIDE) return bitRate(bits);
  return `${packets === undefined ? '-' : short(packets)} pkt/s ${bitRate(bits).padStart(12)}`;
}

function queueLine({ stats }: Row, width: number, glyphs: Glyphs): Line {
  const { queue } = stats;
  const fill = fillOf(stats);
  const text = width < WIDE ? percent(fill) : `${percent(fill)} of ${bytes(queue.capacityBytes)}`;
  const style = queue.stopped ? 'warning' : 'plain';
  return [
    ...figures('queue', text, width, style),
    ...bar(
      fill,
      queue.lowWatermarkBytes / queue.capacityBytes,
      intervalsShown(width),
      queue.stopped ? 'warning' : 'good',
      glyphs,
    ),
  ];
}

function stopFigures({ stats, rates }: Row, width: number): string {
  const stops = `${rates ? short(rates.stops) : '-'}/s`;
  return width < WIDE ? stops : `${stops}, ${short(stats.held.now)} held`;
}

function pollLine({ rates, stats }: Row, width: number): Line {
  const [drops, bad] = dropsText(rates?.drops, sumOf(dropsOf(stats)));
  const dropsParts = [part('drops ', 'faint'), part(drops, bad ? 'bad' : 'plain')];
  if (width < WIDE) return [part('  '), ...dropsParts];
  const polls = rates ? `${short(rates.polls)}/s, ${percent(rates.budgetUsedUp)} over budget` : '-/s';
  return [...figures('poll', polls, width), part(' '), ...dropsParts];
}

/** The current drops by reason, or their total; and whether there are any now. */
export function dropsText(now: ReadonlyMap<string, number> | undefined, ever: number): [string, boolean] {
  const reasons = [...(now ?? [])]
    .sort(([, a], [, b]) => b - a)
    .map(([reason, perSecond]) => `${reason} ${short(perSecond)}/s`);
  if (reasons.length > 0) return [reasons.join(', '), true];
  return [ever === 0 ? 'none' : `none now, ${short(ever)} in all`, false];
}
