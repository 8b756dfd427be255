// SPDX-License-Identifier: MIT
/** Bars of medians with their spread, as SVG. Groups of bars side by side, one bar for each series. */

export interface Bar {
  median: number;
  min: number;
  max: number;
}

export interface Plot {
  title: string;
  /** What the axis counts. */
  unit: string;
  groups: readonly string[];
  series: readonly string[];
  /** The bar of a series in a group, or null where nothing was measured. */
  bar(group: string, series: string): Bar | null;
}

/** Told apart also by those who do not see red and green (Okabe and Ito). */
const COLOURS = ['#0072b2', '#56b4e9', '#009e73', '#e69f00', '#d55e00', '#cc79a7', '#999999'];
const HEIGHT = 260;
const TOP = 56;
const LEFT = 70;
const BAR = 22;
const GAP = 26;
const TICKS = 5;
const LEGEND = 110;
/** Of a letter, about: text is not measured here. */
const LETTER = 6.5;

const escape = (text: string): string => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

/** The first of 1, 2, 2.5, 5 times a power of ten that is not below `value`. */
export function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 2.5, 5, 10].find((step) => step * power >= value) ?? 10) * power;
}

const text = (x: number, y: number, content: string, more = ''): string =>
  `<text x="${x}" y="${y}" ${more}>${escape(content)}</text>`;

function axis(top: number, width: number): string[] {
  return Array.from({ length: TICKS + 1 }, (_, i) => {
    const y = TOP + HEIGHT - (HEIGHT * i) / TICKS;
    const label = Number(((top * i) / TICKS).toPrecision(3)).toLocaleString('en');
    return `<path d="M${LEFT} ${y}H${width}" stroke="#ccc"/>` + text(LEFT - 6, y + 4, label, 'text-anchor="end"');
  });
}

function column({ median, min, max }: Bar, x: number, top: number, colour: string): string {
  const y = (value: number): number => Math.round((TOP + HEIGHT - (value / top) * HEIGHT) * 10) / 10;
  const middle = x + (BAR - 3) / 2;
  return (
    `<rect x="${x}" y="${y(median)}" width="${BAR - 3}" height="${Math.round((TOP + HEIGHT - y(median)) * 10) / 10}" fill="${colour}"/>` +
    `<path d="M${middle} ${y(max)}V${y(min)}M${middle - 3} ${y(max)}h6M${middle - 3} ${y(min)}h6" stroke="#222" fill="none"/>`
  );
}

export function svg({ title, unit, groups, series, bar }: Plot): string {
  const bars = groups.flatMap((group) => series.map((name) => bar(group, name))).filter((each) => each !== null);
  const top = roundUp(Math.max(...bars.map(({ max }) => max), Number.MIN_VALUE));
  const heading = `${title}: ${unit}, medians and spread`;
  const groupWidth = Math.max(series.length * BAR + GAP, LETTER * Math.max(...groups.map(({ length }) => length)));
  const axisEnd = LEFT + groups.length * groupWidth;
  const width = Math.ceil(Math.max(axisEnd, LEFT + series.length * LEGEND, LEFT + heading.length * LETTER * 1.3));
  const drawn = groups.flatMap((group, g) => {
    const left = LEFT + (g + 0.5) * groupWidth - (series.length * BAR) / 2;
    const columns = series.map((name, s) => {
      const each = bar(group, name);
      return each ? column(each, left + s * BAR, top, COLOURS[s % COLOURS.length] as string) : '';
    });
    return [...columns, text(LEFT + (g + 0.5) * groupWidth, TOP + HEIGHT + 18, group, 'text-anchor="middle"')];
  });
  const legend =
    series.length < 2
      ? []
      : series.map((name, s) => {
          const x = LEFT + s * LEGEND;
          return (
            `<rect x="${x}" y="32" width="10" height="10" fill="${COLOURS[s % COLOURS.length]}"/>` +
            text(x + 14, 41, name)
          );
        });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${TOP + HEIGHT + 30}" font-family="sans-serif" font-size="11">`,
    `<rect width="100%" height="100%" fill="#fff"/>`,
    text(LEFT, 18, heading, 'font-size="13" font-weight="bold"'),
    ...axis(top, axisEnd),
    ...drawn,
    ...legend,
    '</svg>',
    '',
  ].join('\n');
}
