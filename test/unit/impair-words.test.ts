// SPDX-License-Identifier: MIT
/** The many ways to say what is to be done to frames, and to get it wrong. */
import t from 'tap';

import { VnetError } from '../../src/errors';
import { checkedWords, PROFILES } from '../../src/impair/words';

const normal = (text: string): string => checkedWords(text).join(' ');

t.test('what is right is passed on, in the order of tc', async (t) => {
  for (const [words, expected = words] of [
    ['delay 20ms 5ms loss 1% duplicate 0.1% corrupt 0.1% reorder 25% rate 10mbit'],
    ['rate 10mbit reorder 25% 50% gap 5 delay 1s', 'delay 1s reorder 25% 50% gap 5 rate 10mbit'],
    ['delay 100us 0.5ms 25% distribution normal'],
    ['delay 20MS rate 1.50Mbit loss 01%', 'delay 20ms loss 1% rate 1.5mbit'],
    ['loss 0%'],
    ['loss 100% 100%'],
    ['delay .5ms 5.us', 'delay 0.5ms 5us'],
    ['latency 20msec drop 1%', 'delay 20ms loss 1%'],
    ['delay 2sec 300usecs loss random 1% 25%', 'delay 2s 300us loss 1% 25%'],
    ['loss gemodel 1% 10% 70% 0.1%'],
    ['loss gemodel 1% ecn'],
    ['loss state 1% 90% 5% 50% 1%'],
    [
      'seed 18446744073709551615 rate 1mbit 20 48 -4 slot 1ms 2ms bytes 1500 packets 3',
      'rate 1mbit 20 48 -4 slot 1ms 2ms bytes 1500 packets 3 seed 18446744073709551615',
    ],
    ['delay 0ms reorder 0%'],
    ['rate 10mbit queue 50ms'],
    ['3g queue 5ms', PROFILES['3g']?.words.replace('queue 300ms', 'queue 5ms')],
    ['rate 8bit limit 1000000'],
    ['3g', PROFILES['3g']?.words],
    ['3g loss 5% limit 50', 'delay 75ms 15ms loss 5% rate 2mbit limit 50'],
  ] as [string, string?][]) {
    t.equal(normal(words), expected, words);
    t.equal(normal(normal(words)), expected, 'and once more');
  }
});

t.test('each named wire is one', async (t) => {
  for (const [name, { words, what }] of Object.entries(PROFILES)) {
    t.equal(normal(name), words, name);
    t.ok(what.length > 0 && name === name.toLowerCase());
  }
});

t.test('each mistake is told', async (t) => {
  for (const [words, says] of [
    ['', /what is to be done/],
    ['frob', /"frob": is not something/],
    ['constructor 1%', /"constructor": is not something/],
    ['delay', /"delay": has no value/],
    ['delay loss 1%', /"delay": has no value/],
    ['delay 20', /delay "20": is a time without a unit/],
    ['delay 20m', /delay "20m": is not a time: "m"/],
    ['delay 20%', /delay "20%": is not a time/],
    ['delay -5ms', /delay "-5ms": is not a time/],
    ['delay 1e3ms', /delay "1e3ms": is not a time/],
    ['delay 61s', /longer than 60s/],
    ['delay 1ms 2ms 3ms', /delay "3ms": is not a percentage/],
    ['delay 1ms 2ms 3% 4%', /"4%": is not something/],
    ['loss 1', /loss "1": is a percentage without %/],
    ['loss one%', /loss "one%": is not a percentage/],
    ['loss 1ms', /loss "1ms": is not a percentage/],
    ['loss 100.1%', /more than 100%/],
    ['loss 1% loss 2%', /"loss": is said twice/],
    ['loss 1% 3g', /"3g": is a whole wire/],
    ['3g 4g', /"4g": is a whole wire/],
    ['3g reorder', /"reorder": has no value/],
    ['rate 10', /rate "10": is not a rate/],
    ['rate 10mbps', /rate "10mbps": means bytes a second to tc/],
    ['rate 1bit', /not between/],
    ['rate 200gbit', /not between/],
    ['limit 0', /limit "0": is not a whole number/],
    ['limit 1.5', /limit "1.5": is not a whole number/],
    ['reorder 25%', /reorder: needs a delay/],
    ['delay 1ms gap 5', /gap: belongs to reorder/],
    ['delay 1ms distribution normal', /distribution: is that of a jitter/],
    ['delay 1ms 1ms distribution bell', /distribution "bell": is not a distribution/],
    ['delay 0ms reorder 25%', /reorder: needs a delay/],
    ['delay 20ms reorder 0% gap 5', /gap: needs a reorder of more than 0%/],
    ['delay 1ms 0ms distribution normal', /distribution: is that of a jitter/],
    ['delay 5s 2.2s', /delay "2.2s": is a jitter of more than 2.147s/],
    ['gemodel 1% 10%', /"gemodel": is a way to lose frames/],
    ['loss gemodel', /"loss gemodel": has no value/],
    ['loss gemodel 1% 2% 3% 4% 5%', /"5%": is not something/],
    ['loss 3% 100%', /loss 3% 100%: does the same to all frames/],
    ['duplicate 3% 100%', /duplicate 3% 100%: does the same/],
    ['delay 1ms ecn', /ecn: marks frames that are to be lost, and none are/],
    ['loss 1% ecn 5%', /"5%": is not something/],
    ['seed -1', /seed "-1": is not a whole number of 64 bits/],
    ['seed 18446744073709551616', /is not a whole number of 64 bits/],
    ['slot 1ms packets', /"slot packets": has no value/],
    ['slot packets 5', /"slot": has no value/],
    ['slot 1ms packets 5 packets 6', /"packets": is said twice/],
    ['queue 5ms', /queue: is that of frames which wait for a rate/],
    ['rate 1mbit queue 5', /queue "5": is a time without a unit/],
    ['rate 1mbit 20 queue 5ms', /queue: does not know of overheads/],
    ['rate 1mbit queue 5ms limit 6', /limit: is said by queue/],
    ['rate 1mbit constructor', /"constructor": is not something|rate "constructor"/],
    ['delay .ms', /delay ".ms": is not a time/],
    ['delay 1toString', /delay "1toString": is not a time/],
    ['loss 1%;reboot', /loss "1%;reboot": is not a percentage/],
  ] as [string, RegExp][]) {
    let error: unknown;
    try {
      normal(words);
    } catch (caught) {
      error = caught;
    }
    t.ok(
      error instanceof VnetError && error.code === 'USAGE' && says.test(error.message),
      `${words}: ${String(error)}`,
    );
  }
});
