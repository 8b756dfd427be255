// SPDX-License-Identifier: MIT
/** docs/metrics.md says of each number which event increments it, where, and which test sees it: held against the code. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { ROOT } from '../helpers/cli';
import { numbersOf } from '../helpers/prometheus';
import { sampleStats } from '../helpers/sample-stats';

const read = (file: string): string => fs.readFileSync(path.join(ROOT, file), 'utf8');
const ROW = /^\| `([\w.]+)` \| (.+) \| `([^`]+)`: `([^`]+)` \| `([^`]+)` \|$/gm;

t.test('every number of a reading has its event, its place in the code and its test', async (t) => {
  const section = read('docs/metrics.md').split('## Which event counts')[1] ?? '';
  const rows = [...section.matchAll(ROW)].map(([, field = '', , file = '', symbol = '', test = '']) => ({ field, file, symbol, test }));
  const fields = numbersOf(sampleStats()).map(([name]) => name).sort();
  t.same(rows.map(({ field }) => field).sort(), fields, 'each once');
  for (const { field, file, symbol, test } of rows) {
    t.ok(read(file).includes(symbol), `${field}: ${file} has ${symbol}`);
    const name = field.split('.').at(-1) as string;
    t.ok(new RegExp(name, 'i').test(read(test)), `${field}: ${test} looks at it`);
  }
});
