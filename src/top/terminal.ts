// SPDX-License-Identifier: MIT
/** The terminal: draws lines, tells keys, and is given back as it was however the process ends. */
import { ScreenBuffer, terminal } from 'terminal-kit';

import type { Size } from './screen';
import type { Line, Style } from './text';

const ATTRIBUTES: Readonly<Record<Style, ScreenBuffer.Attributes>> = {
  plain: {},
  title: { bold: true },
  chosen: { bold: true, inverse: true },
  good: { color: 'green' },
  warning: { color: 'yellow' },
  bad: { color: 'red', bold: true },
  faint: { dim: true },
};

export class Screen implements Disposable {
  private buffer: ScreenBuffer;
  private open = true;
  private readonly close_ = (): void => this.close();

  /** @param onKey called with the library's name of each key, and with `RESIZE` */
  constructor(private readonly onKey: (key: string) => void) {
    // Whatever ends the process: an error that nobody catches, too.
    process.on('exit', this.close_);
    terminal.fullscreen(true);
    terminal.hideCursor();
    terminal.grabInput(true);
    terminal.on('key', this.onKey);
    terminal.on('resize', this.resized);
    this.buffer = new ScreenBuffer({ dst: terminal });
  }

  get size(): Size {
    return { width: terminal.width, height: terminal.height };
  }

  /** Only what differs from the last time is sent. */
  draw(lines: readonly Line[]): void {
    this.buffer.fill({ attr: {}, char: ' ' });
    lines.forEach((line, y) => {
      let x = 0;
      for (const { text, style } of line) {
        // The text is an argument, not the format: it may hold per cent signs.
        this.buffer.put({ x, y, attr: ATTRIBUTES[style], wrap: false, dx: 1, dy: 0 }, '%s', text);
        x += text.length;
      }
    });
    this.buffer.draw({ delta: true });
  }

  private readonly resized = (): void => {
    terminal.clear();
    this.buffer = new ScreenBuffer({ dst: terminal });
    this.onKey('RESIZE');
  };

  /** Idempotent. */
  close(): void {
    if (!this.open) return;
    this.open = false;
    process.off('exit', this.close_);
    terminal.off('key', this.onKey);
    terminal.off('resize', this.resized);
    terminal.styleReset();
    terminal.hideCursor(false);
    terminal.grabInput(false);
    terminal.fullscreen(false);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
