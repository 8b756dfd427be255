// SPDX-License-Identifier: MIT
/** The screen of a terminal as SVG, and its text back out of that. */
import { GROUND, escapeXml, inBothSchemes, px, type Scheme, svgDocument } from './palette';
import { type Colour, type Run, runsOf, type Style } from './styled-text';

/** Of a character cell; most monospaced fonts are 0.6 times as wide as high, and `textLength` corrects the others. */
export const CELL = { width: 7.8, height: 17 };
export const MARGIN = { x: 16, y: 14 };
const FONT = `font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono","Liberation Mono",monospace`;
/** Where in a cell the letters stand. */
const BASELINE = 12.5;

const isName = (colour: Colour): boolean => !colour.startsWith('#');

export const TERMINAL_STYLE = `text{${FONT}}\n.bold{font-weight:700}\n${inBothSchemes(
  (scheme: Scheme) =>
    `${GROUND(scheme)}\n.ink{fill:${scheme.ink}}.paper{fill:${scheme.paper}}.faint{fill:${scheme.faint}}` +
    (['red', 'green', 'yellow', 'blue', 'magenta', 'cyan'] as const)
      .map((name) => `.${name}{fill:${scheme[name]}}path.${name}{fill:${scheme.area[name]}}`)
      .join(''),
)}`;

/** Attributes of what is drawn in a colour. */
const filled = (colour: Colour | 'paper' | 'faint', ...classes: string[]): string => {
  const names = [...(colour.startsWith('#') ? [] : [colour]), ...classes];
  return (names.length > 0 ? ` class="${names.join(' ')}"` : '') + (colour.startsWith('#') ? ` fill="${colour}"` : '');
};

function inkOf({ ink, paper, faint, inverse }: Style): Colour | 'paper' | 'faint' {
  if (inverse) return paper ?? 'paper';
  // On a colour that the program chose, the text has to have one that does not follow the scheme.
  if (ink === null || ink === 'ink') return faint ? 'faint' : paper === null || isName(paper) ? 'ink' : '#12151a';
  return ink;
}

const paperOf = ({ ink, paper, inverse }: Style): Colour | null => (inverse ? (ink ?? 'ink') : paper);

// Bars and charts are drawn, not written: in many fonts these characters neither touch each other nor have one height.

const LOWER = '▁▂▃▄▅▆▇█';
const LEFT = '▉▊▋▌▍▎▏';
const BLOCK = /[▁▂▃▄▅▆▇█▉▊▋▌▍▎▏░┃│]+/g;

/** The part of a cell that a character covers: x, y, width and height. */
function shapeOf(char: string): [number, number, number, number] {
  const { width, height } = CELL;
  const low = LOWER.indexOf(char);
  if (low >= 0) return [0, height * (1 - (low + 1) / 8), width, height * ((low + 1) / 8)];
  const left = LEFT.indexOf(char);
  if (left >= 0) return [0, 0, width * ((7 - left) / 8), height];
  if (char === '┃' || char === '│') return [width / 2 - 1, 0, char === '┃' ? 2.4 : 1.2, height];
  return [0, height / 2 - 1, width, 2]; // ░: the empty part of a bar
}

/** Rectangles of one row; neighbours of one shape become one. */
function blockPath(text: string, x: number, y: number): string {
  const rectangles: [number, number, number, number][] = [];
  [...text].forEach((char, i) => {
    const [left, top, width, height] = shapeOf(char);
    const last = rectangles.at(-1);
    const at = x + i * CELL.width + left;
    if (last && last[1] === y + top && last[3] === height && Math.abs(last[0] + last[2] - at) < 0.01) last[2] += width;
    else rectangles.push([at, y + top, width, height]);
  });
  return rectangles
    .map(([left, top, width, height]) => `M${px(left)} ${px(top)}h${px(width)}v${px(height)}h-${px(width)}z`)
    .join('');
}

const xOf = (column: number): number => MARGIN.x + column * CELL.width;
export const yOf = (row: number): number => MARGIN.y + row * CELL.height;

/** Words of a run, each in its column: a wide gap is no part of the text, so that any font keeps the columns. */
function words(text: string, column: number, y: number, style: Style): string[] {
  return [...text.matchAll(/\S+(?: \S+)*/g)].map((match) => {
    const from = column + [...text.slice(0, match.index)].length;
    const length = [...match[0]].length;
    const attributes = filled(inkOf(style), ...(style.bold ? ['bold'] : []));
    return `<text x="${px(xOf(from))}" y="${px(y + BASELINE)}" textLength="${px(length * CELL.width)}"${attributes}>${escapeXml(match[0])}</text>`;
  });
}

function drawnRun({ column, text, style }: Run, row: number): string[] {
  const y = yOf(row);
  const parts: string[] = [];
  const paper = paperOf(style);
  if (paper !== null) {
    const width = [...text].length * CELL.width;
    parts.push(
      `<rect x="${px(xOf(column))}" y="${px(y)}" width="${px(width)}" height="${CELL.height}"${filled(paper)}/>`,
    );
  }
  const blocks = [...text.matchAll(BLOCK)];
  for (const { 0: block, index } of blocks) {
    const at = xOf(column + [...text.slice(0, index)].length);
    parts.push(`<path${filled(inkOf(style))} d="${blockPath(block, at, y)}"/>`);
  }
  return [
    ...parts,
    ...words(
      text.replace(BLOCK, (block) => ' '.repeat(block.length)),
      column,
      y,
      style,
    ),
  ];
}

/** What is written in each line, from the first row on. */
export const drawnLines = (lines: readonly Run[][]): string[] =>
  lines.map((runs, row) => runs.flatMap((run) => drawnRun(run, row)).join(''));

export interface Screen {
  title: string;
  /** In characters. */
  width: number;
  /** With escape sequences for colours. */
  text: string;
}

export const sizeOf = (columns: number, rows: number): { width: number; height: number } => ({
  width: Math.ceil(columns * CELL.width + 2 * MARGIN.x),
  height: rows * CELL.height + 2 * MARGIN.y,
});

/** A screen that stands still. */
export function screenPicture({ title, width, text }: Screen): string {
  const lines = runsOf(text.replace(/\n+$/, ''));
  return svgDocument({ ...sizeOf(width, lines.length), title, style: TERMINAL_STYLE }, drawnLines(lines));
}

const UNESCAPED = /&#(\d+);/g;

/** The lines of text in a picture, with the words in their columns; bars and charts are missing. */
export function textIn(svg: string): string[] {
  const lines: string[] = [];
  for (const [, x, y, text = ''] of svg.matchAll(/<text x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*)<\/text>/g)) {
    const row = Math.round((Number(y) - MARGIN.y - BASELINE) / CELL.height);
    const column = Math.round((Number(x) - MARGIN.x) / CELL.width);
    while (lines.length <= row) lines.push('');
    lines[row] =
      (lines[row] ?? '').padEnd(column) + text.replace(UNESCAPED, (_, code) => String.fromCharCode(Number(code)));
  }
  return lines;
}
