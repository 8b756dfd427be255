// SPDX-License-Identifier: MIT
/** Kinds of wires as rules: the same words as those of `vnet-bpf impair`. */
import t from 'tap';

import { wireRules } from '../../src/faults/impairment';
import { ruleText } from '../../src/faults/language';
import { PROFILES } from '../../src/impair/words';

const textOf = (words: string): string => wireRules(words).map(ruleText).join('; ');

t.test('named wires, and words', async (t) => {
  t.equal(textOf('3g'), 'all: loss 0.5%; all: delay 75ms jitter 15ms unordered; all: rate 2mbit queue 300ms');
  t.match(
    textOf('dsl loss 2%'),
    /^all: loss 2%; all: delay 15ms .*; all: rate 16mbit$/,
    'a queue of 100 ms is the default',
  );
  t.match(textOf('lossy-wifi'), /^all: loss gemodel 2.25% 72.75%; /);
  t.equal(textOf('delay 20ms'), 'all: delay 20ms unordered');
  t.equal(textOf('loss 0%'), '');
  t.equal(textOf(' rate 5mbit '), 'all: rate 5mbit');
  for (const name of Object.keys(PROFILES)) t.ok(wireRules(name).length === 3, name);
});

t.test('what is no wire', async (t) => {
  const wrong = (words: string, code: string, message: RegExp): void =>
    void t.throws(() => wireRules(words), { code, message }, words);
  wrong('2g', 'USAGE', /2g/);
  wrong('delay 20', 'USAGE', /is a time without a unit/);
  wrong('slot 20ms', 'UNSUPPORTED', /only netem can do that/);
});
