// SPDX-License-Identifier: MIT
/** What the audience sees: a sentence before each step, the commands, their output, what it proves. */
import { print, printMade } from '../cli/output';
import { VnetError } from '../errors';
import { printable } from '../printable';

const WIDTH = 92;
const bold = (text: string): string => (process.stdout.isTTY && !process.env['NO_COLOR'] ? `\x1b[1m${printable(text)}\x1b[0m` : printable(text));

let step = 0;

/** Begins a step. */
export function title(text: string): void {
  printMade(`\n${bold(`${++step}. ${text}`)}`);
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
  print(...[...lines, line].map((each) => `   ${each}`));
}

export function showCommand(line: string): void {
  print(`   # ${line}`);
}

export function showOutput(text: string): void {
  const lines = text.trimEnd().split('\n').filter((line) => line.trim() !== '');
  for (const line of lines) print(`   | ${line}`);
}

/** Goes on if `holds`; otherwise the demo has failed. */
export function proves(holds: boolean, claim: string, otherwise: string): void {
  if (!holds) throw new VnetError('STATE', 'demo', `this does not hold: ${claim} (${otherwise})`, { hint: 'vnet-bpf doctor looks for the cause' });
  printMade(`   ${bold('=>')} ${printable(claim)}`);
}
