// SPDX-License-Identifier: MIT
/** One interface with all its counters: what the summary shows, and the totals. */
import { type CounterGroup, worded } from '../datapath/counter-words';
import { frameAccounting, lostBehind } from '../datapath/stats';
import { bytes } from '../terminal/output';
import { fitted, type Glyphs, type Line, part, short, type Style } from './drawing';
import { dropsOf, type Row } from './readings';
import { chartRows, head, summary } from './summary';

const LABEL = 10;
const CELL = 22;
/** Cells for a reason with its count and rate. */
const DROPS_CELL = 33;

type Cell = readonly [text: string, style?: Style];

/**
 * Charts above the counters as far as there is space. If the counters do not fit, the last line says how many lines are
 * missing.
 */
export function detail(row: Row, { width, height }: { width: number; height: number }, glyphs: Glyphs): Line[] {
  const counters = [...counterLines(row, width), ...dropLines(row, width)];
  const rows = Math.min(8, chartRows(height - counters.length - 1));
  const above = rows > 0 ? [...summary(row, true, rows, width, glyphs), []] : [head(row, true, width)];
  const lines = [...above, ...counters];
  if (lines.length <= height || height < 2) return lines;
  return [...lines.slice(0, height - 1), [part(`  ${lines.length - height + 1} more lines do not fit`, 'faint')]];
}

/** A label followed by cells, in as many lines as the width requires. */
function group(label: string, cells: readonly Cell[], cellWidth: number, width: number): Line[] {
  const each = Math.max(1, Math.floor((width - LABEL) / cellWidth));
  const starts = Array.from({ length: Math.ceil(cells.length / each) }, (_, i) => i * each);
  return starts.map((start, i) => [
    part(`  ${(i === 0 ? label : '').padEnd(LABEL - 2)}`, 'faint'),
    ...cells.slice(start, start + each).map(([text, style]) => part(fitted(text, cellWidth), style)),
  ]);
}

function counterLines({ stats }: Row, width: number): Line[] {
  const { tx, rx, queue } = stats;
  const sums = frameAccounting(stats);
  const cells = (name: CounterGroup, first: readonly string[] = []): Cell[] =>
    worded(stats, name, 'top', first).map((text) => [text]);
  const limit: Cell[] = queue.capacityPackets === null ? [] : [[`limit ${queue.capacityPackets} packets`]];
  const groups: readonly (readonly [string, Cell[]])[] = [
    ['tx', [[`${tx.packets} packets`], [bytes(tx.bytes)]]],
    ['rx', [[`${rx.packets} packets`], [bytes(rx.bytes)], [`largest ${queue.largestFrame} B`]]],
    [
      'queue',
      [
        [`${queue.packets} packets`],
        [bytes(queue.usedBytes)],
        [`wakes at ${bytes(queue.lowWatermarkBytes)}`],
        [`${queue.stops} stops`],
        [`${queue.wakes} wakes`],
        ...limit,
      ],
    ],
    ['held', cells('held')],
    ['poll', cells('poll', ['polls', 'budgetExhausted', 'merged'])],
    ['hooks', [...cells('hooks'), ...cells('reinject')]],
    ['frames', [[`${sums.in} in`], [`${sums.out} out`], [verdict(stats)]]],
  ];
  return groups.flatMap(([label, cells]) => group(label, cells, CELL, width));
}

/** Says `balanced` alone only if nothing was lost; losses are among the drops. */
function verdict(stats: Row['stats']): string {
  if (!frameAccounting(stats).balanced) return 'frames in flight';
  return lostBehind(stats).length === 0 ? 'balanced' : 'balanced, with losses';
}

/** All reasons that have occurred, the most frequent first. */
function dropLines({ stats, rates }: Row, width: number): Line[] {
  const reasons = [...dropsOf(stats)].filter(([, count]) => count > 0).sort(([, a], [, b]) => b - a);
  if (reasons.length === 0) return group('drops', [['none']], DROPS_CELL, width);
  const cells = reasons.map(([reason, count]): Cell => {
    const perSecond = rates?.drops.get(reason) ?? 0;
    return [
      `${reason.padEnd(10)} ${String(count).padStart(10)} ${`${short(perSecond)}/s`.padStart(8)}`,
      perSecond > 0 ? 'bad' : 'plain',
    ];
  });
  return group('drops', cells, Math.min(DROPS_CELL, Math.max(30, width - LABEL)), width);
}
