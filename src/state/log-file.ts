// SPDX-License-Identifier: MIT
/** The log of an interface: lines are written whole or not at all, and how many could not be written is said with the first that can. */
import * as fs from 'node:fs';

/** The log is cut in half when it has grown to this. */
const BYTES_MAX = 1 << 20;
const { O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_RDWR } = fs.constants;
/** Whatever lies in its place, opening it neither follows a link nor waits. */
const FLAGS = O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK;

export class LogFile {
  private missing = 0;
  private why = '';

  constructor(private readonly file: string) {}

  /** Adds a line, without its end. Throws nothing: what is logged goes on without its log. */
  append(line: string): void {
    try {
      this.write(this.missing > 0 ? `${this.gap()}\n${line}\n` : `${line}\n`);
      this.missing = 0;
    } catch (error) {
      this.missing++;
      this.why = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    }
  }

  private gap(): string {
    return `${new Date().toISOString()} VNET: ${this.missing} ${this.missing === 1 ? 'line is' : 'lines are'} missing here, which could not be written (${this.why})`;
  }

  private write(lines: string): void {
    const fd = fs.openSync(this.file, FLAGS, 0o600);
    try {
      const { size } = fs.fstatSync(fd);
      appendWhole(fd, size, Buffer.from(lines));
      if (size > BYTES_MAX) cutInHalf(fd);
    } finally {
      fs.closeSync(fd);
    }
  }
}

/** Half a line is taken back: the disk is full. */
function appendWhole(fd: number, size: number, bytes: Buffer): void {
  try {
    for (let written = 0; written < bytes.length; ) written += fs.writeSync(fd, bytes, written);
  } catch (error) {
    fs.ftruncateSync(fd, size);
    throw error;
  }
}

/** Moves the second half to the beginning, over what was there: that needs no space. */
function cutInHalf(fd: number): void {
  // A description of its own: with O_APPEND pwrite(2) would append, and reading would begin at the end.
  const file = fs.openSync(`/proc/self/fd/${fd}`, O_RDWR);
  try {
    const text = fs.readFileSync(file);
    const kept = text.subarray(text.indexOf('\n', text.length >> 1) + 1);
    for (let written = 0; written < kept.length; ) written += fs.writeSync(file, kept, written, kept.length - written, written);
    fs.ftruncateSync(file, kept.length);
  } finally {
    fs.closeSync(file);
  }
}
