// SPDX-License-Identifier: MIT
/** Names in C as names in TypeScript. */

/** Words that cannot name a type, a class or a constant of a module. */
const RESERVED =
  'arguments as async await break case catch class const continue debugger default delete do else enum eval export ' +
  'extends false finally for function get if implements import in instanceof interface let new null of package ' +
  'private protected public return set static super switch this throw true try type typeof var void while with yield';

/** Types of TypeScript, which an interface of that name would hide or may not replace. */
const BUILT_IN = 'any bigint boolean never number object string symbol undefined unknown Uint8Array';

/** Names that are in use, each once. */
export class Names {
  readonly #taken: Set<string>;

  constructor(taken: readonly string[] = []) {
    this.#taken = new Set(taken);
  }

  /** Names of a module, with the words that it cannot use. */
  static ofModule(taken: readonly string[] = []): Names {
    return new Names([...RESERVED.split(' '), ...BUILT_IN.split(' '), ...taken]);
  }

  /** The name, numbered if it is taken; takes it. */
  take(wanted: string): string {
    let name = wanted;
    for (let n = 2; this.#taken.has(name); n++) name = `${wanted}_${n}`;
    this.#taken.add(name);
    return name;
  }
}

/** An identifier of TypeScript that is like a name in C, or in ELF, which may have dots and begin with a digit. */
export const identifier = (name: string): string => name.replace(/\W/g, '_').replace(/^(?=\d|$)/, '_');

/** A string literal, in single quotes as long as that is possible. */
export const quoted = (text: string): string =>
  /^[\x20-\x7e]*$/.test(text) && !/['\\]/.test(text) ? `'${text}'` : JSON.stringify(text);

/** A property in an object literal or interface: quoted if it has to be. */
export const property = (name: string): string => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : quoted(name));

/**
 * A name within a comment, where it can neither end the comment nor begin a line: BTF may have been made by somebody who
 * wants to have code in the text that is made from it.
 */
export const inComment = (name: string): string => name.replace(/[^\x20-\x7e]|\*\//g, '?');
