// SPDX-License-Identifier: MIT
/** Rules in words and in JSON: what they mean, that they become the same again, and what is said about mistakes. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';

import t, { type Test } from 'tap';

import { documentOf, readFaults } from '../../src/faults/document';
import { requirePossible } from '../../src/faults/impossible';
import { matchText, parseRules, ruleText } from '../../src/faults/language';
import type { Effect, EffectKind, Rule } from '../../src/faults/rules';
import { readWish } from '../../src/faults/source';
import { effectHelp, EFFECT_WORDS, effectRow, formOf, matchHelp, MATCH_WORDS } from '../../src/faults/words';
import { ROOT } from '../helpers/cli';
import { Random } from '../helpers/random';

t.test('rules in words', async (t) => {
  t.same(parseRules('udp port 53 nth 2: drop; tcp port 443: delay 40ms jitter 5ms loss 2%'), [
    { id: 1, match: { filter: 'udp port 53', nth: [2] }, effects: [{ kind: 'drop' }] },
    {
      id: 2,
      match: { filter: 'tcp port 443' },
      effects: [
        { kind: 'delay', ms: 40, jitterMs: 5, distribution: 'uniform', unordered: false },
        { kind: 'loss', probability: 0.02 },
      ],
    },
  ]);
  const one = (text: string): Rule => parseRules(text)[0] as Rule;
  t.same(one('all: drop').match, {});
  t.same(one('nth 2,5 from server: drop').match, { nth: [2, 5], from: 'server' });
  t.same(one('tcp at-byte 100000: drop').match, { filter: 'tcp', atByte: 100000 });
  t.same(one('tcp[13] & 2 != 0 and ip[2:2] > 40 every 10 first 30 probability 50%: drop').match, {
    filter: 'tcp[13] & 2 != 0 and ip[2:2] > 40',
    every: 10,
    first: 30,
    probability: 0.5,
  });
  t.same(one('udp after (udp port 53 after (tcp port 80) nth 2) between 1500ms-2s: drop').match, {
    filter: 'udp',
    after: { filter: 'udp port 53', after: { filter: 'tcp port 80' }, nth: [2] },
    between: [1500, 2000],
  });
  t.same(
    one('ip6 host fd77:: and udp: drop').match,
    { filter: 'ip6 host fd77:: and udp' },
    'the last colon is the one',
  );
  t.same(one('ether host 02:00:00:00:00:01 : drop').match, { filter: 'ether host 02:00:00:00:00:01' });
  t.same(one('udp port 53:drop').effects, [{ kind: 'drop' }], 'a space behind it may be missing');
  t.same(one('(udp  port 53)\t nth 1 : drop').match, { filter: '(udp  port 53)', nth: [1] });
  t.same(one('all: loss gemodel 1% 30%').effects, [{ kind: 'gemodel', p: 0.01, r: 0.3, bad: 1, good: 0 }]);
  t.same(one('all: loss 1% rate 10mbit queue 64K').effects, [
    { kind: 'loss', probability: 0.01 },
    { kind: 'rate', bitsPerSecond: 1e7, queue: { bytes: 65536 }, targetMs: null, intervalMs: null },
  ]);
  t.same(one('all: corrupt valid in ip bit 3 duplicate truncate 60 delay 0.5ms unordered').effects, [
    { kind: 'corrupt', part: 'ip', bit: 3, valid: true },
    { kind: 'duplicate', copies: 1 },
    { kind: 'truncate', bytes: 60 },
    { kind: 'delay', ms: 0.5, jitterMs: 0, distribution: 'uniform', unordered: true },
  ]);
  t.same(
    parseRules('# two rules\nudp: drop # one\n\n  tcp: delay 1s;\n').map(({ id, match }) => [id, match.filter]),
    [
      [1, 'udp'],
      [2, 'tcp'],
    ],
  );
});

t.test('mistakes: the place, what is wrong, and what to write', async (t) => {
  const wrong = (text: string, message: RegExp, hint: RegExp): void =>
    void t.throws(() => parseRules(text), { code: 'USAGE', message, hint }, text);
  wrong('', /there is no rule/, /such as udp port 53 nth 2: drop/);
  wrong('udp port 53', /^"udp port 53" \(character 1\): has no colon/, /such as udp/);
  wrong('drop', /has no colon/, /such as all: drop/);
  wrong(': drop', /no frames are named/, /all: drop/);
  wrong('udp:', /nothing happens to these frames/, /udp: drop/);
  wrong('udp nth: drop', /^"nth" \(character 5\): has no value/, /2 or 2,5/);
  wrong('udp nth x: drop', /^"nth x" \(character 9\): is not a number/, /a number/);
  wrong('udp nth 0: drop', /"nth 0" .*: is less than 1/, /a number/);
  wrong('udp nth every 2: drop', /"nth" .*: has no value/, /a number/);
  wrong('udp nth 1 nth 2: drop', /"nth" \(character 11\): is said twice/, /once/);
  wrong('udp nth 1 evry 2: drop', /"evry" \(character 11\): is not a word of a match/, /did you mean every\?/);
  wrong('udp nth 1 drop', /has no colon/, /udp/);
  wrong('udp nth 1 drop : drop', /"drop" .*is an effect, and a colon comes before/, /: drop/);
  wrong('udp: dorp', /"dorp" \(character 6\): is not an effect/, /did you mean drop\?/);
  wrong('udp: delay', /"delay" \(character 6\): has no value/, /TIME.*: a number and us, ms or s: 40ms/);
  wrong('udp: delay 40', /"delay 40" \(character 12\): is a time without a unit/, /40ms/);
  wrong('udp: delay 40min', /"min" is not a unit of it/, /40ms/);
  wrong('udp: delay 2h', /"h" is not a unit/, /40ms/);
  wrong('udp: delay 40ms jiter 5ms', /"jiter" .*is not an effect/, /did you mean jitter\?/);
  wrong('udp: delay 40ms jitter', /"jitter" .*has no value/, /40ms/);
  wrong('udp: delay 40ms jitter 1ms jitter 1ms', /"jitter" .*is said twice/, /once/);
  wrong('udp: delay 5000s', /is more than 3600s/, /40ms/);
  wrong('udp: loss 2', /percentage without a unit/, /0.5%/);
  wrong('udp: loss 0%', /is less than/, /0.5%/);
  wrong('udp: loss 101%', /is more than 100%/, /0.5%/);
  wrong('udp: reset cilent', /is not one of client, server, both/, /client/);
  wrong('udp from nobody: drop', /is not one of client, server/, /client/);
  wrong('udp between 4s-2s: drop', /ends before it begins/, /2s-4s/);
  wrong('udp between 4s: drop', /is not a time from one to another/, /2s-4s/);
  wrong('udp after udp: drop', /takes a match in parentheses/, /after \(udp/);
  wrong('udp and (tcp: drop', /"\(tcp: drop" \(character 9\): is not closed/, /parenthesis/);
  wrong('udp) and tcp: drop', /"\)" \(character 4\): closes what was not opened/, /such as/);
  wrong('all udp: drop', /"all" stands for every frame/, /leave it out: udp/);
  wrong('udp: drop\ntcp nth 1\n', /^"tcp nth 1" \(line 2, character 1\): has no colon/, /such as/);
  wrong('udp: drop; tcp: reorder x', /^"reorder x" \(character 25\)/, /a number/);
  wrong(`${'udp: drop;'.repeat(1001)}`, /more than 1000 rules/, /nth or every/);
  wrong(`${'udp: drop;'.repeat(10_000)}`, /more than 1000 rules/, /nth or every/);
  wrong('udp: duplicate 1000000000', /"duplicate 1000000000" .*is more than 1000/, /from 1 to 1000/);
  wrong('udp: delay 99999999999999999ms', /is not a time/, /40ms/);
  wrong('udp: rate 9999999999999999gbit', /is more than 100gbit/, /10mbit/);
  wrong('udp: delay 1e3ms', /is not a time/, /40ms/);
  wrong('udp: delay -5ms', /is not a time/, /40ms/);
  wrong('udp: loss NaN%', /is not a percentage/, /0.5%/);
  wrong('udp nth 99999999999999999999: drop', /is not a number/, /2 or 2,5/);
  wrong('udp at-byte 9007199254740993: drop', /is more than 9007199254740991/, /100000/);
  const nested = (depth: number): string => `udp ${'after ('.repeat(depth)}udp${')'.repeat(depth)}: drop`;
  t.equal(parseRules(nested(16)).length, 1);
  wrong(nested(17), /^"after \(udp\)" \(character 123\): is within 16 others/, /several rules/);
  wrong(nested(12_000), /is within 16 others/, /several rules/);
});

/** A rule of random words. */
function randomRule(random: Random): Rule {
  const time = (): number => random.pick([0.001, 0.7, 1, 12.345, 40, 999, 1000, 1500, 60_000]);
  const chance = (): number => random.pick([0.001, 0.02, 0.07, 0.333, 0.5, 1]);
  const maybe = <T>(value: T): T | undefined => (random.chance(30) ? value : undefined);
  const effects: readonly (() => Effect)[] = [
    () => ({ kind: 'drop' }),
    () => ({ kind: 'loss', probability: chance() }),
    () => ({ kind: 'gemodel', p: chance(), r: chance(), bad: random.pick([1, 0.5]), good: random.pick([0, 0.1]) }),
    () => ({
      kind: 'delay',
      ms: time(),
      jitterMs: random.pick([0, time()]),
      distribution: random.pick(['uniform', 'normal', 'pareto'] as const),
      unordered: random.chance(50),
    }),
    () => ({ kind: 'duplicate', copies: random.between(1, 3) }),
    () => ({ kind: 'reorder', by: random.between(1, 9), withinMs: random.pick([1000, 20]) }),
    () => ({
      kind: 'corrupt',
      part: random.pick(['ip', 'transport', 'payload'] as const),
      bit: random.pick([null, 0, 77]),
      valid: random.chance(50),
    }),
    () => ({ kind: 'truncate', bytes: random.pick([14, 60, 1024, 2 << 20]) }),
    () => ({ kind: 'reset', to: random.pick(['client', 'server', 'both'] as const) }),
    () => ({ kind: 'unreachable', what: random.pick(['net', 'host', 'protocol', 'port', 'prohibited'] as const) }),
    () => ({ kind: 'too-big', mtu: random.pick([68, 1280, 1024]) }),
    () => ({ kind: 'ecn' }),
    () => ({
      kind: 'rate',
      bitsPerSecond: random.pick([8, 56_000, 10e6, 2_500_000, 1e9, 12_345_678]),
      queue: random.pick([{ ms: 100 }, { ms: 2.5 }, { bytes: 65536 }, { bytes: 1000 }, { codel: true as const }]),
      targetMs: random.pick([null, 5, 0.7]),
      intervalMs: random.pick([null, 100]),
    }),
    () => ({
      kind: 'trace',
      trace: random.pick([
        { file: 'a/b.trace', opportunities: null },
        { file: null, opportunities: '11(38)' },
      ]),
      queue: random.pick([{ ms: 100 }, { codel: true as const }]),
      targetMs: null,
      intervalMs: null,
    }),
    () => ({ kind: 'cut', ms: time() }),
    () => ({ kind: 'carrier', ms: time() }),
    () => ({ kind: 'blackhole' }),
  ];
  const match = {
    filter: maybe(random.pick(['udp port 53', 'tcp[13] & 2 != 0', 'ip6 host fd77::1', '(udp or tcp) and port 80'])),
    from: maybe(random.pick(['client', 'server'] as const)),
    connection: maybe(random.between(1, 20)),
    between: maybe([1, 2000] as const),
    atByte: maybe(100_000),
    nth: maybe(random.pick([[1], [2, 5, 7]])),
    every: maybe(10),
    first: maybe(3),
    probability: maybe(chance()),
    after: maybe({ filter: 'udp', nth: [2] }),
  };
  return {
    id: 1,
    match: JSON.parse(JSON.stringify(match)) as Rule['match'],
    effects: Array.from({ length: random.between(1, 3) }, () => random.pick(effects)()),
  };
}

