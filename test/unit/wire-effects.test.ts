// SPDX-License-Identifier: MIT
/** Kinds of wires as effects of a rule: the same words as those of `vnet-bpf impair`. */
import t from 'tap';

import { effectText } from '../../src/faults/language';
import { PROFILES } from '../../src/impair/words';
import { wireEffects } from '../../src/testing/wire-effects';

const textOf = (words: string): string => wireEffects(words).map(effectText).join(' ');

t.test('named wires, and words', async (t) => {
  t.equal(textOf('3g'), 'loss 0.5% delay 75ms jitter 15ms rate 2mbit queue 300ms');
  t.equal(textOf('dsl loss 2%'), 'loss 2% delay 15ms jitter 2ms rate 16mbit', 'a queue of 100 ms is the default');
  t.equal(textOf('lossy-wifi'), 'loss gemodel 2.25% 72.75% delay 3ms jitter 4ms rate 40mbit queue 50ms');
  t.equal(textOf('delay 20ms'), 'delay 20ms');
  t.equal(textOf('loss 0%'), '');
  t.equal(textOf(' rate 5mbit '), 'rate 5mbit');
  for (const name of Object.keys(PROFILES)) t.ok(wireEffects(name).length === 3, name);
});

t.test('what is no wire', async (t) => {
  const wrong = (words: string, message: RegExp): void =>
    void t.throws(() => wireEffects(words), { code: 'USAGE', message }, words);
  wrong('2g', /2g/);
  wrong('reorder 5% delay 1ms', /reorder is not a word of a wire here/);
  wrong('loss gemodel 1%', /loss gemodel is not a loss of a wire here/);
  wrong('delay 20', /is a time without a unit/);
});
