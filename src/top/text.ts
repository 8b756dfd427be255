// SPDX-License-Identifier: MIT
/** Numbers and lines as text. A line is made of parts in a style; only characters that every terminal has. */
export type Style = 'plain' | 'title' | 'chosen' | 'good' | 'warning' | 'bad' | 'faint';

export interface Part {
  text: string;
  style: Style;
}

export type Line = readonly Part[];

export const part = (text: string, style: Style = 'plain'): Part => ({ text, style });

export const textOf = (line: Line): string => line.map(({ text }) => text).join('');

/** 12345 as 12.3k: at most five characters. */
export function short(value: number): string {
  const units = ['', 'k', 'M', 'G', 'T', 'P'];
  let rest = value;
  let unit = 0;
  // 999.5 would be rounded to 1000.
  while (rest >= 999.5 && unit < units.length - 1) {
    rest /= 1000;
    unit++;
  }
  const digits = unit === 0 ? (rest < 9.95 && !Number.isInteger(rest) ? 1 : 0) : rest < 99.95 ? 1 : 0;
  return rest.toFixed(digits) + units[unit];
}

/** `12.3k packets/s`, `142 Mbit/s`; a dash where nothing is known yet. */
export const packetRate = (value: number | undefined): string => `${value === undefined ? '-' : short(value)} packets/s`;

export function bitRate(value: number | undefined): string {
  if (value === undefined) return '- bit/s';
  const [, number, unit] = /^([\d.]+)(\D?)$/.exec(short(value)) as unknown as [string, string, string];
  return `${number} ${unit}bit/s`;
}

export const percent = (part_: number): string => `${Math.round(part_ * 100)} %`;

/** `[####|....]`: how full, and where the mark is. */
export function bar(fill: number, mark: number, width: number): string {
  const filled = fill > 0 ? Math.max(1, Math.round(fill * width)) : 0;
  const at = Math.min(width - 1, Math.floor(mark * width));
  return `[${Array.from({ length: width }, (_, i) => (i === at ? '|' : i < filled ? '#' : '.')).join('')}]`;
}

/** Cuts a line, so that it fits. */
export function clip(line: Line, width: number): Line {
  let left = width;
  return line.flatMap(({ text, style }) => {
    const shown = text.slice(0, left);
    left -= shown.length;
    return shown === '' ? [] : [{ text: shown, style }];
  });
}

/** Text at both ends of a line. */
export function apart(left: string, right: string, width: number): string {
  const space = width - right.length;
  return `${left.slice(0, Math.max(0, space - 1)).padEnd(Math.max(0, space))}${right}`.slice(0, width);
}