t.test('what is written is read as the same, in words and in JSON', async (t) => {
  const random = Random.announced(t);
  const different: string[] = [];
  const kinds = new Set<EffectKind>();
  for (let i = 0; i < 2000; i++) {
    const rule = randomRule(random);
    rule.effects.forEach(({ kind }) => kinds.add(kind));
    const text = ruleText(rule);
    const again = parseRules(text);
    const json = readFaults(JSON.parse(JSON.stringify(documentOf({ seed: i, rules: [rule] }))));
    if (!isSame([rule], again)) different.push(`${text}: ${JSON.stringify(again)}`);
    if (!isSame({ seed: i, rules: [rule] }, json)) different.push(`${text}: ${JSON.stringify(json)}`);
  }
  t.same(different.slice(0, 5), []);
  t.equal(kinds.size, Object.keys(EFFECT_WORDS).length, 'all effects');
});

/** Equal whatever the order of fields. */
function isSame(a: unknown, b: unknown): boolean {
  const sorted = (value: unknown): unknown =>
    Array.isArray(value)
      ? value.map(sorted)
      : typeof value === 'object' && value !== null
        ? Object.fromEntries(
            Object.entries(value)
              .sort()
              .map(([name, each]) => [name, sorted(each)]),
          )
        : value;
  return JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
}

