// SPDX-License-Identifier: MIT
/** What `explore` is made of, without running a command: causes and their rules, ddmin, smaller effects, sentences. */
import t from 'tap';

import { causesOf, type Cause, rulesFor, wholeRules } from '../../src/explore/causes';
import { connectionOf, filterFor, nameOf, ordinal } from '../../src/explore/connection';
import { ddmin } from '../../src/explore/ddmin';
import { observationOf } from '../../src/explore/plain';
import { sentenceFor } from '../../src/explore/sentence';
import { firstThatFails, lesser, smaller } from '../../src/explore/smaller';
import { Engine } from '../../src/faults/engine';
import { requirePossible } from '../../src/faults/impossible';
import { parseRules, ruleText } from '../../src/faults/language';
import { type Fault, lineOf } from '../../src/faults/log';
import type { Effect, Faults } from '../../src/faults/rules';
import { Frame } from '../../src/packet';
import { ACK, datagram, FIN, segment, SYN } from '../helpers/fault-frames';
import { Random } from '../helpers/random';

interface Judged {
  /** What became of each frame. */
  outcomes: string[];
  /** Milliseconds by which each frame is later. */
  delays: number[];
  log: Fault[];
}

/** Shows frames to an engine, a millisecond apart. The log is that which a file would have. */
function judge(faults: Faults, frames: readonly Uint8Array[]): Judged {
  const log: Fault[] = [];
  const engine = new Engine(faults, (fault) => log.push(JSON.parse(lineOf(fault)) as Fault), 0);
  const delays: number[] = [];
  const outcomes = frames.map((bytes, i) => {
    const decision = engine.judge(Frame.of(Uint8Array.from(bytes)), i);
    delays.push(decision?.delayMs ?? 0);
    const { drop, bytes: changed, made, heldBy } = decision ?? { drop: false, bytes: null, made: [], heldBy: 0 };
    const text = [...(drop ? [] : [changed ?? bytes]), ...made].map((each) => Buffer.from(each).toString('hex')).join();
    return `${drop ? 'drop' : heldBy} ${text}`;
  });
  return { outcomes, delays, log };
}

const faultsOf = (text: string, seed = 1): Faults => ({ seed, rules: parseRules(text) });

/** Datagrams of a few connections to two ports, in both directions. */
const datagrams = (random: Random, count: number): Uint8Array[] =>
  Array.from({ length: count }, () =>
    datagram(
      { clientPort: 40000 + random.between(0, 3), serverPort: random.pick([53, 4433]) },
      random.pick(['client', 'server'] as const),
      20 + random.between(0, 40),
    ),
  );

t.test('the causes of a run do the same again, without chance', async (t) => {
  const random = Random.announced(t);
  const faults = faultsOf(
    [
      'udp: loss 5%; udp from client: delay 3ms jitter 2ms unordered',
      'udp port 53 from client probability 20%: duplicate 2 corrupt',
      'udp port 4433 every 5: truncate 50 loss gemodel 10% 50%',
      'udp after (udp nth 2) first 3: corrupt in transport valid loss 30% duplicate loss 20%',
      'udp from server probability 10%: reorder 2 within 20ms',
      'udp[8] = 0 and greater 70 probability 30%: unreachable',
    ].join('; '),
    random.between(1, 1e6),
  );
  // The side that sends the first frame of a connection is its client.
  const frames = [53, 4433].flatMap((serverPort) =>
    [0, 1, 2, 3].map((i) => datagram({ clientPort: 40000 + i, serverPort })),
  );
  frames.push(...datagrams(random, 200));
  const first = judge(faults, frames);
  const causes = causesOf(faults, first.log);
  t.ok(causes.length > 100, `${causes.length} causes`);
  t.ok(
    causes.every(({ kind }) => kind === 'pin'),
    'each is one effect on one frame',
  );
  const { faults: exact, happened } = rulesFor(causes, 999);
  requirePossible(exact.rules);
  t.notMatch(exact.rules.map(ruleText).join(), /loss|jitter|probability|every|first/, 'nothing is left to chance');
  const again = judge(exact, frames);
  t.same(again.outcomes, first.outcomes);
  const wrong = again.delays.filter((ms, i) => Math.abs(ms - (first.delays[i] as number)) > 0.002);
  t.same(wrong, [], 'delays are exact to a microsecond');
  t.same(happened(again.log), causes);
  const some = causes.filter((_, i) => i % 3 === 0);
  t.same(rulesFor(some, 999).happened(judge(rulesFor(some, 999).faults, frames).log).length > 0, true);
  const one = causes.find((cause) => cause.kind === 'pin' && cause.effect.kind === 'drop') as Cause;
  t.equal(judge(rulesFor([one], 1).faults, frames).outcomes.filter((each) => each.startsWith('drop')).length, 1);
});

