// SPDX-License-Identifier: MIT
/**
 * Turns the code of a document into a shell script that does what a reader would do: it writes the files and runs the
 * commands.
 */
import * as fs from 'node:fs';

export interface Block {
  language: string;
  text: string;
  /** The line on which it begins. */
  line: number;
}

export function blocksOf(file: string): Block[] {
  const blocks: Block[] = [];
  let open: Block | null = null;
  fs.readFileSync(file, 'utf8')
    .split('\n')
    .forEach((line, i) => {
      if (!line.startsWith('```')) {
        if (open) open.text += `${line}\n`;
      } else if (open) {
        blocks.push(open);
        open = null;
      } else open = { language: line.slice(3), text: '', line: i + 1 };
    });
  return blocks;
}

/** A block of code names its file in its first line: `// host.ts`. */
export function scriptOf(blocks: readonly Block[]): string {
  return blocks
    .map(({ language, text, line }) => {
      const mark = `echo "@@ line ${line}"\n`;
      if (language === 'sh') return mark + text;
      const name = /^\/\/ (\S+)\n/.exec(text)?.[1];
      if (name === undefined) throw new Error(`line ${line}: the code does not name its file`);
      return `${mark}cat >'${name}' <<'END OF ${name}'\n${text}END OF ${name}\n`;
    })
    .join('');
}

/** Matches a line that a document shows: whatever its numbers and sizes are; `...` stands for anything. */
const shown = (line: string): RegExp =>
  new RegExp(
    `^${line
      .trim()
      .split(/\s+/)
      .map((word) =>
        word
          .replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')
          .replace(/\\\.\\\.\\\./g, '.*')
          .replace(/\d+(?:\\\.\d+)*/g, '[\\d.]+')
          .replace(/^(?:[KMG]i)?B$/, '(?:[KMG]i)?B'),
      )
      .join(' ')}$`,
  );

/** The lines of a document's block that an output lacks, in that order; a line `...` stands for any lines. */
export function notShown(block: string, output: string): string[] {
  const lines = output.split('\n').map((line) => line.trim().replace(/\s+/g, ' '));
  let next = 0;
  return block.split('\n').filter((line) => {
    if (line.trim() === '' || line.trim() === '...') return false;
    const pattern = shown(line);
    const at = lines.findIndex((each, i) => i >= next && pattern.test(each));
    if (at >= 0) next = at + 1;
    return at < 0;
  });
}

/** The reader's environment, for a private machine: the command in the PATH, and a directory to work in. */
export const READERS_HOME = `
mkdir -p /run/home/bin && cd /run/home
printf '#!/bin/sh\\nexec "%s" "%s" "$@"\\n' "$NODE" "$MAIN" >bin/vnet-bpf
chmod +x bin/vnet-bpf
PATH=/run/home/bin:$PATH
set -e
`;