t.test('rules in JSON', async (t) => {
  const drop = [{ kind: 'drop' as const }];
  t.same(readFaults('udp: drop; tcp: drop'), {
    seed: 1,
    rules: [
      { id: 1, match: { filter: 'udp' }, effects: drop },
      { id: 2, match: { filter: 'tcp' }, effects: drop },
    ],
  });
  t.same(
    readFaults({
      seed: 9,
      rules: [
        'udp: drop',
        { match: 'tcp nth 2', effects: 'drop' },
        { id: 2, effects: ['drop', { kind: 'delay', ms: 3 }] },
      ],
    }),
    {
      seed: 9,
      rules: [
        { id: 1, match: { filter: 'udp' }, effects: drop },
        { id: 3, match: { filter: 'tcp', nth: [2] }, effects: drop },
        {
          id: 2,
          match: {},
          effects: [...drop, { kind: 'delay', ms: 3, jitterMs: 0, distribution: 'uniform', unordered: false }],
        },
      ],
    },
  );
  const test = (): boolean => true;
  t.same(readFaults([{ match: { filter: 'udp', test }, effects: 'drop' }], true).rules[0]?.match, {
    filter: 'udp',
    test,
  });
  t.throws(() => documentOf(readFaults([{ match: { test }, effects: 'drop' }], true)), {
    message: /a function cannot be written down/,
  });
  const wrong = (value: unknown, message: RegExp): void =>
    void t.throws(() => readFaults(value), { code: 'USAGE', message }, JSON.stringify(value));
  wrong(null, /the document: is not an object/);
  wrong({ rulse: [] }, /the document\.rulse: is not a field of it/);
  wrong([], /is not a list of rules/);
  wrong({ seed: -1, rules: ['udp: drop'] }, /seed: is less than 0/);
  wrong({ seed: 1.5, rules: ['udp: drop'] }, /seed: is not a whole number/);
  wrong([{ effects: [] }], /the rules\[0\]\.effects: is not a list of effects/);
  wrong([{ effects: [{ kind: 'dorp' }] }], /effects\[0\]\.kind: is not one of the effects/);
  wrong([{ effects: [{ kind: 'delay' }] }], /effects\[0\]\.ms: is missing/);
  wrong([{ effects: [{ kind: 'delay', ms: '40ms' }] }], /effects\[0\]\.ms: is not a number/);
  wrong([{ effects: [{ kind: 'drop', often: 1 }] }], /effects\[0\]\.often: is not a field/);
  wrong([{ match: { nth: 2 }, effects: 'drop' }], /match\.nth: is not a list of numbers/);
  wrong([{ match: { filter: 5 }, effects: 'drop' }], /match\.filter: is not an expression/);
  wrong([{ match: { test }, effects: 'drop' }], /match\.test: is a function, which only a file/);
  wrong([{ match: { after: { nthh: 1 } }, effects: 'drop' }], /match\.after\.nthh/);
  for (const nothing of [null, 1, true, [], 'x'])
    wrong([{ effects: [nothing] }], nothing === 'x' ? /"x" .*is not an effect/ : /effects\[0\]\.kind: is not one of/);
  for (const nothing of [null, 1, true, []]) {
    wrong([nothing], /the rules\[0\]: is not an object/);
    wrong([{ match: nothing, effects: 'drop' }], /match: is not an object/);
  }
  // A text in place of a match or of effects is all of it: nothing is left out silently.
  wrong([{ effects: 'drop; tcp: drop' }], /"drop;" \(character 1\): is not an effect/);
  wrong([{ effects: 'udp: drop' }], /"udp:" \(character 1\): is not an effect/);
  wrong([{ effects: 'drop # not tcp' }], /"#" \(character 6\): is not an effect/);
  wrong([{ effects: ' ' }], /there is no effect/);
  t.equal(readFaults([{ match: 'udp: drop; tcp', effects: 'drop' }]).rules[0]?.match.filter, 'udp: drop; tcp');
  wrong([{ match: '', effects: 'drop' }], /no frames are named/);
  wrong([{ match: { nth: [1e400] }, effects: 'drop' }], /match\.nth: is not a number/);
  wrong([{ effects: [{ kind: '__proto__' }] }], /kind: is not one of the effects/);
  wrong([{ effects: [{ kind: 'duplicate', copies: 1e9 }] }], /copies: is more than 1000/);
  wrong(JSON.parse('{ "__proto__": 1, "rules": ["udp: drop"] }'), /__proto__: is not a field/);
  let deep = {};
  for (let depth = 0; depth < 20_000; depth++) deep = { after: deep };
  t.throws(() => readFaults([{ match: deep, effects: 'drop' }]), { code: 'USAGE', message: /is within 16 others/ });
  wrong(
    [
      { id: 1, effects: 'drop' },
      { id: 1, effects: 'drop' },
    ],
    /two rules with the id 1/,
  );
  wrong(Array(1001).fill('udp: drop'), /more than 1000 rules/);
});

