// SPDX-License-Identifier: MIT
/** A state file is believed field by field: whatever is in it, it is read as a record or as a broken one. */
import t from 'tap';

import { DEFAULTS, RUNNING_ROWS } from '../../src/options/attach-options';
import { parseRecord } from '../../src/state/record';
import { Random } from '../helpers/random';
import { RECORD } from '../helpers/record';

const parse = (value: unknown): ReturnType<typeof parseRecord> => parseRecord(RECORD.id, JSON.stringify(value));
const whyOf = (value: unknown): string => {
  const parsed = parse(value);
  return 'why' in parsed ? parsed.why : 'nothing';
};

t.test('what attach writes is read as it was written', async (t) => {
  t.same(parse(RECORD), { attachment: RECORD });
});

t.test('a record of an older version has no cookie and no boot', async (t) => {
  const { cookie: _cookie, boot: _boot, ...netns } = RECORD.netns;
  t.same(parse({ ...RECORD, netns }), { attachment: { ...RECORD, netns: { ...netns, cookie: null, boot: null } } });
});

t.test('a record of an older version has other names of programs', async (t) => {
  if (RECORD.links === null) throw new Error('the sample has links');
  const { resegment: cut, release: retry, ...links } = RECORD.links;
  t.same(parse({ ...RECORD, links: { ...links, cut, retry } }), { attachment: RECORD });
  t.match(whyOf({ ...RECORD, links: { ...links, cut } }), /^links\.release is not a list$/);
});

t.test('what is unknown is left out', async (t) => {
  t.same(parse({ ...RECORD, news: 1, netns: { ...RECORD.netns, colour: 'red' } }), { attachment: RECORD });
});

t.test('an option that is newer than the record has its default', async (t) => {
  for (const { key } of RUNNING_ROWS) {
    const { [key]: _, ...older } = RECORD;
    t.same(parse(older), { attachment: { ...RECORD, [key]: DEFAULTS[key] } }, key);
  }
});

t.test('an option has a value that a user can give', async (t) => {
  t.same(parse({ ...RECORD, budget: 1024, busyPollUs: 1_000_000, gro: false, ringBytes: 256 << 10 }), {
    attachment: { ...RECORD, budget: 1024, busyPollUs: 1_000_000, gro: false, ringBytes: 256 << 10 },
  });
  t.equal(whyOf({ ...RECORD, budget: 1025 }), 'budget is not a value of --budget');
  t.equal(
    whyOf({ ...RECORD, busyPollUs: 'auto' }),
    'busyPollUs is not a value of --busy-poll',
    'which is what is read of it',
  );
  t.equal(whyOf({ ...RECORD, gro: 'on' }), 'gro is not a value of --gro');
  t.equal(whyOf({ ...RECORD, ringBytes: (256 << 10) + 1 }), 'ringBytes is not a value of --ring-size');
  t.equal(
    whyOf({ ...RECORD, queuePackets: { toString: 1, valueOf: 1 } }),
    'queuePackets is not a value of --queue-packets',
  );
});

t.test('each field is checked by its type, and named', async (t) => {
  for (const name of Object.keys(RECORD)) {
    const isOption = RUNNING_ROWS.some(({ key }) => key === name);
    for (const wrong of [...(isOption ? [] : [undefined]), { a: 1 }, [[]], 'x/../y', -1, 1.5, 2 ** 60]) {
      const why = whyOf({ ...RECORD, [name]: wrong });
      if (why === 'nothing')
        t.ok(
          ['hook', 'hookDown', 'metrics'].includes(name) && typeof wrong === 'string',
          `${name}: ${JSON.stringify(wrong)} has its type`,
        );
      else t.ok(why.startsWith(name), `${name}: ${JSON.stringify(wrong)}: ${why}`);
    }
  }
});

