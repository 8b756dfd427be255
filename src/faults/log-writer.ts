// SPDX-License-Identifier: MIT
/**
 * Writes the log of faults into two files in turn: when one is full, the other is emptied and continues the log. So the
 * latest faults are kept, and the log does not grow without bound.
 */
import * as fs from 'node:fs';

import { type Fault, lineOf } from './log';

/** Bytes of each file. */
const FILE_BYTES = 8 << 20;
/** The most bytes that wait to be written. */
const WAITING_BYTES = 64 << 10;

export class LogWriter {
  private lines: string[] = [];
  private waiting = 0;
  private current = 0;
  private written = 0;
  /** Number of faults that could not be written. */
  missed = 0;
  /** Called when a first line waits to be written: flush() must be called soon. */
  soon: () => void = () => undefined;

  /** The descriptors are open for appending; the caller keeps them. */
  constructor(
    private readonly fds: readonly number[],
    private readonly fileBytes = FILE_BYTES,
  ) {}

  /** Empties the files. Throws what ftruncate(2) says. */
  begin(): void {
    for (const fd of this.fds) fs.ftruncateSync(fd);
  }

  add(fault: Fault): void {
    const line = lineOf(fault);
    if (this.lines.length === 0) this.soon();
    this.lines.push(line);
    this.waiting += line.length + 1;
    if (this.waiting >= WAITING_BYTES) this.flush();
  }

  /** Writes what waits. Never throws: a full file system costs lines of the log, and no frame. */
  flush(): void {
    const { lines } = this;
    if (lines.length === 0) return;
    this.lines = [];
    this.waiting = 0;
    try {
      const text = Buffer.from(`${lines.join('\n')}\n`);
      if (this.written + text.length > this.fileBytes) this.turn();
      fs.writeSync(this.fds[this.current] as number, text);
      this.written += text.length;
    } catch {
      this.missed += lines.length;
    }
  }

  private turn(): void {
    this.current = (this.current + 1) % this.fds.length;
    this.written = 0;
    fs.ftruncateSync(this.fds[this.current] as number);
  }
}

/** The lines of both files, the earlier ones first. A missing file counts as empty. */
export function readLog(files: readonly string[]): string[] {
  const texts = files.map((file) => (fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : ''));
  const timeOf = (text: string): number => Number(/^\{"time":([\d.]+)/.exec(text)?.[1] ?? 0);
  return texts.sort((a, b) => timeOf(a) - timeOf(b)).flatMap((text) => text.split('\n').filter(Boolean));
}
