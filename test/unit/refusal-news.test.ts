// SPDX-License-Identifier: MIT
/** How often the log tells of frames that a changed interface refused. */
import t from 'tap';

import { RefusalNews } from '../../src/controller/refusal-news';

function newsOf(...readings: number[]): number[] {
  const said: number[] = [];
  let at = 0;
  const news = new RefusalNews(() => readings[at] as number, (frames) => said.push(frames));
  while (++at < readings.length) news.look();
  return said;
}

t.test('a burst is said once it is over', (t) => {
  t.same(newsOf(5, 5, 5), [], 'what was there before is no news');
  t.same(newsOf(5, 8, 20, 20, 20), [15], 'in one number');
  t.same(newsOf(0, 3, 3, 4, 4), [3, 1], 'and the next one anew');
  t.end();
});

t.test('what does not stop is said after ten looks, and so on', (t) => {
  t.same(newsOf(...Array.from({ length: 26 }, (_, i) => i)), [10, 10]);
  t.end();
});
