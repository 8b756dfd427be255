// SPDX-License-Identifier: MIT
/** docs/SECURITY.md promises nothing that no test proves: the tests name the sentences that are theirs. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { ROOT } from '../helpers/cli';

const SENTENCE = /^- \*\*([A-Z]\d+)\*\* \S.*\.$/gm;
/** In a title, or in the name of a row: `R5: ...`, `W2, W3: ...`, `sentence: 'H2'`. */
const NAMED = /['"`]((?:[A-Z]\d+, )*[A-Z]\d+): |sentence: '([A-Z]\d+)'/g;

function testFiles(directory: string): string[] {
  return fs.readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const file = path.join(directory, entry.name);
    return entry.isDirectory() ? testFiles(file) : file.endsWith('.test.ts') ? [file] : [];
  });
}

t.test('each sentence has a test, and each test that names one has its sentence', async (t) => {
  const sentences = [...fs.readFileSync(path.join(ROOT, 'docs', 'SECURITY.md'), 'utf8').matchAll(SENTENCE)].map(
    ([, name]) => name as string,
  );
  t.ok(sentences.length > 20, `${sentences.length} sentences`);
  t.equal(new Set(sentences).size, sentences.length, 'no number is given twice');
  const texts = testFiles(path.join(ROOT, 'test'))
    .filter((file) => file !== path.join(ROOT, 'test', 'unit', 'security.test.ts'))
    .map((file) => fs.readFileSync(file, 'utf8'));
  const named = new Set(
    texts
      .filter((text) => text.includes('SECURITY.md'))
      .flatMap((text) => [...text.matchAll(NAMED)].flatMap(([, list, row]) => (list ?? row ?? '').split(', '))),
  );
  t.same(
    sentences.filter((name) => !named.has(name)),
    [],
    'each is named by a test',
  );
  t.same(
    [...named].filter((name) => !sentences.includes(name)),
    [],
    'each that is named is there',
  );
});
