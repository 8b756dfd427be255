// SPDX-License-Identifier: MIT
/** What a row of ATTACH_OPTIONS states (attach-options.ts), and the usual kinds of options. */
import { oneOf, parseInteger, type Place } from './values';

/** The type of a value in the library; `texts` is an array of strings. */
export type Kind = 'string' | 'number' | 'boolean' | 'texts' | 'URL';

/**
 * What becomes of an option when attach adopts what a crashed controller left:
 * - `changes`: what this attach asks for holds, or the default;
 * - `asked`: what this attach asks for holds; otherwise it stays as it is;
 * - `must fit`: it stays, and asking for anything else but the default is refused.
 */
type Adoption = 'changes' | 'asked' | 'must fit';

export interface Row {
  /** The option on the command line, without the dashes. */
  flag: string;
  /** The property of AttachOptions. An option with several values has the text of each read by itself. */
  key: string;
  /** Types that the library accepts. */
  kinds: readonly Kind[];
  /** The only words that it accepts as a string, beside numbers. */
  words?: readonly string[];
  choices?: readonly string[];
  /** Whether the option takes no value. */
  isFlag?: true;
  /** The description in help, and the name or unit of the value there; a flag has none. */
  describe: string;
  value?: string;
  /** What completion offers for the value. */
  offers?: 'namespaces' | 'files';
  /** The default as a user would write it, shown in help. */
  default?: string;
  /** The value of an option that is not given, if that is not the default's. */
  unset?: unknown;
  /** Reads a text. Throws a USAGE error that names the place. */
  read: (text: string, place: Place) => unknown;
  /** Whether a text names a file. It is then made an absolute path: the command line uses the caller's directory. */
  namesFile?: (text: string) => boolean;
  /** Converts a value of the library to the command line's text; String() by default. */
  asText?: (value: never) => string;
  /** Converts a value of AttachOptions to the command line's text, if that differs from `asText`. */
  takenAsText?: (value: never) => string;
  /**
   * Converts the command line's text to how the library writes it in examples; by default quoted unless it is a number.
   */
  inLibrary?: (text: string) => string;
  adoption: Adoption;
  /**
   * Whether it belongs to RunningOptions. Its default must be what attach did before there was the option: a record
   * without it is from then.
   */
  running?: true;
  /** The constant of the BPF programs that has the value as it is. */
  constant?: string;
  /** What `attach --dry-run` says of it in the step that polls; null: nothing. */
  polling?: (value: never) => string | null;
}

/** The usual kinds of options: one of several words, a flag, a number. */
export const choice = <const T extends string>(...choices: readonly T[]) =>
  ({ choices, kinds: ['string'], read: (text: string, place: Place): T => oneOf(text, choices, place) }) as const;
export const flag = {
  isFlag: true,
  kinds: ['boolean'],
  unset: false as boolean,
  read: (text: string): boolean => text === 'true',
} as const;
export const integer = (min: number, max: number) =>
  ({
    kinds: ['number'],
    value: 'N',
    read: (text: string, place: Place): number => parseInteger(text, place, min, max),
  }) as const;