t.test('a JSON document in place of words', async (t) => {
  const document =
    '{ "seed": 3, "rules": [{ "match": { "filter": "udp", "connection": 2 }, "effects": [{ "kind": "drop" }] }] }';
  const faults = { seed: 3, rules: [{ id: 1, match: { filter: 'udp', connection: 2 }, effects: [{ kind: 'drop' }] }] };
  t.same(readWish(document, null), { document: JSON.stringify(faults) });
  t.same(readWish(document, 7), { document: JSON.stringify({ ...faults, seed: 7 }) });
  t.same(readWish('["udp connection 2: drop"]', 3), { document: JSON.stringify(faults) });
  t.throws(() => readWish('{ "rules": [', null), { code: 'USAGE', message: /^faults document: is not JSON/ });
});

t.test('a FILE that is none, is too large, or begins with a byte order mark', async (t) => {
  const directory = fs.mkdtempSync('/root/.vnet-bpf-test-');
  t.teardown(() => fs.rmSync(directory, { recursive: true }));
  const at = (name: string): string => path.join(directory, name);
  const rules = readWish('udp: drop', null);
  fs.mkdirSync(at('dir'));
  execFileSync('mkfifo', [at('fifo')]);
  fs.symlinkSync('loop', at('loop'));
  fs.symlinkSync('nowhere', at('dangling'));
  for (const name of ['large.txt', 'large.json', 'large.trace']) {
    fs.writeFileSync(at(name), '1\n', { mode: 0o644 });
    fs.truncateSync(at(name), 100 << 20);
  }
  for (const [name, message] of [
    ['dir', /is not a file/],
    ['fifo', /is not a file/],
    ['loop', /cannot be read: ELOOP/],
    ['dangling', /is neither the name of a file nor rules|there is no such file/],
    ['large.txt', /has more than 8388608 bytes/],
    ['large.json', /has more than 8388608 bytes/],
    ['large.trace', /has more than 8388608 bytes/],
  ] as const) {
    t.throws(() => readWish(at(name), null), { code: 'USAGE', message }, name);
    t.throws(() => readWish(`udp: trace ${at(name)}`, null), { code: 'USAGE', message }, `a trace: ${name}`);
  }
  fs.writeFileSync(at('plain.txt'), '\uFEFFudp: drop\r\n', { mode: 0o644 });
  fs.writeFileSync(at('plain.json'), '\uFEFF["udp: drop"]', { mode: 0o644 });
  fs.symlinkSync('plain.json', at('link.json'));
  for (const name of ['plain.txt', 'plain.json', 'link.json']) t.same(readWish(at(name), null), rules, name);
});