/** Datagrams both ways, and a connection of TCP whose server has sent two segments. */
const CONVERSATIONS = [
  ...[1, 2, 3].flatMap(() => [datagram({ serverPort: 4433 }), datagram({ serverPort: 4433 }, 'server')]),
  segment({ sequence: 9, flags: SYN }),
  segment({ sequence: 5, flags: SYN | ACK, acknowledgment: 10 }, {}, 'server'),
  segment({ sequence: 10, flags: ACK, acknowledgment: 6 }),
  segment({ sequence: 6, flags: ACK, acknowledgment: 10, bytes: 1000 }, {}, 'server'),
  segment({ sequence: 1006, flags: ACK, acknowledgment: 10, bytes: 1000 }, {}, 'server'),
];

t.test('rules of events', async (t) => {
  const frames = [...CONVERSATIONS, segment({ sequence: 2006, flags: FIN | ACK, acknowledgment: 10 }, {}, 'server')];
  const rulesOf = (text: string): string[] => {
    const faults = faultsOf(text);
    return rulesFor(causesOf(faults, judge(faults, frames).log), 1).faults.rules.map(ruleText);
  };
  const udp = 'udp and (src host 10.77.0.1 and dst host 10.77.0.2 and dst port 4433)';
  const either = (kind: string, port: number): string =>
    `${kind} and ((src host 10.77.0.1 and dst host 10.77.0.2 and dst port ${port}) or (src host 10.77.0.2 and dst host 10.77.0.1 and src port ${port}))`;
  t.not(udp, either('udp', 4433));
  t.same(rulesOf('udp from server nth 2: loss 100%'), [`${either('udp', 4433)} from server connection 1 nth 2: drop`]);
  t.same(
    rulesOf('udp nth 2,4: delay 5ms; udp nth 6: delay 5ms'),
    [`${either('udp', 4433)} connection 1 nth 2,4: delay 5ms`, `${either('udp', 4433)} connection 1 nth 6: delay 5ms`],
    'frames to which one rule does the same are together',
  );
  t.same(
    rulesOf('tcp at-byte 1500 probability 100%: reset'),
    [`${either('tcp', 80)} from server connection 1 at-byte 1500: reset`],
    'at-byte goes without a number',
  );
  t.same(
    rulesOf('tcp[tcpflags] & tcp-syn != 0 nth 2: drop'),
    [`(tcp[tcpflags] & tcp-syn != 0) and ${either('tcp', 80)} connection 1 nth 2: drop`],
    'the filter stays, because it says how frames count',
  );
  t.same(rulesOf('udp: rate 1mbit loss 0.0001%'), ['udp: rate 1mbit'], 'a line stays as it is');
  const many = faultsOf('udp: delay 3ms jitter 2ms');
  const { log } = judge(
    many,
    Array.from({ length: 300 }, () => datagram()),
  );
  t.same(causesOf(many, log), wholeRules(many), 'and so does a rule with too many effects');
});

