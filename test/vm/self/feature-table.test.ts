// SPDX-License-Identifier: MIT
// The table of features is what the report of a run says.
import { Parser } from 'tap-parser';
import t from 'tap';

import { Features } from '../feature-table';

/** A report of two kernels, as run.ts prints it. */
const report = (last: string): string => `TAP version 14
# kernel 5.10 (5.10.0): the oldest
# Subtest: 5.10 kinds.test.ts
    # Subtest: kinds
        # Subtest: kprobe
            ok 1 - sees it
            ok 2 - attaches # SKIP needs Linux 5.15
            1..2
        ok 1 - kprobe
        ok 2 - bloom filter # SKIP needs Linux 5.16
        # Subtest: cgroups
            # Subtest: device
                ok 1 - sees it
                1..1
            ok 1 - device
            1..1
        ok 3 - cgroups
        # Subtest: arguments
            ok 1 - refused
            1..1
        ok 4 - arguments
        1..4
    ok 1 - kinds
    1..1
not ok 1 - 5.10 kinds.test.ts
# Subtest: 6.1 kinds.test.ts
    # Subtest: kinds
        # Subtest: kprobe
            ok 1 - sees it
            1..1
        ok 1 - kprobe
        # Subtest: bloom filter
            ${last}
            1..1
        ok 2 - bloom filter
        1..2
    ok 1 - kinds
    1..1
ok 2 - 6.1 kinds.test.ts
1..2
`;

async function featuresOf(text: string): Promise<Features> {
  const features = new Features();
  const parser = new Parser();
  features.watch(parser);
  const complete = new Promise((resolve) => parser.on('complete', resolve));
  parser.end(text);
  await complete;
  return features;
}

t.test('a row for each feature, a column for each kernel', async (t) => {
  const features = await featuresOf(report('ok 1 - has it'));
  t.same(features.failed, []);
  t.equal(
    features.table(),
    `|  | 5.10 | 6.1 |
| --- | --- | --- |
| kprobe | – (1) | yes |
| bloom filter | – (2) | yes |
| cgroups: device | yes |  |

(1) needs Linux 5.15  
(2) needs Linux 5.16`,
  );
});

t.test('what failed is no feature', async (t) => {
  t.same((await featuresOf(report('not ok 1 - has it'))).failed, ['bloom filter']);
});
