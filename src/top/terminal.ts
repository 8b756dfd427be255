// SPDX-License-Identifier: MIT
/** The terminal: draws lines, tells keys, and is given back as it was however the process ends. */
import * as fs from 'node:fs';
import * as readline from 'node:readline';

import { clock } from '../native/clock';
import { reopened } from '../native/standard-streams';
import { printable } from '../printable';
import { ATTRIBUTES } from '../terminal/output';
import { type Line, type Style, widthOf } from './drawing';
import { type Size, usableSize } from './screen';

// What is sent to a terminal without waiting for it: one that nobody reads, or that stands still, must not keep keys and
// signals from being heard. A terminal is opened once more for that: O_NONBLOCK would be set for everybody who shares it.

/** How often a terminal that took nothing is tried again, and how long at the end. */
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
  constructor(fd: number, private readonly onLost: (code: string) => void) {
    this.fd = reopened(fd);
  }

  /** Whether the terminal has not taken yet what was sent last: a newer picture waits for that, or escape sequences would be cut. */
  get waits(): boolean {
    return this.rest.length > 0;
  }

  /** Sends a text behind what still waits. */
  send(text: string): void {
    this.rest = Buffer.concat([this.rest, Buffer.from(text)]);
    this.try_();
  }

  /** Sends the last text and closes; waits a moment for the terminal, and no longer. */
  end(text: string): void {
    clearTimeout(this.timer);
    this.rest = Buffer.concat([this.rest, Buffer.from(text)]);
    try {
      for (const until = clock.now() + LAST_MS; ; Atomics.wait(pause, 0, 0, RETRY_MS)) {
        this.writeSome();
        if (!this.waits || clock.now() > until) return;
      }
    } catch {
      // the terminal has gone
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

  /** As much as the terminal takes at once. */
  private writeSome(): void {
    try {
      while (this.waits) this.rest = this.rest.subarray(fs.writeSync(this.fd, this.rest));
    } catch (error) {
      if (codeOf(error) !== 'EAGAIN') throw error;
    }
  }
}

/** Parameters of SGR (ECMA-48, 8.3.117): with colours, which are those of the user's palette, and without. */
type Attributes = Readonly<Record<Style, string>>;
const COLOURED: Attributes = { ...ATTRIBUTES, plain: '', title: ATTRIBUTES.bold, chosen: '1;7', tx: '36', rx: ATTRIBUTES.good };
const MONOCHROME: Attributes = { plain: '', title: '1', chosen: '1;7', good: '', warning: '1', bad: '1;7', faint: '2', tx: '', rx: '' };

/** How a terminal is written to. */
export interface Look {
  colours: boolean;
  /** Names may have any characters: where the locale knows only ASCII, others are shown as question marks. */
  ascii: boolean;
}

/** The other screen, no cursor, no wrapping at the right edge; and back, as terminfo has it for xterm and those like it. */
const ENTER = '\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J';
const LEAVE = '\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l';
const CLEAR = '\x1b[2J';
/** Terminals that know synchronized output show what is between them at once; others ignore them. */
const BEGIN_UPDATE = '\x1b[?2026h';
const END_UPDATE = '\x1b[?2026l';

const onlyAscii = (text: string): string => text.replace(/[^\x20-\x7e]/gu, (char) => '?'.repeat(widthOf(char)));

/** Overwrites a row, from the top one, 0, on. It is erased first: behind a full row the cursor is still in it. */
export function drawnRow(row: number, line: Line, { colours, ascii }: Look): string {
  const attributes = colours ? COLOURED : MONOCHROME;
  const parts = line.map(({ text, style }) => {
    const shown = ascii ? onlyAscii(printable(text)) : printable(text);
    return attributes[style] === '' ? shown : `\x1b[${attributes[style]}m${shown}\x1b[0m`;
  });
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
  private output: TerminalOutput | null = null;
  private readonly close_ = (): void => this.close();
  private readonly pressed = (text: string | undefined, key: readline.Key): void => this.onKey(keyName(text, key));
  /** The terminal has gone, and with it who would press a key. */
  private readonly gone = (): void => this.onKey('CTRL_C');
  /** Why nothing can be drawn any more: the name of the errno. */
  lost: string | null = null;

  /** @param onKey called with the name of each key, with `RESIZE`, and with the signals `SIGTSTP` and `SIGCONT` */
  constructor(private readonly look: Look, private readonly onKey: (key: string) => void) {
    // Whatever ends the process: an error that nobody catches, too.
    process.on('exit', this.close_);
    // Which is asked for the size, and never written to: it would wait for a terminal that nobody reads.
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
      // the terminal has gone
    }
    this.output?.end(LEAVE);
    this.output = null;
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
    // Taken apart, because src/setup/bundle.ts replaces the name process.stdout.columns.
    const { columns, rows } = process.stdout;
    return usableSize(columns, rows);
  }

  /** Only rows that differ from the last time are sent; nothing while the terminal does not take what it has been sent. */
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
