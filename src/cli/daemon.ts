// SPDX-License-Identifier: MIT
/** `attach --daemon` on the side of the process in the background: how it knows that it is there, and how it reports that it is ready. */
import * as fs from 'node:fs';

/** Set in the background process, to the directory that its files are named from. */
export const IN_BACKGROUND = 'VNET_BPF_IN_BACKGROUND';

/** The descriptor on which the background process says what is to be printed, once it is ready. A pipe: Node's own channel is one more thing to load, on both sides. */
export const READY_FD = 3;

export const inBackground = (): boolean => process.env[IN_BACKGROUND] !== undefined;

/** The directory that the user names files from, or why none can be named: as namesBeginAt() has it. */
export const userDirectory = (): string => process.env[IN_BACKGROUND] ?? (require('../native/inherited') as typeof import('../native/inherited')).namesBeginAt();

/**
 * Whether arguments that nobody has parsed yet ask for the background without doubt: the usual spelling. What
 * this does not recognize, `attach` itself does, later.
 */
export function wantsBackground(args: readonly string[]): boolean {
  if (inBackground() || args[0] !== 'attach') return false;
  const at = args.indexOf('--daemon');
  const asksOnly = (arg: string): boolean => ['--help', '-h', '--version', '-V'].includes(arg) || arg.startsWith('--dry-run');
  return at > 0 && args[at + 1] !== 'false' && !args.some(asksOnly);
}

/** What is between the output and lines for standard error. */
const WARNINGS = '\0';

/** What reportReady() has said, taken apart. */
export function readyReport(text: string): { output: string; warnings: string } {
  const [output = '', warnings = ''] = text.split(WARNINGS);
  return { output, warnings };
}

/** Tells the waiting command that the interface is ready, and what to print. Printable. */
export function reportReady(output: string, warnings: readonly string[] = []): void {
  try {
    fs.writeFileSync(READY_FD, warnings.length === 0 ? output : `${output}${WARNINGS}${warnings.join('\n')}\n`);
    fs.closeSync(READY_FD);
  } catch {
    // Whoever waited has gone.
  }
  // Nobody reads it any more; a message there must not end the controller.
  process.stderr.on('error', () => undefined);
}
