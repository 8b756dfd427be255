// SPDX-License-Identifier: MIT
/**
 * What commands print: results on stdout, one line of error and perhaps a hint on stderr. Lines are made printable
 * here, whoever named what is in them; a newline within one is shown as `\\n`.
 */
import * as fs from 'node:fs';

import { VnetError } from '../errors';
import { printable, printableJson, printableLines } from '../printable';
import { exhaustion } from '../state/exhaustion';
import { splitCommand } from './split-command';

/** Not through process.stdout, whose streams take 8 ms to load. Ends the process when nobody reads any more: `vnet-bpf stats | head`. */
export function print(...lines: readonly string[]): void {
  write(1, lines.map((line) => `${printable(line)}\n`).join(''));
}

/** The same on stderr. */
export function printNotice(...lines: readonly string[]): void {
  write(2, lines.map((line) => `${printable(line)}\n`).join(''));
}

/** Prints a text that is printable as it is: made of our own words, or of what has been through printable(). */
export function printMade(text: string): void {
  write(1, `${text}\n`);
}

function write(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let written = 0; written < bytes.length; ) {
    try {
      written += fs.writeSync(fd, bytes, written);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // The other end of a pipe may have made it one that does not block.
      if (code === 'EAGAIN') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
      else if (fd === 1) process.exit(code === 'EPIPE' ? 0 : 1);
      else return; // nobody to tell
    }
  }
}

export const jsonText = printableJson;

/** One JSON document and nothing else. */
export function printJson(document: unknown): void {
  printMade(jsonText(document));
}

/** What `--dry-run` prints: one step a line, or an array of them. */
export function printSteps(steps: readonly string[], json: boolean): void {
  if (json) printJson(steps);
  else print(...steps);
}

/** Lines of columns as wide as their widest cell, two spaces apart. */
export function table(texts: readonly (readonly string[])[]): string[] {
  const rows = texts.map((row) => row.map(printable));
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)));
  return rows.map((row) => row.map((cell, i) => cell.padEnd(widths[i] as number)).join('  ').trimEnd());
}

/** 8388608 as 8 MiB. */
export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let rest = value;
  while (rest >= 1024 && unit < units.length - 1) {
    rest /= 1024;
    unit++;
  }
  return `${Number.isInteger(rest) ? rest : rest.toFixed(1)} ${units[unit]}`;
}

const oneLine = (text: string): string => text.replace(/\s*\n\s*/g, ' ').trim();

/** Prints an error as the contract says, and returns the exit code. */
export function reportError(error: unknown, debug: boolean): number {
  write(2, errorText(error, debug));
  return exitCodeOf(error);
}

/** What this command line comes to when it fails: the error, in full where the user asked for `--debug`. */
export function fail(error: unknown): void {
  process.exitCode = reportError(error, splitCommand(process.argv.slice(2)).own.includes('--debug'));
}

/** Whatever is thrown: an object may have no text. */
function textOf(thrown: unknown): string {
  try {
    return String(thrown);
  } catch {
    return typeof thrown;
  }
}

/** One line and perhaps a hint, and with `debug` all that is known. */
export function errorText(thrown: unknown, debug: boolean): string {
  const error = exhaustion(thrown) ?? thrown;
  const known = error instanceof VnetError;
  const message = error instanceof Error ? error.message : textOf(error);
  const line = known || message.includes(': ') ? message : `internal error: ${message}`;
  const hint = known && error.hint ? `hint: ${printable(oneLine(error.hint))}\n` : '';
  return `vnet-bpf: ${printable(oneLine(line))}\n${hint}${debug ? printableLines(stackOf(error)) : ''}`;
}

export const exitCodeOf = (error: unknown): number => (error instanceof VnetError ? error.exitCode : 1);

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return '';
  const log = 'log' in error && typeof error.log === 'string' ? `${error.log}\n` : '';
  const cause = error.cause === undefined ? '' : `caused by ${stackOf(error.cause)}`;
  return `${error.stack ?? error.message}\n${log}${cause}`;
}
