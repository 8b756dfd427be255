// SPDX-License-Identifier: MIT
/** What can be typed into the debugger. */
import { usageError } from '../errors';
import { didYouMean } from '../suggest';

export type StepCommand =
  | { kind: 'pass' | 'drop'; count: number }
  | { kind: 'edit'; at: number; bytes: Uint8Array }
  | { kind: 'inject'; frame: Uint8Array | null }
  | { kind: 'hex' }
  | { kind: 'resume' }
  | { kind: 'help' };

export const HELP = [
  'pass [N]           let this frame go on, or N frames; so does an empty line',
  'drop [N]           end it',
  'edit OFFSET HEX    write bytes into it; checksums are made right again',
  'inject [HEX]       let the interface receive a frame, before this one; without HEX a copy of this one',
  'hex                show its bytes',
  'resume             let everything go on, and leave',
] as const;

/** Understands a line. Throws a USAGE error for what it cannot be. */
export function parseCommand(line: string): StepCommand {
  const [word = '', ...rest] = line.trim().split(/\s+/);
  const kind = Object.entries(WORDS).find(([name]) => word === name || word === name[0])?.[1] ?? (word === '' ? 'pass' : undefined);
  switch (kind) {
    case 'pass':
    case 'drop':
      return { kind, count: rest[0] === undefined ? 1 : whole(rest[0], 1) };
    case 'edit':
      return { kind, at: whole(rest[0] ?? '', 0), bytes: hexBytes(rest.slice(1).join('')) };
    case 'inject':
      return { kind, frame: rest.length === 0 ? null : hexBytes(rest.join('')) };
    case 'hex':
    case 'resume':
    case 'help':
      return { kind };
    case undefined:
      throw usageError(`"${word}"`, 'is no command', didYouMean(word, Object.keys(WORDS), 'help shows those that there are'));
  }
}

/** Each may be cut to its first letter; of `hex` and `help` the first is meant. */
const WORDS = { pass: 'pass', drop: 'drop', edit: 'edit', inject: 'inject', hex: 'hex', resume: 'resume', quit: 'resume', help: 'help', '?': 'help' } as const;

function whole(text: string, min: number): number {
  if (/^(0x[0-9a-f]+|\d+)$/i.test(text) && Number(text) >= min) return Number(text);
  throw usageError(`"${text}"`, `is not a whole number from ${min} on`, 'in digits, or in hexadecimal with 0x');
}

function hexBytes(text: string): Uint8Array {
  const digits = text.replaceAll(':', '');
  if (digits === '' || digits.length % 2 !== 0 || !/^[0-9a-f]+$/i.test(digits)) throw usageError(`"${text}"`, 'is not bytes in hexadecimal', 'two digits a byte: 0800 or 08:00');
  return Buffer.from(digits, 'hex');
}
