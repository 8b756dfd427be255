// SPDX-License-Identifier: MIT
/**
 * Where a value comes from, for messages about it: the command line and the library take the same options, check them
 * by the same code, and each is told of a mistake in its own spelling.
 */
import { usageError } from '../errors';
import { didYouMean } from '../suggest';

export interface Place {
  /** The option and its value: `--mtu "67"`, `mtu "67"`. */
  readonly what: string;
  /** A hint at the option with a value that is right: `such as --mtu 1500`, `such as mtu: 1500`. */
  example(value: string): string;
}

/** A flag as programs name it: `ringSize` for `ring-size`. */
export const camelCase = (flag: string): string => flag.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());

/** An option of the command line, by its flag without the dashes. */
export const onCommandLine = (flag: string, value: string): Place => ({ what: `--${flag} "${value}"`, example: (good) => `such as --${flag} ${good}` });

/** A property of the library's options; `shown`: how a good value is written there. */
export const inLibrary = (name: string, value: unknown, shown: (good: string) => string): Place => ({
  what: `${name} ${typeof value === 'string' ? JSON.stringify(value) : String(value)}`,
  example: (good) => `such as ${name}: ${shown(good)}`,
});

/** One of some words. */
export function oneOf<const T extends string>(text: string, choices: readonly T[], { what, example }: Place): T {
  const found = choices.find((choice) => choice === text);
  if (found === undefined) throw usageError(what, `is not one of ${choices.join(', ')}`, didYouMean(text, choices, example(choices[0] ?? '')));
  return found;
}