t.test('plain numbers', async (t) => {
  const frames = [
    ...CONVERSATIONS,
    segment({ sequence: 1006, flags: ACK, acknowledgment: 10, bytes: 1000 }, {}, 'server'),
    segment({ sequence: 2006, flags: FIN | ACK, acknowledgment: 10 }, {}, 'server'),
  ];
  const said = (text: string): string => {
    const faults = faultsOf(text);
    const before = judge(faults, frames);
    const causes = causesOf(faults, before.log);
    const observation = observationOf(causes, 1);
    if (observation === null) return sentenceFor(causes);
    requirePossible(observation.faults.rules);
    const plain = observation.plain(judge(observation.faults, frames).log);
    const { faults: exact } = rulesFor(plain, 1);
    requirePossible(exact.rules);
    t.same(judge(exact, frames).outcomes, before.outcomes, `${text}: does the same`);
    return sentenceFor(plain);
  };
  const to = 'connection to UDP 4433 from 10.77.0.1 to 10.77.0.2';
  const web = 'connection to TCP 80 from 10.77.0.1 to 10.77.0.2';
  t.equal(said('udp nth 4: drop'), `fails when the 2nd datagram from the server of the 1st ${to} is dropped`);
  t.equal(
    said('udp nth 1,3,5: duplicate'),
    `fails when the 1st, 2nd and 3rd datagrams from the client of the 1st ${to} are duplicated`,
  );
  t.equal(said('tcp nth 1: drop'), `fails when the SYN of the 1st ${web} is dropped`);
  t.equal(said('tcp nth 2: drop'), `fails when the SYN-ACK of the 1st ${web} is dropped`);
  t.equal(
    said('tcp nth 4: reset client'),
    `fails when the segment from the server with byte 0 of the 1st ${web} is replaced by a TCP reset to the client`,
  );
  t.equal(
    said('tcp from server nth 4: drop'),
    `fails when the 2nd segment from the server with byte 1000 of the 1st ${web} is dropped`,
    'a retransmission',
  );
  t.equal(said('tcp nth 7: drop'), `fails when the FIN from the server of the 1st ${web} is dropped`);
  t.match(
    said('tcp nth 3: drop'),
    /^fails when the 3rd frame of the 1st connection to TCP 80 .* that matches "tcp and .*" \(tcp ACK\) is dropped$/,
    'an acknowledgment has no number of its own',
  );
  t.match(
    said('udp nth 2: drop; udp nth 3: corrupt bit 5'),
    /the 1st datagram from the server .* is dropped, and the 2nd datagram from the client .* has bit 5 of the payload flipped$/,
  );
});

t.test('what happens, in a sentence', async (t) => {
  const [cause] = causesOf(faultsOf('udp nth 1: drop'), judge(faultsOf('udp nth 1: drop'), [datagram()]).log);
  const said = (effect: string): string =>
    sentenceFor([
      { ...(cause as Cause & { kind: 'pin' }), effect: parseRules(`all: ${effect}`)[0]?.effects[0] as Effect },
    ])
      .replace(/^fails when /, '')
      .replace(/the 1st frame of .* \(udp 20 bytes\)/, 'IT');
  for (const [effect, text] of [
    ['delay 40ms', 'IT is delayed by 40 ms'],
    ['duplicate', 'IT is duplicated'],
    ['duplicate 3', 'IT arrives 4 times'],
    ['reorder 1', 'IT is overtaken by the next frame'],
    ['reorder 3', 'IT is overtaken by the next 3 frames'],
    ['truncate 60', 'IT is truncated to 60 bytes'],
    ['corrupt in transport bit 7', 'IT has bit 7 of the transport header flipped'],
    ['reset', 'IT is replaced by a TCP reset to both sides'],
    ['unreachable', 'IT is answered by the ICMP error "port unreachable"'],
    ['cut 1.5s', 'nothing arrives for 1.5 s, from IT on'],
    ['blackhole', 'nothing more of the connection arrives, from IT on'],
    ['ecn', 'IT is marked as having met congestion'],
  ] as const)
    t.equal(said(effect), text);
  t.equal(sentenceFor(wholeRules(faultsOf('udp: rate 1mbit'))), 'fails when the rule "udp: rate 1mbit" is in place');
});

