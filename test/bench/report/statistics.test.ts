// SPDX-License-Identifier: MIT
import t from 'tap';

import { median, quantile, summary } from './statistics';

t.test('median of odd and even counts, in any order', async (t) => {
  t.equal(median([3, 1, 2]), 2);
  t.equal(median([4, 1, 3, 2]), 2.5);
  t.equal(median([10, 9, 100]), 10, 'numbers are not sorted as text');
  t.ok(Number.isNaN(median([])), 'of nothing there is none');
});

t.test('quantiles are interpolated', async (t) => {
  t.equal(quantile([0, 10], 0.25), 2.5);
  t.equal(quantile([5], 0.99), 5);
});

t.test('a summary leaves its values as they were', async (t) => {
  const values = [3, 1, 2];
  t.same(summary(values), { rounds: 3, median: 2, min: 1, max: 3 });
  t.same(values, [3, 1, 2]);
});