t.test('rules that can never take effect', async (t) => {
  const never = (t: Test, text: string, why: RegExp): void =>
    void t.throws(() => requirePossible(parseRules(text)), { code: 'USAGE', message: why }, text);
  never(
    t,
    'udp: drop; tcp and udp: drop',
    /^rule 2, "tcp and udp: drop": can never take effect: no frame matches "tcp and udp"/,
  );
  never(t, 'udp port 53 at-byte 7: drop', /at-byte is about TCP/);
  never(t, 'udp port 53: reset', /reset is about tcp/);
  never(t, 'arp: ecn', /ecn is about ip or ip6/);
  never(t, 'arp: unreachable', /unreachable is about ip or ip6/);
  never(t, 'nth 7 first 3: drop', /none of nth 7 is also first 3/);
  never(t, 'nth 3,5 every 2: drop', /none of nth 3,5 is also every 2/);
  never(t, 'every 10 first 5: drop', /the first 5 frames have none/);
  never(t, 'udp after (nth 7 first 3): drop', /after: none of nth 7/);
  never(t, 'udp: drop delay 5ms', /"delay 5ms" comes after "drop", and nothing is left of the frame/);
  never(t, 'udp: duplicate cut 2s loss 3%', /"loss 3%" comes after "cut 2s"/);
  never(t, 'udp: loss 100% ecn', /"ecn" comes after "loss 100%"/);
  requirePossible(
    parseRules(
      'udp port 53 nth 2: drop; vlan and tcp at-byte 5: reset drop; at-byte 7: loss 99% drop; nth 4,5 every 2: drop; ip6: ecn',
    ),
  );
  t.throws(() => requirePossible(parseRules('udp porty 53 and tcp: drop')), {
    code: 'USAGE',
    message: /^filter "udp porty 53 and tcp": .*syntax error, after "udp": porty 53/,
  });
  t.throws(() => requirePossible(parseRules('porty: drop')), { message: /filter "porty"/ });
});

