// SPDX-License-Identifier: MIT
/**
 * One line per interface: a table as wide as the screen, with a chart as its last column, or plain lines without a
 * screen.
 */
import {
  bitRate,
  chart,
  fitted,
  type Glyphs,
  type Line,
  packetRate,
  part,
  percent,
  roundScale,
  short,
  type Style,
  widthOf,
} from './drawing';
import { type Change, dropsOf, fillOf, nameOf, newest, type Row, sorted, sumOf } from './readings';
import { dropsText, stateStyle } from './summary';

// Without a screen: a line for each interface and interval.

export function plainLines(rows: readonly Row[], changes: readonly Change[]): string[] {
  return [...changes.map(({ name, what }) => `${name}: ${what}`), ...sorted(rows, 'name').flatMap(plainLine)];
}

/** The line of an interface; none before there are two readings. */
function plainLine({ stats, rates }: Row): string[] {
  if (!rates) return [];
  const cells = [
    stats.state,
    `tx ${packetRate(rates.txPackets)} ${bitRate(rates.txBits)}`,
    `rx ${packetRate(rates.rxPackets)} ${bitRate(rates.rxBits)}`,
    `queue ${percent(fillOf(stats))}`,
    `held ${stats.held.now}`,
    `${short(rates.stops)} stops/s`,
    `${short(rates.polls)} polls/s`,
    `${percent(rates.budgetUsedUp)} over budget`,
    `drops ${dropsText(rates.drops, sumOf(dropsOf(stats)))[0]}`,
  ];
  return [`${nameOf(stats)}: ${cells.join(', ')}`];
}

interface Column {
  heading: string;
  width: number;
  /** Whether the text is aligned to the left, as for words; numbers are aligned to the right. */
  left?: boolean;
  cell(row: Row): [string, Style];
}

const COLUMNS: Readonly<Record<'state' | 'tx' | 'rx' | 'queue' | 'held' | 'drops', Column>> = {
  state: { heading: 'STATE', width: 7, left: true, cell: ({ stats }) => [stats.state, stateStyle(stats.state)] },
  tx: { heading: 'TX', width: 11, cell: ({ rates }) => [bitRate(rates?.txBits), 'plain'] },
  rx: { heading: 'RX', width: 11, cell: ({ rates }) => [bitRate(rates?.rxBits), 'plain'] },
  queue: {
    heading: 'QUEUE',
    width: 5,
    cell: ({ stats }) => [percent(fillOf(stats)), stats.queue.stopped ? 'warning' : 'plain'],
  },
  held: {
    heading: 'HELD',
    width: 5,
    cell: ({ stats: { held } }) => [short(held.now), held.now > 0 ? 'warning' : 'faint'],
  },
  drops: { heading: 'DROPS/S', width: 7, cell: dropsCell },
};

function dropsCell({ rates }: Row): [string, Style] {
  const drops = rates ? sumOf(rates.drops) : null;
  return [drops === null ? '-' : short(drops), drops !== null && drops > 0 ? 'bad' : 'faint'];
}

type ColumnId = keyof typeof COLUMNS;

const MARK = 2;
const NAME_MIN = 12;
const NAME_MAX = 32;
/** Cells of the narrowest chart that says something. */
const CHART_MIN = 10;
/** Cells of a chart that leaves space for more figures. */
const CHART_AMPLE = 24;

interface Layout {
  name: number;
  columns: Column[];
  /** Cells of the chart; 0: no chart. */
  chart: number;
}

/** The columns that fit, by importance: state, tx and queue; whole names; drops; rx; a chart; held. */
function layoutOf(rows: readonly Row[], width: number): Layout {
  const chosen = new Set<ColumnId>();
  let left = width - MARK - NAME_MIN;
  const take = (id: ColumnId, spare = 0): void => {
    if (left - spare <= COLUMNS[id].width) return;
    left -= COLUMNS[id].width + 1;
    chosen.add(id);
  };
  for (const id of ['state', 'tx', 'queue'] as const) take(id);
  const longest = Math.max(...rows.map(({ stats }) => widthOf(nameOf(stats))));
  const name = Math.max(NAME_MIN, Math.min(longest, NAME_MAX, Math.floor(width * 0.4), NAME_MIN + left));
  left -= name - NAME_MIN;
  take('drops');
  take('rx');
  take('held', CHART_AMPLE + 1);
  const columns = Object.entries(COLUMNS).flatMap(([id, column]) => (chosen.has(id as ColumnId) ? [column] : []));
  return { name, columns, chart: left - 1 >= CHART_MIN ? left - 1 : 0 };
}

const placed = (text: string, { width, left }: Column): string => (left ? fitted(text, width) : text.padStart(width));

/** The headings, then the rows. The widths depend on `all` rows, so that scrolling does not move a column. */
export function table(
  rows: readonly Row[],
  all: readonly Row[],
  chosen: string | undefined,
  width: number,
  seconds: number,
  glyphs: Glyphs,
): Line[] {
  const { name, columns, chart: chartWidth } = layoutOf(all, width);
  const over = `TX, LAST ${short(chartWidth * seconds)} s`;
  const heads = [
    `  ${fitted('INTERFACE', name)}`,
    ...columns.map((column) => placed(column.heading, column)),
    chartWidth > over.length ? over : '',
  ];
  const lines = rows.map((row): Line => {
    const isChosen = row.id === chosen;
    const bits = newest(row.history, chartWidth).map((sample) => sample && sample.tx);
    const [drawn = []] = chart(bits, roundScale(Math.max(0, ...bits.map((value) => value ?? 0))), 1, 'tx', glyphs);
    const cells = columns.flatMap((column) => {
      const [text, style] = column.cell(row);
      return [part(' '), part(placed(text, column), style)];
    });
    return [
      part(`${isChosen ? '>' : ' '} ${fitted(nameOf(row.stats), name)}`, isChosen ? 'chosen' : 'title'),
      ...cells,
      part(' '),
      ...drawn,
    ];
  });
  return [[part(heads.join(' '), 'faint')], ...lines];
}
