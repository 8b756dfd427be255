// SPDX-License-Identifier: MIT
/** What the audience sees: a sentence before each step, the commands, their output, what it proves. */
import * as path from 'node:path';

import { tell, tellMade } from '../cli/output';
import { coloured } from '../colours';
import { VnetError } from '../errors';
import { workingDirectory } from '../native/working-directory';
import { printable } from '../printable';

const WIDTH = 92;
const bold = (text: string): string => coloured('bold', printable(text), 1);

/** A file of ours as a user of this directory would name it. */
export function shownPath(file: string): string {
  const directory = workingDirectory();
  return directory === null ? file : path.relative(directory, file) || path.basename(file);
}

let step = 0;

/** Begins a step. */
export function title(text: string): void {
  tellMade(`\n${bold(`${++step}. ${text}`)}`);
}

/** Says what happens and why it matters. */
export function say(text: string): void {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/).filter(Boolean)) {
    if (line !== '' && line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = '';
    }
    line += line === '' ? word : ` ${word}`;
  }
  tell(...[...lines, line].map((each) => `   ${each}`));
}

export function showCommand(line: string): void {
  tell(`   # ${line}`);
}

export function showOutput(text: string): void {
  const lines = text.trimEnd().split('\n').filter((line) => line.trim() !== '');
  for (const line of lines) tell(`   | ${line}`);
}

/** Goes on if `holds`; otherwise the demo has failed. */
export function proves(holds: boolean, claim: string, otherwise: string): void {
  if (!holds) throw new VnetError('STATE', 'demo', `this does not hold: ${claim} (${otherwise})`, { hint: 'vnet-bpf doctor looks for the cause' });
  tellMade(`   ${bold('=>')} ${printable(claim)}`);
}
