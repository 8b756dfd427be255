// SPDX-License-Identifier: MIT
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { ROOT } from '../../helpers/cli';
import type { Sample } from '../measures/measure';
import { headline } from './headline';

const DOCS = path.join(ROOT, 'docs');
const read = (file: string): string => fs.readFileSync(path.join(DOCS, file), 'utf8');
const { samples } = JSON.parse(read('benchmarks.json')) as { samples: Sample[] };

t.test('the document begins with the figures of the last run', async (t) => {
  const table = headline(samples);
  t.match(table, /^\| UDP, one flow of 64 bytes: delivered, packets\/s +\| [\d,]+ +\| [\d,]+ +\| [\d,]+ +\|$/m);
  t.notMatch(table, 'NaN');
  const [, beginning = ''] = read('benchmarks.md').split('<!-- bench headline -->\n');
  t.ok(beginning.startsWith(`${table}\n<!-- end -->`), 'as docs/benchmarks.json has them');
});

t.test('what was not measured is left out', async (t) => {
  const udp = samples.filter(({ section, system }) => section === 'udp' && system === 'ours');
  const rows = headline(udp).split('\n');
  t.equal(rows.length, 2 + 4);
  t.match(rows[2], /\| -+ +\| -+ +\|$/, 'a dash for a system that did not take part');
});
