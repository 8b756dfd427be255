// SPDX-License-Identifier: MIT
/** Text with the escape sequences of a terminal for colours (SGR: ECMA-48, 8.3.117), as `tmux capture-pane -e` gives it. */

/** The first eight colours of a terminal: black and white are the colours of ink and paper, whatever the scheme. */
const NAMES = ['ink', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'ink'] as const;
export type ColourName = (typeof NAMES)[number];

/** A colour of the palette, or `#rrggbb` as the program chose it. */
export type Colour = ColourName | `#${string}`;

export interface Style {
  ink: Colour | null;
  paper: Colour | null;
  bold: boolean;
  faint: boolean;
  inverse: boolean;
}

export interface Run {
  /** The column in which it begins. */
  column: number;
  text: string;
  style: Style;
}

const PLAIN: Style = { ink: null, paper: null, bold: false, faint: false, inverse: false };

const hex = (value: number): string => value.toString(16).padStart(2, '0');
const rgb = (red: number, green: number, blue: number): Colour => `#${hex(red)}${hex(green)}${hex(blue)}`;

/** A colour of the 256 that xterm numbers: 16 names, a cube, greys. */
function indexed(index: number): Colour {
  if (index < 16) return NAMES[index % 8] ?? 'ink';
  if (index >= 232) return rgb(8 + (index - 232) * 10, 8 + (index - 232) * 10, 8 + (index - 232) * 10);
  const level = (step: number): number => (step === 0 ? 0 : 55 + step * 40);
  const cube = index - 16;
  return rgb(level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6));
}

/** The colour behind 38 or 48, whose parameters it takes from the queue. */
function extended(rest: number[]): Colour | null {
  if (rest.shift() === 5) return indexed(rest.shift() ?? 0);
  const [red = 0, green = 0, blue = 0] = rest.splice(0, 3);
  return rgb(red, green, blue);
}

function applied(style: Style, parameters: readonly number[]): Style {
  let next = style;
  for (const rest = [...parameters]; rest.length > 0;) {
    const code = rest.shift() ?? 0;
    const colour = NAMES[code % 10] ?? null;
    if (code === 0) next = PLAIN;
    else if (code === 1) next = { ...next, bold: true };
    else if (code === 2) next = { ...next, faint: true };
    else if (code === 7) next = { ...next, inverse: true };
    else if (code === 22) next = { ...next, bold: false, faint: false };
    else if (code === 27) next = { ...next, inverse: false };
    else if (code === 38) next = { ...next, ink: extended(rest) };
    else if (code === 48) next = { ...next, paper: extended(rest) };
    else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) next = { ...next, ink: colour };
    else if ((code >= 40 && code <= 47) || (code >= 100 && code <= 107)) next = { ...next, paper: colour };
    else if (code === 39) next = { ...next, ink: null };
    else if (code === 49) next = { ...next, paper: null };
  }
  return next;
}

/** Lines of runs; the style lasts beyond the end of a line. Sequences that are not about colours are left out. */
export function runsOf(text: string): Run[][] {
  let style = PLAIN;
  return text.split('\n').map((line) => {
    const runs: Run[] = [];
    let column = 0;
    // eslint-disable-next-line no-control-regex
    for (const part of line.split(/(\x1b\[[0-9;:?]*[A-Za-z]|\x1b[()][A-Z0-9]|[\x0e\x0f\r])/)) {
      // eslint-disable-next-line no-control-regex
      const sgr = /^\x1b\[([0-9;:]*)m$/.exec(part);
      if (sgr) style = applied(style, (sgr[1] ?? '').split(/[;:]/).map(Number));
      // eslint-disable-next-line no-control-regex
      if (part === '' || /^[\x1b\x0e\x0f\r]/.test(part)) continue;
      runs.push({ column, text: part, style });
      column += [...part].length;
    }
    return runs;
  });
}
