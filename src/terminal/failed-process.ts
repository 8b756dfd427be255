// SPDX-License-Identifier: MIT
/** Why a process failed, from what it has printed: one line that an error can pass on. */

/** Lines of Node.js about an error that nobody caught, and about the end of its memory. */
const UNCAUGHT = /^(?:\w*Error\b.*|FATAL ERROR: .*|# Fatal .*)$/;

export interface Reported {
  /** Without `vnet-bpf: `; null if no line says why. */
  line: string | null;
  hint: string | undefined;
}

/** Finds the line in the standard error of a process: that of a command of this program, or else of Node.js. */
export function reported(stderr: string): Reported {
  const lines = stderr.trim().split('\n');
  const prefix = 'vnet-bpf: ';
  const own = lines.find((line) => line.startsWith(prefix))?.slice(prefix.length);
  const line = own ?? lines.find((each) => UNCAUGHT.test(each))?.replace(/^# /, '') ?? null;
  return { line, hint: lines.find((each) => each.startsWith('hint: '))?.slice('hint: '.length) };
}