t.test('help has a row for each word', async (t) => {
  t.same(
    matchHelp().map(({ form }) => form),
    [
      'EXPRESSION',
      'all',
      'from client|server',
      'connection N',
      'between TIME-TIME',
      'at-byte N',
      'nth N[,N...]',
      'every N',
      'first N',
      'probability PERCENT',
      'after (MATCH)',
    ],
  );
  t.equal(formOf(effectRow('delay')), 'delay TIME [jitter TIME] [distribution uniform|normal|pareto] [unordered]');
  t.equal(effectHelp().length, Object.keys(EFFECT_WORDS).length);
  t.ok([...matchHelp(), ...effectHelp()].every(({ form, help }) => form !== '' && help !== ''));
  t.equal(matchText({ nth: [2] }), 'all nth 2');
  const page = fs.readFileSync(path.join(ROOT, 'docs', 'faults.md'), 'utf8');
  const rows = [...page.matchAll(/^\| `([^`]+)` \| (.*) \|$/gm)].map(([, form = '', help]) => ({
    form: form.replaceAll('\\|', '|'),
    help,
  }));
  t.same(
    rows,
    [...matchHelp(), ...effectHelp()].map(({ form, help }) => ({ form, help })),
    'docs/faults.md has the same',
  );
  t.ok(Object.keys(MATCH_WORDS).length > 0);
});
