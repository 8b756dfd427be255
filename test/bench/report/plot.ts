// SPDX-License-Identifier: MIT
/**
 * Bars of medians with their spread, as SVG: a panel for each group, a bar for each series, all on one scale. Names and
 * numbers stand beside the bars, so that a plot can be read without colours, and by itself.
 */
import { GROUND, escapeXml, inBothSchemes, px, type Scheme, svgDocument } from '../../pictures/palette';
import { format } from './table';

export interface Bar {
  median: number;
  min: number;
  max: number;
}

export interface Plot {
  title: string;
  /** What the bars count, and which end is better. */
  unit: string;
  /** On what it was measured. */
  note: string;
  groups: readonly string[];
  series: readonly string[];
  /** Significant digits of the numbers. */
  digits?: number;
  /** Whether a series is one that the plot is about, rather than something that it is compared with. */
  isOurs(series: string): boolean;
  /** What a series is called in the plot. */
  nameOf(series: string): string;
  /** The bar of a series in a group, or null where nothing was measured. */
  bar(group: string, series: string): Bar | null;
}

const MARGIN = 20;
const PANEL = { one: 828, two: 400, gap: 28 };
const ROW = 21;
const BAR = 13;
const HEAD = 62;
const GROUP_HEAD = 26;
const GROUP_GAP = 18;
const FOOT = 34;
/** For a number behind its bar. */
const NUMBER = 66;
/** Of a letter, about: text is not measured here. */
const LETTER = 5.9;

const STYLE = `text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,Helvetica,Arial,"Liberation Sans","DejaVu Sans",sans-serif}
.title{font-size:15px;font-weight:600}.group{font-weight:600}.name{text-anchor:end}.note{font-size:11px}
${inBothSchemes(
  (s: Scheme) =>
    `${GROUND(s)}\ntext{fill:${s.ink}}.note,.unit{fill:${s.faint}}.ours{fill:${s.bar}}.other{fill:${s.otherBar}}.spread{stroke:${s.ink};fill:none}.axis{stroke:${s.border}}`,
)}`;

const text = (x: number, y: number, content: string, classes: string): string =>
  `<text x="${px(x)}" y="${px(y)}" class="${classes}">${escapeXml(content)}</text>`;

/** Where bars begin and end, in pixels from the left of a panel, and the value at their end. */
interface Scale {
  from: number;
  to: number;
  top: number;
}

function row(
  each: Bar,
  name: string,
  isOurs: boolean,
  [x, y]: [number, number],
  scale: Scale,
  digits?: number,
): string {
  const { from, to, top } = scale;
  const at = (value: number): number => x + from + (value / top) * (to - from);
  const middle = y + ROW / 2;
  const { median, min, max } = each;
  return [
    text(x + from - 8, middle + 4, name, 'name'),
    `<rect class="${isOurs ? 'ours' : 'other'}" x="${px(x + from)}" y="${px(middle - BAR / 2)}" width="${px(at(median) - x - from)}" height="${BAR}"/>`,
    `<path class="spread" d="M${px(at(min))} ${px(middle)}H${px(at(max))}M${px(at(min))} ${px(middle - 3)}v6M${px(at(max))} ${px(middle - 3)}v6"/>`,
    text(at(max) + 7, middle + 4, format(median, digits), 'number'),
  ].join('');
}

export function svg(plot: Plot): string {
  const { title, unit, note, groups, series, bar, isOurs, nameOf, digits } = plot;
  const bars = groups.flatMap((group) => series.map((name) => bar(group, name))).filter((each) => each !== null);
  // The longest spread ends at the end of the scale: numbers need no axis.
  const top = Math.max(...bars.map(({ max }) => max), Number.MIN_VALUE);
  const columns = groups.length > 1 ? 2 : 1;
  const panel = columns === 2 ? PANEL.two : PANEL.one;
  const names = 12 + LETTER * Math.max(...series.map((name) => nameOf(name).length));
  const scale: Scale = { from: names, to: panel - NUMBER, top };
  const panelHeight = (columns === 2 ? GROUP_HEAD : 0) + series.length * ROW;
  const height = HEAD + Math.ceil(groups.length / columns) * (panelHeight + GROUP_GAP) + FOOT;
  const drawn = groups.flatMap((group, g) => {
    const x = MARGIN + (g % columns) * (panel + PANEL.gap);
    const y = HEAD + Math.floor(g / columns) * (panelHeight + GROUP_GAP);
    const rows = y + panelHeight - series.length * ROW;
    return [
      ...(columns === 2 ? [text(x + names, y + 16, group, 'group')] : []),
      ...series.map((name, s) => {
        const each = bar(group, name);
        return each ? row(each, nameOf(name), isOurs(name), [x, rows + s * ROW], scale, digits) : '';
      }),
      `<path class="axis" d="M${px(x + names)} ${px(rows)}v${px(series.length * ROW)}"/>`,
    ];
  });
  return svgDocument({ width: 2 * MARGIN + columns * panel + (columns - 1) * PANEL.gap, height, title, style: STYLE }, [
    text(MARGIN, 28, title, 'title'),
    text(MARGIN, 48, `${unit}. Bars are medians, lines go from the lowest to the highest round.`, 'unit'),
    ...drawn,
    text(MARGIN, height - 16, note, 'note'),
  ]);
}
