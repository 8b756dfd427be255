// SPDX-License-Identifier: MIT
/** The few macros of man(7) that a manual page needs. */

/** Text as roff takes it literally: a dash is a dash, and no line is a request. */
export const plain = (text: string): string =>
  text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replace(/^([.'])/gm, '\\&$1');

export const bold = (text: string): string => `\\fB${plain(text)}\\fR`;
export const italic = (text: string): string => `\\fI${plain(text)}\\fR`;

/** Text of the documents: `code` is bold, [words](file) are words. */
export const fromMarkdown = (text: string): string =>
  text
    .replace(/\[([^\]]+)\]\([^)]*\)/g, '$1')
    .split(/(`[^`]*`)/)
    .map((part) => (part.startsWith('`') ? bold(part.slice(1, -1)) : plain(part)))
    .join('');

export const section = (title: string, ...body: string[]): string => [`.SH ${title}`, ...body].join('\n');
export const subsection = (title: string, ...body: string[]): string => [`.SS ${title}`, ...body].join('\n');
/** A term, and below it, indented, what it means. */
export const entry = (term: string, text: string): string => `.TP\n${term}\n${text}`;
export const paragraph = (text: string): string => `.PP\n${text}`;
export const example = (...lines: string[]): string => ['.PP', '.in +4n', '.nf', ...lines.map(plain), '.fi', '.in'].join('\n');