t.test('what becomes part of a path stays a name', async (t) => {
  const { taken, netns } = RECORD;
  t.match(whyOf({ ...RECORD, iface: '../all' }), /^iface is not the name of an interface$/);
  t.match(whyOf({ ...RECORD, iface: '..' }), /^iface /);
  t.match(whyOf({ ...RECORD, netns: { ...netns, name: '../../etc/passwd' } }), /^netns.name /);
  t.match(whyOf({ ...RECORD, taken: { ...taken, sysctls: { '../../../kernel/sysrq': '1' } } }), /^taken.sysctls /);
  t.match(whyOf({ ...RECORD, taken: { ...taken, sysctls: { rp_filter: '1\n2' } } }), /^taken.sysctls.rp_filter /);
  t.match(whyOf({ ...RECORD, id: 'ffffffff' }), /^id is not 0123abcd$/);
});

t.test('what is no object, or inherits its fields', async (t) => {
  for (const content of [
    '',
    ' \n',
    'null',
    '7',
    '[]',
    '"x"',
    '{',
    '{}',
    '{"__proto__":{}}',
    '\0'.repeat(100),
    '['.repeat(100_000),
  ]) {
    const parsed = parseRecord(RECORD.id, content);
    t.ok(
      'why' in parsed && /^(it|version) is /.test(parsed.why),
      `${content.slice(0, 20)}: ${'why' in parsed ? parsed.why : ''}`,
    );
  }
});

t.test('the fields that are sound are known', async (t) => {
  const parsed = parse({ ...RECORD, gro: 7, netns: [] });
  const { gro: _gro, netns: _netns, ...sound } = RECORD;
  t.same('sound' in parsed && parsed.sound, sound);
});

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

const STRANGE: Json[] = [
  null,
  true,
  false,
  0,
  -1,
  1e308,
  0.5,
  '',
  'x',
  '\u0000',
  '../..',
  '\u001b[2J',
  'x'.repeat(5000),
  [],
  [[]],
  {},
  { length: 3 },
  [null],
];

t.test('4,000 mutated files: each is a record with its types, or says why not', async (t) => {
  const random = Random.announced(t);
  const next = (): number => random.bits() / 2 ** 32;
  const below = (limit: number): number => Math.floor(next() * limit);
  const mutateValue = (value: Json): Json => {
    if (typeof value === 'object' && value !== null && next() < 0.85) {
      const keys = Object.keys(value);
      const key = keys[below(keys.length)];
      if (key === undefined) return STRANGE[below(STRANGE.length)] as Json;
      const copy = structuredClone(value) as { [name: string]: Json };
      if (next() < 0.15) delete copy[key];
      else copy[key] = mutateValue(copy[key] as Json);
      return copy;
    }
    return STRANGE[below(STRANGE.length)] as Json;
  };
  const mutateBytes = (content: string): string => {
    const bytes = Buffer.from(content);
    for (let times = 1 + below(4); times > 0; times--) {
      if (next() < 0.3) bytes.copy(bytes, below(bytes.length), below(bytes.length));
      else bytes[below(bytes.length)] = below(256);
    }
    return (next() < 0.3 ? bytes.subarray(0, below(bytes.length)) : bytes).toString();
  };
  const written = JSON.stringify(RECORD, null, 2);
  let whole = 0;
  let broken = 0;
  for (let i = 0; i < 4000; i++) {
    const content = next() < 0.5 ? mutateBytes(written) : JSON.stringify(mutateValue(JSON.parse(written) as Json));
    const parsed = parseRecord(RECORD.id, content);
    if ('attachment' in parsed) {
      whole++;
      // What was accepted is accepted again, and unchanged: nothing of another type has slipped in.
      t.same(parse(parsed.attachment), parsed, `file ${i} is read the same again`);
    } else {
      broken++;
      if (parsed.why === '') t.fail(`no reason: ${content}`);
    }
  }
  t.ok(broken > 2000 && whole > 20, `${broken} broken, ${whole} whole`);
});
