// SPDX-License-Identifier: MIT
/**
 * No registry or mirror is written into the tree: whoever builds uses those that the machine has.
 * Rather than naming what is forbidden, this lists the hosts that may appear in an address.
 */
import { readFileSync, statSync } from 'node:fs';
import * as path from 'node:path';

import { walk } from './tree';

/** Documentation that the text points to, the namespace of SVG, and names reserved for examples (RFC 2606). */
const ALLOWED =
  /^(spdx\.org|www\.w3\.org|(www\.|docs\.|git\.)?kernel\.org|github\.com|koffi\.dev|localhost|127\.0\.0\.1|([a-z0-9-]+\.)*(example(\.(com|net|org))?|test|invalid))$/;
const ADDRESS = /\b(?:https?|ftp|git\+ssh):\/\/([a-z0-9.-]+)/gi;
const LARGEST = 1 << 20;

function foreignIn(line: string, isLock: boolean): string[] {
  // npm notes in the lock file whom to fund; only "resolved" is an address that it fetches from.
  if (isLock) return /^\s*"resolved": "\w+:/.test(line) ? [line.trim()] : [];
  if (/^\s*(@[\w-]+:)?registry\s*=/.test(line)) return [line.trim()];
  return [...line.matchAll(ADDRESS)]
    .map((match) => (match[1] as string).toLowerCase())
    .filter((host) => !ALLOWED.test(host));
}

function problemsOf(file: string): string[] {
  const text = readFileSync(file, 'latin1');
  if (text.includes('\0')) return [];
  const isLock = path.basename(file) === 'package-lock.json';
  return text
    .split('\n')
    .flatMap((line, index) => foreignIn(line, isLock).map((what) => `${file}:${index + 1}: ${what}`));
}

const problems = walk('.')
  .filter((file) => statSync(file).size < LARGEST)
  .flatMap(problemsOf);
for (const problem of problems) console.error(problem);
if (problems.length > 0) {
  console.error('lint: addresses that do not belong into the tree; test/lint/hosts.ts says which do');
  process.exit(1);
}
