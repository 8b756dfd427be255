// SPDX-License-Identifier: MIT
/** What the live screen sends to a terminal, and what it makes of keys. */
import { PassThrough } from 'node:stream';
import * as readline from 'node:readline';

import t from 'tap';

import { drawnRow, keyName } from '../../src/top/terminal';
import { part } from '../../src/top/text';

t.test('a row: where it is, its styles, and nothing that others have put into it', async (t) => {
  t.equal(drawnRow(0, []), '\x1b[1;1H\x1b[2K');
  t.equal(drawnRow(4, [part('a '), part('b', 'good'), part('c', 'chosen')]), '\x1b[5;1H\x1b[2Ka \x1b[32mb\x1b[0m\x1b[1;7mc\x1b[0m');
  t.equal(drawnRow(1, [part('x\x1b[2J\x9b1m\n\x07\u202ey', 'bad')]), '\x1b[2;1H\x1b[2K\x1b[1;31mx\\x1b[2J\\x9b1m\\n\\x07\\u202ey\x1b[0m');
});

t.test('keys, as terminals send them', async (t) => {
  const input = new PassThrough();
  const names: string[] = [];
  readline.emitKeypressEvents(input);
  input.on('keypress', (text: string | undefined, key: readline.Key) => names.push(keyName(text, key)));
  const sent = ['q', 'Q', ' ', '\x03', '\x1a', '\x04', '\r', '\n', '\x7f', '\b', '\x1b[A', '\x1b[B', '\x1b[C', '\x1b[D', '\x1bOA', '\x1bOB', '\x1b[Z', 'ü'];
  for (const keys of sent) input.write(keys);
  await new Promise((resolve) => setImmediate(resolve));
  t.same(names.map((name) => name || 'nothing'), ['q', 'Q', ' ', 'CTRL_C', 'CTRL_Z', 'nothing', 'ENTER', 'ENTER', 'BACKSPACE', 'BACKSPACE', 'UP', 'DOWN', 'RIGHT', 'LEFT', 'UP', 'DOWN', 'nothing', 'ü']);
  names.length = 0;
  input.write('\x1b');
  await new Promise((resolve) => setTimeout(resolve, 700));
  t.same(names, ['ESCAPE'], 'alone, after a while');
});
