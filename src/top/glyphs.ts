// SPDX-License-Identifier: MIT
/** The characters that charts are made of. */
export interface Glyphs {
  /** Columns of a chart: from one eighth of a cell to all of it. */
  levels: string;
  /** A column of height 0. */
  zero: string;
  /** A bar: cells filled, filled in part (from left to right, the least first), empty, the mark, and both ends. */
  bar: { full: string; parts: string; empty: string; mark: string; begin: string; end: string };
  /** What the queue did: never stopped, stopped and woke, stopped all the time. */
  queue: { ran: string; woke: string; stopped: string };
  /** The keys that move. */
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
