// SPDX-License-Identifier: MIT
/** What a terminal can show, as its environment tells. Pure: the environment is a parameter. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Terminfo entries without colours: the DEC terminals, and variants such as `xterm-mono` or `linux-nc`. */
const MONOCHROME = /^vt\d|-(m|mono|nc)$/;

/** The Linux console's fonts and those of DEC terminals have no eighths of a block. */
const WITHOUT_BLOCKS = /^(linux|vt\d)/;

const terminalOf = (environment: Environment): string => environment['TERM'] ?? '';

/** Whether the cursor can be moved. */
export const movesCursor = (environment: Environment): boolean => !['', 'dumb', 'unknown'].includes(terminalOf(environment));

/** Whether colours may be used: NO_COLOR forbids them unless it is empty (no-color.org). */
export const showsColours = (environment: Environment): boolean =>
  !environment['NO_COLOR'] && movesCursor(environment) && !MONOCHROME.test(terminalOf(environment));

/** Whether block characters such as U+2581 are shown. The locale is looked up in the order of setlocale(3). */
export function showsBlocks(environment: Environment): boolean {
  const locale = environment['LC_ALL'] || environment['LC_CTYPE'] || environment['LANG'] || '';
  return /utf-?8/i.test(locale) && movesCursor(environment) && !WITHOUT_BLOCKS.test(terminalOf(environment));
}
