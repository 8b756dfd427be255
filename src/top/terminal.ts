// SPDX-License-Identifier: MIT
/** The terminal: draws lines, reads keys, and is restored however the process ends. */
import * as fs from 'node:fs';
import * as readline from 'node:readline';

import { clock } from '../native/clock';
import { reopened } from '../native/standard-streams';
import { printable } from '../printable';
import { ATTRIBUTES } from '../terminal/output';
import { type Line, type Style, widthOf } from './drawing';
import { type Size, usableSize } from './screen';

// Writes to a terminal without waiting for it: a terminal that is stopped, or whose output is not read, must not keep
// keys and signals from being handled. The terminal is opened again for this, because O_NONBLOCK would affect every
// process that shares the description.

/** How often a terminal that took nothing is tried again, and how long the last text waits for it, in milliseconds. */
const RETRY_MS = 20;
const LAST_MS = 200;

const pause = new Int32Array(new SharedArrayBuffer(4));
const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? 'EIO';

export class TerminalOutput {
  private readonly fd: number;
  private rest: Buffer = Buffer.alloc(0);
  private timer: NodeJS.Timeout | undefined;

  /**
   * @param fd a descriptor of the terminal
   * @param onLost called with the name of the errno when nothing can be written any more
   */
  constructor(
    fd: number,
    private readonly onLost: (code: string) => void,
  ) {
    this.fd = reopened(fd);
  }

  /** Whether the terminal has not yet taken everything: a newer picture must wait, or escape sequences would be cut. */
  get waits(): boolean {
    return this.rest.length > 0;
  }

  /** Sends a text after what still waits. */
  send(text: string): void {
    this.rest = Buffer.concat([this.rest, Buffer.from(text)]);
    this.try_();
  }

  /** Sends the last text and closes; waits for the terminal for LAST_MS at most. */
  end(text: string): void {
    clearTimeout(this.timer);
    this.rest = Buffer.concat([this.rest, Buffer.from(text)]);
    try {
      for (const until = clock.now() + LAST_MS; ; Atomics.wait(pause, 0, 0, RETRY_MS)) {
        this.writeSome();
        if (!this.waits || clock.now() > until) return;
      }
    } catch {
      // The terminal is gone.
    } finally {
      if (this.fd > 2) fs.closeSync(this.fd);
    }
  }

  private try_(): void {
    try {
      this.writeSome();
    } catch (error) {
      this.rest = Buffer.alloc(0);
      return this.onLost(codeOf(error));
    }
    if (!this.waits) return;
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.try_();
    }, RETRY_MS).unref();
  }

  /** Writes as much as the terminal takes at once. */
  private writeSome(): void {
    try {
      while (this.waits) this.rest = this.rest.subarray(fs.writeSync(this.fd, this.rest));
    } catch (error) {
      if (codeOf(error) !== 'EAGAIN') throw error;
    }
  }
}

/** Parameters of SGR (ECMA-48, 8.3.117): with the colours of the user's palette, and without. */
type Attributes = Readonly<Record<Style, string>>;
const COLOURED: Attributes = {
  ...ATTRIBUTES,
  plain: '',
  title: ATTRIBUTES.bold,
  chosen: '1;7',
  tx: '36',
  rx: ATTRIBUTES.good,
};
const MONOCHROME: Attributes = {
  plain: '',
  title: '1',
  chosen: '1;7',
  good: '',
  warning: '1',
  bad: '1;7',
  faint: '2',
  tx: '',
  rx: '',
};

/** How to write to a terminal. */
export interface Look {
  colours: boolean;
  /** Whether the locale knows only ASCII: other characters, which names may contain, become question marks. */
  ascii: boolean;
}

/**
 * The alternate screen, no cursor, no wrapping at the right edge; and the reverse, as in terminfo for xterm and similar
 * terminals.
 */
const ENTER = '\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J';
const LEAVE = '\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l';
const CLEAR = '\x1b[2J';
/** Terminals that support synchronized output show everything between these at once; others ignore them. */
const BEGIN_UPDATE = '\x1b[?2026h';
const END_UPDATE = '\x1b[?2026l';

const onlyAscii = (text: string): string => text.replace(/[^\x20-\x7e]/gu, (char) => '?'.repeat(widthOf(char)));

