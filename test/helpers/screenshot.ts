// SPDX-License-Identifier: MIT
/** The picture of a screen in a document, between two markers: its shape is compared, its numbers are not. */
import * as fs from 'node:fs';

const BEGIN = '<!-- top: begin -->\n```\n';
const END = '```\n<!-- top: end -->';

/** A screen is mostly empty: one empty line stands for many. */
const withoutEmpty = (lines: readonly string[]): string[] =>
  lines.map((line) => line.trimEnd()).filter((line, i, all) => line !== '' || all[i - 1] !== '');

/** The part of a picture that stays the same when other numbers are shown. */
export const shapeOf = (lines: readonly string[]): string[] =>
  withoutEmpty(lines).map((line) =>
    line
      .replace(/[▁-▟┃]/g, ' ')
      .replace(/drops .*/, 'drops')
      .replace(/running|stopped/, 'state')
      .replace(/\d\d:\d\d:\d\d/, 'time')
      .replace(/\d[\d.]*\s?[kMG]?(?=\s?(pkt|bit|%|held|\/s))/g, 'N ')
      .replace(/\s+/g, ' ')
      .trim(),
  );

function split(file: string): [string, string, string] {
  const text = fs.readFileSync(file, 'utf8');
  const [from, to] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`${file} has no markers`);
  return [text.slice(0, from + BEGIN.length), text.slice(from + BEGIN.length, to), text.slice(to)];
}

export const pictureIn = (file: string): string[] => split(file)[1].replace(/\n$/, '').split('\n');

export function putPicture(file: string, lines: readonly string[]): void {
  const [before, , after] = split(file);
  fs.writeFileSync(file, `${before}${withoutEmpty(lines).join('\n')}\n${after}`);
}
