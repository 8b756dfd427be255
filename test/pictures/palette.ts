// SPDX-License-Identifier: MIT
/** The colours of drawn pictures, light and dark: a picture follows the reader's setting by itself. */

/** Each is legible on `paper`; the tests compute the contrast. */
export interface Scheme {
  paper: string;
  ink: string;
  faint: string;
  red: string;
  green: string;
  yellow: string;
  blue: string;
  magenta: string;
  cyan: string;
  /** Lines, and areas behind text: not for text. */
  border: string;
  panel: string;
  /** Charts and bars in a terminal: areas in the colours of the text, which need less contrast. */
  area: Readonly<Record<'red' | 'green' | 'yellow' | 'blue' | 'magenta' | 'cyan', string>>;
  /** Bars that are compared with others, and the others. */
  bar: string;
  otherBar: string;
}

export const LIGHT: Scheme = {
  paper: '#ffffff',
  ink: '#1f2328',
  faint: '#59636e',
  red: '#b3261e',
  green: '#116329',
  yellow: '#7a4f01',
  blue: '#0550ae',
  magenta: '#6f42c1',
  cyan: '#0a6c74',
  border: '#d1d9e0',
  panel: '#f3f5f8',
  area: {
    red: '#d1434b',
    green: '#2b9348',
    yellow: '#b98200',
    blue: '#1f7ae0',
    magenta: '#9561e2',
    cyan: '#1593a5',
  },
  bar: '#0b62c4',
  otherBar: '#87909b',
};

export const DARK: Scheme = {
  paper: '#0d1117',
  ink: '#e6edf3',
  faint: '#9198a1',
  red: '#ff7b72',
  green: '#56d364',
  yellow: '#e3b341',
  blue: '#79c0ff',
  magenta: '#d2a8ff',
  cyan: '#56d4dd',
  border: '#3d444d',
  panel: '#171d26',
  area: {
    red: '#f47067',
    green: '#46b755',
    yellow: '#d6a12c',
    blue: '#539bf5',
    magenta: '#b083f0',
    cyan: '#43b9c4',
  },
  bar: '#58a6ff',
  otherBar: '#6c7683',
};

/** The style sheet of a picture, from the rules for one scheme: light, and dark where the reader prefers that. */
export const inBothSchemes = (rules: (scheme: Scheme) => string): string =>
  `${rules(LIGHT)}\n@media (prefers-color-scheme:dark){\n${rules(DARK)}\n}`;

export const escapeXml = (text: string): string => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

/** Without trailing zeros; a tenth of a pixel is not seen. */
export const px = (value: number): string => String(Math.round(value * 10) / 10);

export interface Frame {
  width: number;
  height: number;
  /** What a screen reader says where the picture is opened by itself. */
  title: string;
  style: string;
}

/** A whole SVG document on a ground of its own colour, so that it is legible on any page. */
export function svgDocument({ width, height, title, style }: Frame, body: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${px(width)} ${px(height)}" width="${px(width)}" height="${px(height)}" role="img" aria-labelledby="title">`,
    `<title id="title">${escapeXml(title)}</title>`,
    `<style>\n${style}\n</style>`,
    `<rect class="ground" x="0.5" y="0.5" width="${px(width - 1)}" height="${px(height - 1)}" rx="8"/>`,
    ...body,
    '</svg>',
    '',
  ].join('\n');
}

/** Of every picture. */
export const GROUND = ({ paper, border }: Scheme): string => `.ground{fill:${paper};stroke:${border}}`;
