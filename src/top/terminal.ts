// SPDX-License-Identifier: MIT
/** The terminal: draws lines, tells keys, and is given back as it was however the process ends. */
import * as fs from 'node:fs';
import * as readline from 'node:readline';

import { printable } from '../printable';
import type { Size } from './screen';
import type { Line, Style } from './text';

/** Parameters of SGR (ECMA-48, 8.3.117). */
const ATTRIBUTES: Readonly<Record<Style, string>> = { plain: '', title: '1', chosen: '1;7', good: '32', warning: '33', bad: '1;31', faint: '2' };

/** The other screen, no cursor, no wrapping at the right edge; and back, as terminfo has it for xterm and those like it. */
const ENTER = '\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J';
const LEAVE = '\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l';
const CLEAR = '\x1b[2J';

/** Overwrites a row, from the top one, 0, on. It is erased first: behind a full row the cursor is still in it. */
export function drawnRow(row: number, line: Line): string {
  const parts = line.map(({ text, style }) => (ATTRIBUTES[style] === '' ? printable(text) : `\x1b[${ATTRIBUTES[style]}m${printable(text)}\x1b[0m`));
  return `\x1b[${row + 1};1H\x1b[2K${parts.join('')}`;
}

const NAMES: Readonly<Partial<Record<string, string>>> = { return: 'ENTER', enter: 'ENTER', up: 'UP', down: 'DOWN', left: 'LEFT', right: 'RIGHT', escape: 'ESCAPE', backspace: 'BACKSPACE' };

/** A key of Node's as press() wants it: a name, or the character. */
export function keyName(text: string | undefined, { name, ctrl }: readline.Key): string {
  if (ctrl) return name === 'c' || name === 'z' ? `CTRL_${name.toUpperCase()}` : '';
  return NAMES[name ?? ''] ?? text ?? '';
}

export class Screen implements Disposable {
  private drawn: string[] = [];
  private open = true;
  private readonly close_ = (): void => this.close();
  private readonly pressed = (text: string | undefined, key: readline.Key): void => this.onKey(keyName(text, key));
  /** The terminal has gone, and with it who would press a key. */
  private readonly gone = (): void => this.onKey('CTRL_C');
  /** Why nothing can be drawn any more: the name of the errno. */
  lost: string | null = null;

  /** @param onKey called with the name of each key, with `RESIZE`, and with the signals `SIGTSTP` and `SIGCONT` */
  constructor(private readonly onKey: (key: string) => void) {
    // Whatever ends the process: an error that nobody catches, too.
    process.on('exit', this.close_);
    process.stdout.on('resize', this.resized).on('error', (error: NodeJS.ErrnoException) => {
      this.lost = error.code ?? 'EIO';
      this.gone();
    });
    readline.emitKeypressEvents(process.stdin);
    process.stdin.on('keypress', this.pressed).on('end', this.gone).on('error', this.gone);
    this.enter();
  }

  private enter(): void {
    process.on('SIGTSTP', this.onKey).on('SIGCONT', this.onKey);
    process.stdin.setRawMode(true).resume();
    process.stdout.write(ENTER);
    this.drawn = [];
  }

  private leave(): void {
    process.off('SIGTSTP', this.onKey).off('SIGCONT', this.onKey);
    try {
      process.stdin.setRawMode(false).pause();
      fs.writeSync(1, LEAVE);
    } catch {
      // the terminal has gone
    }
  }

  /** Gives the terminal back while this process stands still, or with 0 its process group, as Ctrl-Z has it. Returns when it goes on. */
  suspend(pid: number): void {
    this.leave();
    process.kill(pid, 'SIGTSTP'); // does nothing where no shell would let it go on
    this.continued();
  }

  /** Takes the terminal again, of which others have made what they like. */
  continued(): void {
    this.leave();
    this.enter();
    process.emit('SIGWINCH', 'SIGWINCH'); // its size may be another: Node.js looks
  }

  get size(): Size {
    const { columns, rows } = process.stdout;
    return { width: columns || 80, height: rows || 24 };
  }

  /** Only rows that differ from the last time are sent. */
  draw(lines: readonly Line[]): void {
    const rows = lines.map((line, row) => drawnRow(row, line));
    const changed = rows.filter((text, row) => text !== this.drawn[row]);
    this.drawn = rows;
    if (changed.length > 0) process.stdout.write(changed.join(''));
  }

  private readonly resized = (): void => {
    process.stdout.write(CLEAR);
    this.drawn = [];
    this.onKey('RESIZE');
  };

  /** Idempotent. */
  close(): void {
    if (!this.open) return;
    this.open = false;
    process.off('exit', this.close_);
    process.stdout.off('resize', this.resized);
    process.stdin.off('keypress', this.pressed);
    this.leave();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
