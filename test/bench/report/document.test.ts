// SPDX-License-Identifier: MIT
import t from 'tap';

import { fillIn } from './document';

const text = 'before\n<!-- bench a -->\nold\nold\n<!-- end -->\nbetween\n<!-- bench b -->\n<!-- end -->\nafter\n';

t.test('parts are replaced, what is written by hand stays', async (t) => {
  const filled = fillIn(
    text,
    new Map([
      ['a', 'new $1'],
      ['b', 'other'],
    ]),
  );
  t.equal(
    filled,
    'before\n<!-- bench a -->\nnew $1\n<!-- end -->\nbetween\n<!-- bench b -->\nother\n<!-- end -->\nafter\n',
  );
  t.equal(
    fillIn(
      filled,
      new Map([
        ['a', 'new $1'],
        ['b', 'other'],
      ]),
    ),
    filled,
    'doing it twice gives the same',
  );
});

t.test('a part that is not given stays', async (t) => {
  t.match(fillIn(text, new Map([['b', 'other']])), '<!-- bench a -->\nold\nold\n<!-- end -->');
});

t.test('a part without a place is an error', async (t) => {
  t.throws(() => fillIn(text, new Map([['c', 'x']])), { message: /no place for "c"/ });
});
