// SPDX-License-Identifier: MIT
/**
 * Documents are in plain English and use the words of docs/glossary.md: none of the phrases below is in them. Code in
 * documents is left alone, because names of fields, options and messages stay as they are. `--sources` also looks at the
 * comments and strings of src and bpf.
 */
import { readFileSync } from 'node:fs';

import { walk } from './tree';

interface Phrase {
  pattern: RegExp;
  /** What to write. */
  say: string;
}

const PHRASES: readonly Phrase[] = [
  // Habits.
  { pattern: /\bso (?:many|often)\b|\bso long\b(?! as\b)/i, say: 'how many, that often; or the sentence the other way round' },
  { pattern: /(?:^|[.!] )(?:- )?Who\b(?![^.|]*\?)|[:;] who (?:wants|keeps|asks|holds|makes|gives)\b/, say: 'whoever, or "a host that ..."' },
  { pattern: /\b(?:until this (?:version|commit)|the (?:commit|version) before)\b/i, say: 'what is; the changelog has history' },
  // Literal translations.
  { pattern: /\blook(?:s|ed|ing)? on\b/i, say: 'busy-poll' },
  { pattern: /\bmend(?:s|ed|ing)?\b/i, say: 'fix' },
  { pattern: /\blaws?\b/i, say: 'frame accounting' },
  { pattern: /\banswers? of nothing\b/i, say: 'returning nothing' },
  { pattern: /\bsomebody has to run\b/i, say: 'a process must be running' },
  { pattern: /\bmoods? of\b/i, say: 'noisy seconds' },
  // One word for one thing.
  { pattern: /\b(?:tapes?|reels?)\b/i, say: 'trace ring' },
  { pattern: /\bfates?\b/i, say: 'outcome' },
  { pattern: /\bways?[- ]back\b/i, say: 'reinject path' },
  { pattern: /\bhidden (?:network )?(?:namespace|peer)\b|\bwire (?:namespace|netns)\b/i, say: 'peer namespace, peer' },
  { pattern: /\b(?:egress|transmit) hooks?\b/i, say: 'tcx egress, TC egress: a hook is a program of the user' },
  { pattern: /\b(?:no|for|finds?|found|gives?|given|ha[sd]|have) (?:the |more |enough )?room\b/i, say: 'space: a room is a waiting room' },
  { pattern: /\bcards?\b/i, say: 'summary: a card is a NIC' },
];

interface Text {
  file: string;
  /** The same lines as in the file; what is not looked at is left out of them. */
  lines: string[];
}

const blank = (text: string): string => text.replace(/[^\n]/g, '');

const prose = (file: string): Text => ({
  file,
  lines: readFileSync(file, 'utf8').replace(/^ *```[^]*?^ *```$/gm, blank).replace(/`[^`\n]*`|\]\([^)\n]*\)/g, '').split('\n'),
});

const COMMENT_OR_STRING = /\/\*[^]*?\*\/|\/\/.*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g;

function commentsAndStrings(file: string): Text {
  const text = readFileSync(file, 'utf8');
  let kept = '';
  let end = 0;
  for (const { 0: token, index } of text.matchAll(COMMENT_OR_STRING)) {
    kept += `${blank(text.slice(end, index))} ${/^[/]/.test(token) ? token.replace(/`[^`\n]*`/g, '') : token}`;
    end = index + token.length;
  }
  return { file, lines: kept.split('\n') };
}

const documents = walk('.').filter((file) => /^(?:README\.md|(?:docs|\.github|test)\/.*\.md|src\/libbpf-ts\/README\.md)$/.test(file));
const sources = process.argv.includes('--sources') ? [...walk('src'), ...walk('bpf')].filter((file) => /\.(?:ts|c|h)$/.test(file)) : [];
const problems = [...documents.map(prose), ...sources.map(commentsAndStrings)].flatMap(({ file, lines }) =>
  lines.flatMap((line, i) =>
    PHRASES.flatMap(({ pattern, say }) => {
      const [found] = pattern.exec(line) ?? [];
      return found === undefined ? [] : [`${file}:${i + 1}: "${found.trim()}": write ${say}`];
    }),
  ),
);
for (const problem of problems) console.error(problem);
if (documents.length < 10 || problems.length > 0) {
  console.error(`lint: ${problems.length} phrases in ${documents.length} documents and ${sources.length} sources that docs/glossary.md or plain English has better words for`);
  process.exit(1);
}
