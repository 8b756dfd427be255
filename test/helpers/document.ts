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

/** The reader's environment, for a private machine: the command in the PATH, and a directory to work in. */
export const READERS_HOME = `
mkdir -p /run/home/bin && cd /run/home
printf '#!/bin/sh\\nexec "%s" "%s" "$@"\\n' "$NODE" "$MAIN" >bin/vnet-bpf
chmod +x bin/vnet-bpf
PATH=/run/home/bin:$PATH
set -e
`;
