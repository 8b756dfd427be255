// SPDX-License-Identifier: MIT
/**
 * Plain English and the words of docs/glossary.md: none of the phrases below is in documents, nor in comments and
 * strings of src, bpf and test, titles of tests among them. Code in documents and in comments is left alone, because
 * names of fields, options and messages stay as they are. Names in the sources do not contain the words of NAMES.
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
  {
    pattern: /\bso (?:many|often)\b|\bso long\b(?! as\b)/i,
    say: 'how many, that often; or the sentence the other way round',
  },
  {
    pattern:
      /(?:^|[.!] |\*\*? |\/\/ )(?:- )?Who\b(?![^.|]*\?)|[:;] who (?:wants|keeps|asks|holds|makes|gives|listens)\b/,
    say: 'whoever, or "a host that ..."',
  },
  {
    pattern: /\b(?:until this (?:version|commit)|the (?:commit|version) before)\b/i,
    say: 'what is; the changelog has history',
  },
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
  {
    pattern: /\b(?:no|for|finds?|found|gives?|given|ha[sd]|have|was|makes?|more|enough) room\b/i,
    say: 'space: a room is a waiting room',
  },
  { pattern: /\bcards?\b/i, say: 'summary: a card is a NIC' },
];

/** Words that names do not contain: `lawOf`, `FATE_MAX`. */
const NAMES: ReadonlyMap<string, string> = new Map([
  ['law', 'accounting'],
  ['mend', 'fix'],
  ['tape', 'trace'],
  ['reel', 'trace'],
  ['fate', 'outcome'],
  ['fates', 'outcomes'],
  ['board', 'readings'],
  ['card', 'summary'],
  ['cards', 'summaries'],
]);

/** Where former names stand beside those that replace them. */
const KEEP_FORMER_NAMES =
  /^(?:src\/index|src\/doctor\/doctor|test\/kernel\/json\.test|test\/kernel\/long\/library-tarball\.test)\.ts$/;

interface Text {
  file: string;
  /** The same lines as in the file; what is not looked at is left out of them. */
  lines: string[];
}

const blank = (text: string): string => text.replace(/[^\n]/g, '');

const prose = (file: string): Text => ({
  file,
  lines: readFileSync(file, 'utf8')
    .replace(/^ *```[^]*?^ *```$/gm, blank)
    .replace(/`[^`\n]*`|\]\([^)\n]*\)/g, '')
    .split('\n'),
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

const code = (file: string): Text => ({
  file,
  lines: readFileSync(file, 'utf8').replace(COMMENT_OR_STRING, blank).split('\n'),
});

/** The words of the names in a line: `law`, `of` and `stats` in `lawOf(stats)`. */
const wordsOf = (line: string): string[] =>
  (line.match(/[A-Z]?[a-z]+|[A-Z]+(?![a-z])/g) ?? []).map((word) => word.toLowerCase());

const documents = walk('.').filter((file) =>
  /^(?:README\.md|(?:docs|\.github|test)\/.*\.md|src\/libbpf-ts\/(?:README|CHANGELOG)\.md)$/.test(file),
);
const sources = [...walk('src'), ...walk('bpf'), ...walk('test')].filter(
  (file) => /\.(?:tsx?|c|h)$/.test(file) && file !== 'test/lint/phrases.ts',
);
const current = sources.filter((file) => !KEEP_FORMER_NAMES.test(file));
const phrases = [...documents.map(prose), ...current.map(commentsAndStrings)].flatMap(({ file, lines }) =>
  lines.flatMap((line, i) =>
    PHRASES.flatMap(({ pattern, say }) => {
      const [found] = pattern.exec(line) ?? [];
      return found === undefined ? [] : [`${file}:${i + 1}: "${found.trim()}": write ${say}`];
    }),
  ),
);
const names = current
  .map(code)
  .flatMap(({ file, lines }) =>
    lines.flatMap((line, i) =>
      wordsOf(line).flatMap((word) =>
        NAMES.has(word) ? [`${file}:${i + 1}: the name has "${word}": write ${NAMES.get(word)}`] : [],
      ),
    ),
  );
const problems = [...phrases, ...names];
for (const problem of problems) console.error(problem);
if (documents.length < 10 || sources.length < 100 || problems.length > 0) {
  console.error(
    `lint: ${problems.length} phrases in ${documents.length} documents and ${sources.length} sources that docs/glossary.md or plain English has better words for`,
  );
  process.exit(1);
}
