// SPDX-License-Identifier: MIT
/** When the log tells of frames that a changed interface refused. */
import t from 'tap';

import { RefusalNews } from '../../src/controller/losses';

/** The first reading is the one from before; the interface changes before the look number `change`. */
function newsOf(readings: readonly number[], change = 1): string[] {
  const said: string[] = [];
  let at = 0;
  const news = new RefusalNews(() => ({ down: readings[at] as number, toolong: 0 }), (what) => said.push(what));
  while (++at < readings.length) {
    if (at === change) news.changed();
    news.look();
  }
  return said;
}

t.test('a burst is said once it is over', (t) => {
  t.same(newsOf([5, 5, 5]), [], 'what was there before is no news');
  t.same(newsOf([5, 8, 20, 20, 20]), ['15 frames: down 15'], 'in one number');
  t.same(newsOf([0, 3, 3, 4, 4]), ['3 frames: down 3', '1 frames: down 1'], 'and the next one anew');
  t.end();
});

t.test('what is refused without a change is no news', (t) => {
  t.same(newsOf([0, 7, 7, 9, 9], Infinity), []);
  t.same(newsOf([0, 7, 7, 9, 9], 3), ['2 frames: down 2'], 'nor what was before it');
  t.end();
});

t.test('what does not stop is said after ten looks, and at the end of the time', (t) => {
  t.same(newsOf(Array.from({ length: 30 }, (_, i) => i)), ['10 frames: down 10', '5 frames: down 5']);
  t.end();
});