t.test('connections', async (t) => {
  const both = (label: string): string[] => [filterFor(connectionOf(label)), nameOf(connectionOf(label))];
  t.same(both('udp 10.77.0.1 > 10.77.0.1:53 #2'), [
    'udp and host 10.77.0.1 and port 53',
    'the 2nd connection to UDP 53',
  ]);
  t.same(both('tcp [fd77::1] > [fd77::1]:80 #1'), [
    'tcp and host fd77::1 and port 80',
    'the 1st connection to TCP 80 over IPv6',
  ]);
  t.same(both('icmpv6 [fd77::1] > [fd77::1] #1'), ['icmp6 and host fd77::1', 'the 1st ICMPv6 connection']);
  t.same(both('udp 10.77.0.1 > 10.77.0.1:* #3'), [
    'udp and host 10.77.0.1 and src portrange 32768-65535 and dst portrange 32768-65535',
    'the 3rd connection to a picked UDP port',
  ]);
  t.same(both('arp #1'), ['arp', 'ARP']);
  t.same(both('ethertype 0x88cc #1'), ['ether proto 0x88cc', 'ethertype 0x88cc']);
  t.same(both('protocol 47 10.77.0.1 > 10.77.0.1 #1')[0], 'ip proto 47 and host 10.77.0.1');
  t.same(both('icmp [fd77::1] > [fd77::1] #1')[0], 'ip6 proto 1 and host fd77::1', 'over the other version of IP');
  t.same(both('icmpv6 10.77.0.1 > 10.77.0.1 #1')[0], 'ip proto 58 and host 10.77.0.1');
  t.throws(() => connectionOf('nonsense'), RangeError);
  t.same([1, 2, 3, 4, 11, 12, 21, 102].map(ordinal), ['1st', '2nd', '3rd', '4th', '11th', '12th', '21st', '102nd']);
});

t.test('ddmin: the fewest that still fail', async (t) => {
  const random = Random.announced(t);
  for (let round = 0; round < 200; round++) {
    const all = Array.from({ length: random.between(1, 120) }, (_, i) => i);
    const needed = new Set(Array.from({ length: random.between(1, 6) }, () => random.pick(all)));
    let runs = 0;
    const parts: number[] = [];
    const fewest = await ddmin(
      all,
      async (candidates) => {
        for (const each of candidates) {
          runs++;
          if ([...needed].every((item) => each.includes(item))) return each;
        }
        return null;
      },
      (part) => parts.push(part.length),
    );
    if (!(fewest.length === needed.size && fewest.every((item) => needed.has(item))))
      t.fail(`${fewest.join()} rather than ${[...needed].join()} of ${all.length}`);
    if (runs > 40 * needed.size * Math.log2(all.length + 2)) t.fail(`${runs} runs for ${needed.size} of ${all.length}`);
    if (!parts.every((length, i) => i === 0 || length < (parts[i - 1] as number))) t.fail('parts do not shrink');
  }
  t.same(
    await ddmin([1, 2, 3, 4, 5, 6, 7, 8], async (candidates) => {
      for (const each of candidates) if (each.includes(7)) return each.filter((item) => item > 5);
      return null;
    }),
    [7],
    'what is returned may be smaller than the candidate',
  );
  // Fails with any two of three: nothing can be left out of what is found.
  const two = await ddmin([1, 2, 3, 4], async (candidates) => {
    for (const each of candidates) if (each.filter((item) => item < 4).length >= 2) return each;
    return null;
  });
  t.equal(two.length, 2);
});

t.test('smaller effects', async (t) => {
  const effect = (text: string): Effect => parseRules(`all: ${text}`)[0]?.effects[0] as Effect;
  const texts = (effects: readonly Effect[]): string[] =>
    effects.map((each) => ruleText({ id: 1, match: {}, effects: [each] }));
  t.same(texts(smaller(effect('duplicate 3'), '')), ['all: duplicate', 'all: duplicate 2']);
  t.same(texts(smaller(effect('reorder 3'), '')), ['all: reorder 1', 'all: reorder 2']);
  t.same(
    texts(smaller(effect('cut 2s'), '')).slice(-2),
    ['all: cut 1s', 'all: cut 1.5s'].map((each) => each.replace('1.5s', '1500ms')),
  );
  t.same(texts(smaller(effect('truncate 60'), 'udp 21 bytes')), ['all: truncate 62', 'all: truncate 61']);
  t.same(smaller(effect('drop'), 'udp 21 bytes'), []);
  t.same(texts(lesser(effect('reset'))), ['all: reset client', 'all: reset server']);
  t.same(texts(lesser(effect('cut 2s'))), ['all: drop']);
  for (let least = 0; least <= 20; least++) {
    let runs = 0;
    const list = Array.from({ length: 20 }, (_, i) => i);
    const found = await firstThatFails(list, async (item) => (runs++, item >= least));
    t.equal(found, least < 20 ? least : null);
    t.ok(runs <= 5, `${runs} runs`);
  }
});
