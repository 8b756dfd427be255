// SPDX-License-Identifier: MIT
/**
 * Text of others, made harmless: names of interfaces, namespaces and files, messages, whatever a frame says. Everything
 * that writes to a terminal or to a log passes its lines through here.
 */

/**
 * Controls (C0, DEL, C1), what has no width or turns the direction of writing (Cf), separators of lines and paragraphs,
 * and halves of surrogate pairs: a terminal obeys some of them, and others make text look like another one.
 */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function escaped(char: string): string {
  const code = char.codePointAt(0) as number;
  if (code <= 0xff) return SHORT[char] ?? `\\x${code.toString(16).padStart(2, '0')}`;
  return code <= 0xffff ? `\\u${code.toString(16).padStart(4, '0')}` : `\\u{${code.toString(16)}}`;
}

/** One line with nothing in it that is not shown: `\x1b`, `\n`, `\u202e`. Escaping twice changes nothing more. */
export const printable = (text: string): string => text.replace(UNPRINTABLE, escaped);

/** The same of a text that has several lines on purpose. */
export const printableLines = (text: string): string => text.split('\n').map(printable).join('\n');

/** JSON in which what JSON itself leaves as it is (DEL, C1, bidirectional controls) is escaped, too. With an indent of 0 it is one line. */
export function printableJson(document: unknown, indent = 2): string {
  const unit = (char: string): string => [...Array(char.length).keys()].map((i) => `\\u${char.charCodeAt(i).toString(16).padStart(4, '0')}`).join('');
  // Between strings JSON has newlines of its own, in them none.
  return JSON.stringify(document, null, indent).replace(UNPRINTABLE, (char) => (char === '\n' ? char : unit(char)));
}
