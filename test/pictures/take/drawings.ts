// SPDX-License-Identifier: MIT
/** Draws the pictures of docs/ that need no interface: the loop, the states of the queue, and the plots of docs/benchmarks.json. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { SECTIONS } from '../../bench/plan';
import { plotsOf, type Results } from '../../bench/report/document';
import { ROOT } from '../../helpers/cli';
import { gatePicture } from '../gate';
import { loopPicture } from '../loop';

const DOCS = path.join(ROOT, 'docs');

t.test('docs/loop.svg, docs/gate.svg and docs/benchmarks-*.svg', async (t) => {
  const results = JSON.parse(fs.readFileSync(path.join(DOCS, 'benchmarks.json'), 'utf8')) as Results;
  const pictures = new Map([...plotsOf(SECTIONS, results), ['loop.svg', loopPicture()], ['gate.svg', gatePicture()]]);
  for (const [name, text] of pictures) fs.writeFileSync(path.join(DOCS, name), text);
  t.ok(pictures.size > 5, [...pictures.keys()].join(', '));
});
