// SPDX-License-Identifier: MIT
/** Wrong usage: exit code 2, one line that says what is wrong, and nothing has changed. */
import t from 'tap';

import { cannotRun } from '../helpers/cli';
import { refused, type Refusal } from '../helpers/refusal';
import { sameAs, snapshot } from '../helpers/snapshot';

/** One error of each kind; test/unit/option-values.test.ts has all the ways to get a value wrong. */
const WRONG: [string[], RegExp][] = [
  [['frobnicate'], /frobnicate/],
  [['attach'], /<iface> is missing/],
  [['attach', 'vnet0', '--frob'], /frob/],
  [['detach', 'vnet0', 'vnet1'], /vnet1/],
  [['list', '--all'], /all/],
  [['detach'], /which interface/],
  [['detach', 'vnet0', '--all'], /not both/],
  [['attach', 'abcdefghijklmnop'], /16 characters/],
  [['attach', 'a/b'], /"a\/b".*not allowed/],
  [['attach', ''], /empty/],
  [['detach', 'a b'], /"a b"/],
  [['stats', 'abcdefghijklmnop'], /16 characters/],
  [['log', '..'], /"\.\."/],
  [['attach', 'vnet0', '--netns', 'a/b'], /--netns "a\/b"/],
  [['attach', 'vnet0', '--addr', '10.0.0.1'], /--addr "10\.0\.0\.1".*prefix/],
  [['attach', 'vnet0', '--addr', '10.0.0.256/24'], /--addr "10\.0\.0\.256\/24"/],
  [['attach', 'vnet0', '--addr', '10.0.0.1/24', '--addr', '10.0.0.1/16'], /--addr 10\.0\.0\.1.*twice/],
  [['attach', 'vnet0', '--addr'], /addr/],
  [['attach', 'vnet0', '--mac', '01:00:00:00:00:01'], /--mac.*multicast/],
  [['attach', 'vnet0', '--mtu', '67'], /--mtu "67"/],
  [['attach', 'vnet0', '--mtu', '576', '--addr', 'fd00::1/64'], /1280/],
  [['attach', 'vnet0', '--ring-size', '3M'], /--ring-size "3M".*power of two/],
  [['attach', 'vnet0', '--queues', '0'], /--queues "0".*from 1 to 16/],
  [['attach', 'vnet0', '--queues', '17'], /--queues "17".*from 1 to 16/],
  [['attach', 'vnet0', '--queues', '2', '--hook', 'hook.ts'], /--queues 2: a hook takes one queue/],
  [['attach', 'vnet0', '--budget', '0'], /--budget "0"/],
  [['attach', 'vnet0', '--busy-poll', '-1'], /--busy-poll/],
  [['attach', 'vnet0', '--gro', 'perhaps'], /gro/i],
  [['attach', 'vnet0', 'vnet1', '--addr', '10.77.0.1/24'], /cannot share one address/],
  [['attach', 'vnet0', 'vnet1', '--mac', '02:00:00:00:00:01'], /cannot share one Ethernet address/],
  [['attach', 'vnet0', 'vnet0'], /is named twice/],
  [['attach', 'vnet0', '--low-watermark', '50'], /--low-watermark "50"/],
  [['attach', 'vnet0', '--queue-packets', '-1'], /--queue-packets "-1"/],
  [['attach', 'vnet0', '--when-full', 'wait'], /when-full/],
  [['attach', 'vnet0', '--type', 'tun'], /type/],
  [['attach', 'vnet0', '--mtu', '1500', '--mtu', '1400'], /--mtu.*twice/],
  [['stats', '--watch', 'soon'], /--watch "soon"/],
];

t.test('wrong usage changes nothing', { skip: cannotRun }, async (t) => {
  const before = snapshot();
  await refused(
    t,
    WRONG.map(([args, says]): Refusal => ({ args, status: 2, says })),
  );
  await sameAs(t, before, 'nothing has changed');
});
