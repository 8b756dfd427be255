// SPDX-License-Identifier: MIT
/**
 * Makes text from elsewhere harmless: names of interfaces, namespaces and files, messages, the content of frames.
 * Everything that writes to a terminal or to a log passes its lines through here.
 */

/**
 * Controls (C0, DEL, C1), characters without a width or that turn the direction of writing (Cf), separators of lines
 * and paragraphs, and halves of surrogate pairs. A terminal obeys some of them, and others make text look like another
 * one.
 */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function escaped(char: string): string {
  const code = char.codePointAt(0) as number;
  if (code <= 0xff) return SHORT[char] ?? `\\x${code.toString(16).padStart(2, '0')}`;
  return code <= 0xffff ? `\\u${code.toString(16).padStart(4, '0')}` : `\\u{${code.toString(16)}}`;
}

/** The text as one line in which every character shows: `\x1b`, `\n`, `\u202e`. Escaping twice changes nothing more. */
export const printable = (text: string): string => text.replace(UNPRINTABLE, escaped);

/** The same for a text that has several lines on purpose. */
export const printableLines = (text: string): string => text.split('\n').map(printable).join('\n');

/**
 * JSON in which characters that JSON itself leaves as they are (DEL, C1, bidirectional controls) are escaped, too. With
 * an indent of 0 it is one line.
 */
export function printableJson(document: unknown, indent = 2): string {
  const unit = (char: string): string =>
    [...Array(char.length).keys()].map((i) => `\\u${char.charCodeAt(i).toString(16).padStart(4, '0')}`).join('');
  // JSON has newlines of its own between strings, and none in them.
  return JSON.stringify(document, null, indent).replace(UNPRINTABLE, (char) => (char === '\n' ? char : unit(char)));
}
