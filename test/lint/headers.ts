// SPDX-License-Identifier: MIT
/** Every source file says under which licence it is: what lies in bpf/ is GPL-2.0-only, all else MIT. */
import { readFileSync } from 'node:fs';

import { walk } from './tree';

/** Programs, scripts and what make reads; documents, data and licences have no place for a comment. */
const SOURCE =
  /\.(tsx?|css|js|mjs|cjs|c|h|sh|bash|zsh|fish|service|conf|rules|network|link)$|(^|\/)Makefile$|^\.ci\/|^test\/vm\/guest\/[^.]+$/;
/** A BPF program that calls helpers for GPL programs only, as those in bpf/ do. */
const GPL = /^bpf\/|^test\/bench\/c\/redirect\.bpf\.c$/;
/** Behind `#!` at the latest. */
const LINES = 2;

function problemOf(file: string): string[] {
  const head = readFileSync(file, 'utf8').split('\n', LINES).join('\n');
  const found = /SPDX-License-Identifier: ([\w.-]+)/.exec(head)?.[1] ?? 'nothing';
  const expected = GPL.test(file) ? 'GPL-2.0-only' : 'MIT';
  return found === expected ? [] : [`${file}: says ${found}, not SPDX-License-Identifier: ${expected}`];
}

const sources = walk('.').filter((file) => SOURCE.test(file));
const problems = sources.flatMap(problemOf);
for (const problem of problems) console.error(problem);
if (sources.length < 100 || problems.length > 0) {
  console.error(
    `lint: ${problems.length} of ${sources.length} source files without their licence in the first ${LINES} lines`,
  );
  process.exit(1);
}