/** Overwrites a row; the top row is 0. The row is erased first, because after a full row the cursor is still in it. */
export function drawnRow(row: number, line: Line, { colours, ascii }: Look): string {
  const attributes = colours ? COLOURED : MONOCHROME;
  const parts = line.map(({ text, style }) => {
    const shown = ascii ? onlyAscii(printable(text)) : printable(text);
    return attributes[style] === '' ? shown : `\x1b[${attributes[style]}m${shown}\x1b[0m`;
  });
  return `\x1b[${row + 1};1H\x1b[2K${parts.join('')}`;
}

const NAMES: Readonly<Partial<Record<string, string>>> = {
  return: 'ENTER',
  enter: 'ENTER',
  up: 'UP',
  down: 'DOWN',
  left: 'LEFT',
  right: 'RIGHT',
  escape: 'ESCAPE',
  backspace: 'BACKSPACE',
};

/** Converts a key of Node's for press(): its name, or the character. */
export function keyName(text: string | undefined, { name, ctrl }: readline.Key): string {
  if (ctrl) return name === 'c' || name === 'z' ? `CTRL_${name.toUpperCase()}` : '';
  return NAMES[name ?? ''] ?? text ?? '';
}

export class Screen implements Disposable {
  private drawn: string[] = [];
  private open = true;
  private output: TerminalOutput | null = null;
  private readonly close_ = (): void => this.close();
  private readonly pressed = (text: string | undefined, key: readline.Key): void => this.onKey(keyName(text, key));
  /** The terminal is gone, and with it the user. */
  private readonly gone = (): void => this.onKey('CTRL_C');
  /** Why nothing can be drawn any more, as the name of an errno; null while drawing works. */
  lost: string | null = null;

  /** @param onKey called with the name of each key, with `RESIZE`, and with the signals `SIGTSTP` and `SIGCONT` */
  constructor(
    private readonly look: Look,
    private readonly onKey: (key: string) => void,
  ) {
    // However the process ends, even by an uncaught error.
    process.on('exit', this.close_);
    // process.stdout is only asked for the size: writing to it would wait for a terminal that is not read.
    process.stdout.on('resize', this.resized);
    readline.emitKeypressEvents(process.stdin);
    process.stdin.on('keypress', this.pressed).on('end', this.gone).on('error', this.gone);
    this.enter();
  }

  private enter(): void {
    process.on('SIGTSTP', this.onKey).on('SIGCONT', this.onKey);
    process.stdin.setRawMode(true).resume();
    this.output = new TerminalOutput(1, (code) => {
      this.lost = code;
      this.gone();
    });
    this.output.send(ENTER);
    this.drawn = [];
  }

  private leave(): void {
    process.off('SIGTSTP', this.onKey).off('SIGCONT', this.onKey);
    try {
      process.stdin.setRawMode(false).pause();
    } catch {
      // The terminal is gone.
    }
    this.output?.end(LEAVE);
    this.output = null;
  }

  /**
   * Restores the terminal while this process is stopped, or with 0 its process group, as by Ctrl-Z. Returns when it
   * continues.
   */
  suspend(pid: number): void {
    this.leave();
    process.kill(pid, 'SIGTSTP'); // does nothing if no shell could continue it
    this.continued();
  }

  /** Takes over the terminal again, whatever others have done to it. */
  continued(): void {
    this.leave();
    this.enter();
    process.emit('SIGWINCH', 'SIGWINCH'); // its size may have changed: makes Node.js check
  }

  get size(): Size {
    // In two steps, because src/setup/bundle.ts replaces the name process.stdout.columns.
    const { columns, rows } = process.stdout;
    return usableSize(columns, rows);
  }

  /** Sends only rows that have changed, and nothing while the terminal has not taken the previous picture. */
  draw(lines: readonly Line[]): void {
    if (!this.output || this.output.waits) return;
    const rows = lines.map((line, row) => drawnRow(row, line, this.look));
    const changed = rows.filter((text, row) => text !== this.drawn[row]);
    const clear = this.drawn.length === 0 ? CLEAR : '';
    this.drawn = rows;
    if (changed.length > 0) this.output.send(BEGIN_UPDATE + clear + changed.join('') + END_UPDATE);
  }

  private readonly resized = (): void => {
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
