// SPDX-License-Identifier: MIT
/**
 * The output of commands: reports and news on stdout (src/native/standard-streams.ts explains the difference), one
 * error line and perhaps a hint on stderr, in colours where the terminal has them. Every line is made printable here,
 * whatever it contains; a newline within one is shown as `\\n`.
 */
import { fstatSync } from 'node:fs';

import { exhaustion, HINTS, missingLibrary, VnetError } from '../errors';
import { sayKoffiIsMissing } from '../native/node';
import { news, report } from '../native/standard-streams';
import { isTerminal, showsColours } from '../native/terminal';
import { printable, printableJson, printableLines } from '../printable';

/** Parameters of SGR (ECMA-48, 8.3.117). */
export const ATTRIBUTES = { bold: '1', good: '32', warning: '33', bad: '1;31', faint: '2' } as const;

export type Look = keyof typeof ATTRIBUTES;

/** Whether the descriptor is a terminal and colours are wanted. */
export function hasColours(fd: number, env: NodeJS.ProcessEnv = process.env): boolean {
  if (!showsColours(env)) return false;
  try {
    return isTerminal(fstatSync(fd));
  } catch {
    return false;
  }
}

/** A printable text with its colours for a descriptor. */
export function coloured(look: Look, text: string, fd: number): string {
  return hasColours(fd) ? `\x1b[${ATTRIBUTES[look]}m${text}\x1b[0m` : text;
}

const asText = (lines: readonly string[]): string => lines.map((line) => `${printable(line)}\n`).join('');

/** Prints lines of a report. Throws a VnetError if they cannot be written. */
export const print = (...lines: readonly string[]): void => report(1, asText(lines));

/** Prints a report that is already printable: made of our own words, or of text that has been through printable(). */
export const printMade = (text: string): void => report(1, `${text}\n`);

/** Prints news, line by line: what was done. Never throws, and does not wait for a reader. */
export const tell = (...lines: readonly string[]): void => news(1, asText(lines));

/** tell() on stderr. */
export const tellNotice = (...lines: readonly string[]): void => news(2, asText(lines));

/** Prints news that are already printable. */
export const tellMade = (text: string): void => news(1, `${text}\n`);

export const jsonText = printableJson;

/** Prints one JSON document and nothing else. */
export function printJson(document: unknown): void {
  printMade(jsonText(document));
}

/** Prints a JSON document on one line, for reports that continue. */
export function printJsonLine(document: unknown): void {
  printMade(jsonText(document, 0));
}

/** Prints the steps of `--dry-run`: one per line, or an array. */
export function printSteps(steps: readonly string[], json: boolean): void {
  if (json) printJson(steps);
  else print(...steps);
}

/** Formats rows as columns, each as wide as its widest cell, two spaces apart. */
export function table(texts: readonly (readonly string[])[]): string[] {
  const rows = texts.map((row) => row.map(printable));
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)));
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] as number))
      .join('  ')
      .trimEnd(),
  );
}

/** Formats a number of bytes: 8388608 as 8 MiB. */
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

/** Prints an error in the documented form, and returns the exit code. */
export function reportError(error: unknown, debug: boolean): number {
  if (sayKoffiIsMissing(error)) return 1;
  news(
    2,
    errorText(error, debug, (look, text) => coloured(look, text, 2)),
  );
  return exitCodeOf(error);
}

/** The text of anything that was thrown: an object may have none. */
function textOf(thrown: unknown): string {
  try {
    return String(thrown);
  } catch {
    return typeof thrown;
  }
}

/** The error in one line, perhaps a hint, and with `debug` everything known. */
export function errorText(
  thrown: unknown,
  debug: boolean,
  paint: (look: Look, text: string) => string = (_, text) => text,
): string {
  const error = exhaustion(thrown) ?? missingLibrary(thrown) ?? thrown;
  const known = error instanceof VnetError;
  const message = error instanceof Error ? error.message : textOf(error);
  const hasPlace = known || message.includes(': ');
  const line = hasPlace ? message : `internal error: ${message}`;
  const advice = known ? error.hint : hasPlace ? HINTS.doctor : HINTS.bug;
  const hint = advice ? `${paint('bold', 'hint:')} ${printable(oneLine(advice))}\n` : '';
  return `${paint('bad', 'vnet-bpf:')} ${printable(oneLine(line))}\n${hint}${debug ? printableLines(stackOf(error)) : ''}`;
}

export const exitCodeOf = (error: unknown): number => (error instanceof VnetError ? error.exitCode : 1);

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return '';
  const log = 'log' in error && typeof error.log === 'string' ? `${error.log}\n` : '';
  const cause = error.cause === undefined ? '' : `caused by ${stackOf(error.cause)}`;
  return `${error.stack ?? error.message}\n${log}${cause}`;
}
