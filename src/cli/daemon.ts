// SPDX-License-Identifier: MIT
/**
 * `attach --daemon` on the side of the background process: how it recognizes itself, and how it reports that it is
 * ready.
 */
import * as fs from 'node:fs';

/** Environment variable of the background process: the directory that its file names are relative to. */
export const IN_BACKGROUND = 'VNET_BPF_IN_BACKGROUND';

/**
 * The descriptor to which the background process writes what to print, once it is ready. A pipe: Node's own channel
 * would be one more thing to load, on both sides.
 */
export const READY_FD = 3;

/** The variable, or null in any other process; undefined until takeBackground() has taken it. */
let taken: string | null | undefined;

/**
 * The variable only counts with the pipe: a process that this one has started may pass it on. Nothing is imported for
 * that, because both processes read this file before anything else.
 */
function lookForIt(): string | null {
  const value = process.env[IN_BACKGROUND];
  if (value === undefined) return null;
  try {
    const stat = fs.fstatSync(READY_FD);
    return stat.isSocket() || stat.isFIFO() ? value : null;
  } catch {
    return null;
  }
}

export const inBackground = (): boolean => (taken === undefined ? lookForIt() : taken) !== null;

/**
 * Recognizes the background process, and tells the waiting command that it has started. Takes the variable out of the
 * environment, which what this process starts inherits.
 */
export function takeBackground(): boolean {
  taken = lookForIt();
  delete process.env[IN_BACKGROUND];
  if (taken === null) return false;
  report(STARTED);
  return true;
}

/**
 * Environment variable of a background process that was started in another network namespace than its caller's: the
 * descriptor of the caller's.
 */
export const CALLERS_NETNS = 'VNET_BPF_CALLERS_NETNS';
export const CALLERS_NETNS_FD = 4;

/** That descriptor, or null. */
export const callersNetns = (): number | null =>
  inBackground() && process.env[CALLERS_NETNS] === String(CALLERS_NETNS_FD) ? CALLERS_NETNS_FD : null;

/** The directory that the user's file names are relative to, or why there is none, as namesBeginAt() returns it. */
export const userDirectory = (): string =>
  taken ?? (require('../native/inherited') as typeof import('../native/inherited')).namesBeginAt();

/**
 * Whether unparsed arguments ask for the background beyond doubt, in the usual spelling. `attach` itself recognizes the
 * rest, later.
 */
export function wantsBackground(args: readonly string[]): boolean {
  if (inBackground() || args[0] !== 'attach') return false;
  const at = args.indexOf('--daemon');
  const asksOnly = (arg: string): boolean =>
    ['--help', '-h', '--version', '-V'].includes(arg) || arg.startsWith('--dry-run');
  return at > 0 && args[at + 1] !== 'false' && !args.some(asksOnly);
}

/** What comes first, once the background process runs. */
export const STARTED = '\x01';
/** Separates the output from the lines for standard error. */
const WARNINGS = '\0';

function report(text: string): void {
  try {
    fs.writeFileSync(READY_FD, text);
  } catch {
    // The waiting command is gone.
  }
}

/** Splits what takeBackground() and reportReady() have written. */
export function readyReport(text: string): { output: string; warnings: string } {
  const [output = '', warnings = ''] = text.replace(STARTED, '').split(WARNINGS);
  return { output, warnings };
}

/** Tells the waiting command that the interface is ready, and what to print. The text must be printable. */
export function reportReady(output: string, warnings: readonly string[] = []): void {
  report(warnings.length === 0 ? output : `${output}${WARNINGS}${warnings.join('\n')}\n`);
  fs.closeSync(READY_FD);
  // Nothing reads it any more; a message there must not end the controller.
  process.stderr.on('error', () => undefined);
}
