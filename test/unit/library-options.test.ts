// SPDX-License-Identifier: MIT
/** What attach() of the library takes and refuses: as the command line does, in its own spelling. */
import t, { type Test } from 'tap';

import { toOptions, type AttachArguments } from '../../src/cli/arguments';
import { VnetError } from '../../src/errors';
import { attach, type NicOptions, toAttachOptions } from '../../src/nic/nic';
import { ATTACH_OPTIONS, type AttachOptions, DEFAULTS, OPTION_ROWS, textOf } from '../../src/options/attach-options';
import { camelCase } from '../../src/options/values';

const library = (options: unknown): AttachOptions => toAttachOptions('vnet0', options as NicOptions);
const commandLine = (args: Partial<AttachArguments>): AttachOptions =>
  toOptions({ iface: ['vnet0'], hairpin: false, replace: false, ...args } as AttachArguments);

function errorOf(work: () => unknown): VnetError {
  try {
    work();
  } catch (error) {
    if (error instanceof VnetError) return error;
    throw error;
  }
  throw new Error('accepted');
}

function refuses(t: Test, options: unknown, says: RegExp, hints: RegExp = /./): void {
  const { code, message, hint } = errorOf(() => library(options));
  t.equal(code, 'USAGE', message);
  t.match(message, says);
  t.match(hint, hints, `${message}: hint`);
}

t.test('both take the same', async (t) => {
  t.same(library({}), DEFAULTS);
  t.same(
    library({
      type: 'veth',
      netns: 'lab',
      addresses: ['10.0.0.1/24'],
      hairpin: true,
      mac: '02:00:00:00:00:01',
      mtu: 1400,
      queues: 2,
      ringSize: '1M',
      queuePackets: 256,
      budget: 32,
      gro: false,
      busyPoll: 50,
      whenFull: 'drop',
      lowWatermark: 25,
      onHookError: 'drop',
      replace: true,
      hook: undefined,
    }),
    commandLine({
      type: 'veth',
      netns: 'lab',
      addr: ['10.0.0.1/24'],
      hairpin: true,
      mac: '02:00:00:00:00:01',
      mtu: '1400',
      queues: '2',
      ringSize: '1M',
      queuePackets: '256',
      budget: '32',
      gro: 'off',
      busyPoll: '50',
      whenFull: 'drop',
      lowWatermark: '25%',
      onHookError: 'drop',
      replace: true,
    }),
  );
  t.equal(library({ busyPoll: 'auto' }).busyPollUs, null);
  t.equal(library({ ringSize: 1 << 20 }).ringBytes, 1 << 20);
  t.equal(library({ hook: new URL('file:///etc/hook.ts') }).hook, '/etc/hook.ts');
  t.equal(
    library({ signal: AbortSignal.abort(), metrics: '127.0.0.1:0' }).replace,
    false,
    "what is not the interface's own",
  );
});

t.test('an option that there is not', async (t) => {
  refuses(t, { adresses: ['10.0.0.1/24'] }, /^adresses: is not an option of attach\(\)$/, /did you mean addresses\?/);
  refuses(t, { ringsize: '8M' }, /^ringsize: /, /did you mean ringSize\?/);
  refuses(t, { addr: [] }, /^addr: /, /did you mean addresses\?/);
  refuses(t, { daemon: true }, /^daemon: /, /the options are type, netns, addresses/);
});

t.test('a value of the wrong kind', async (t) => {
  refuses(t, { addresses: '10.0.0.1/24' }, /^addresses: is a string, not an array of strings$/);
  refuses(t, { addresses: [1] }, /^addresses: is an array of numbers, not an array of strings$/);
  refuses(t, { hook: () => 'pass' }, /^hook: is a function, not a string or a file: URL$/);
  refuses(
    t,
    { hook: new URL('https://example.com/hook.js') },
    /^hook: is a URL of https:, not a string or a file: URL$/,
  );
  refuses(t, { hook: new URL('file:///a%2Fb.js') }, /^hook file:/, /import\.meta\.url/);
  refuses(t, { mtu: '1500' }, /^mtu: is a string, not a number$/);
  refuses(t, { netns: null }, /^netns: is null, not a string$/);
  refuses(t, { hairpin: 1 }, /^hairpin: is a number, not a boolean$/);
  refuses(t, { gro: 'off' }, /^gro: is a string, not a boolean$/);
  refuses(t, { mac: Buffer.alloc(6) }, /^mac: is an object, not a string$/);
  refuses(t, { ringSize: 8n }, /^ringSize: is a bigint, not a number or a string$/);
  refuses(t, { metrics: 9100 }, /^metrics: is a number, not a string$/);
  refuses(t, { signal: {} }, /^signal: is an object, not an AbortSignal$/);
  refuses(t, null, /^the options of attach\(\): are null, not an object$/);
  refuses(t, 'lab', /^the options of attach\(\): are a string, not an object$/);
  t.match(errorOf(() => toAttachOptions(5 as never, {})).message, /^the interface name: is a number, not a string$/);
});

/** A wrong value on the command line and in the library, and the errors of both. */
const SAME: [keyof NicOptions, NicOptions, keyof AttachArguments, Partial<AttachArguments>][] = [
  ['mtu', { mtu: 67 }, 'mtu', { mtu: '67' }],
  ['mtu', { mtu: 576, addresses: ['fd77::1/64'] }, 'mtu', { mtu: '576', addr: ['fd77::1/64'] }],
  ['budget', { budget: 1.5 }, 'budget', { budget: '1.5' }],
  ['queues', { queues: 17 }, 'queues', { queues: '17' }],
  ['queues', { queues: 2, hook: '/etc/hook.ts' }, 'queues', { queues: '2', hook: '/etc/hook.ts' }],
  ['queuePackets', { queuePackets: NaN }, 'queuePackets', { queuePackets: 'NaN' }],
  ['ringSize', { ringSize: '3M' }, 'ringSize', { ringSize: '3M' }],
  ['busyPoll', { busyPoll: -1 }, 'busyPoll', { busyPoll: '-1' }],
  ['lowWatermark', { lowWatermark: 100 }, 'lowWatermark', { lowWatermark: '100%' }],
  ['whenFull', { whenFull: 'hodl' as 'hold' }, 'whenFull', { whenFull: 'hodl' as 'hold' }],
  ['type', { type: 'tun' as 'veth' }, 'type', { type: 'tun' as 'veth' }],
  ['onHookError', { onHookError: 'pss' as 'pass' }, 'onHookError', { onHookError: 'pss' as 'pass' }],
  ['mac', { mac: '01:00:00:00:00:01' }, 'mac', { mac: '01:00:00:00:00:01' }],
  ['netns', { netns: 'a/b' }, 'netns', { netns: 'a/b' }],
  ['addresses', { addresses: ['10.0.0.1'] }, 'addr', { addr: ['10.0.0.1'] }],
  ['addresses', { addresses: ['fd77::1/64', 'fd77:0::0:1/64'] }, 'addr', { addr: ['fd77::1/64', 'fd77:0::0:1/64'] }],
];

t.test('both are told the same, each in its own spelling', async (t) => {
  for (const [name, options, argument, args] of SAME) {
    const [ours, theirs] = [errorOf(() => library(options)), errorOf(() => commandLine(args))];
    const flag = `--${argument.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    t.ok(ours.message.startsWith(`${name} `), ours.message);
    t.ok(theirs.message.startsWith(`${flag} `), theirs.message);
    t.notMatch(`${ours.message} ${ours.hint}`, /--/, `${name}: no option of the command line`);
    const why = (error: VnetError): string => error.message.slice(error.message.indexOf(': '));
    t.equal(why(ours), why(theirs), `${name}: the same reason`);
    t.equal(ours.code, theirs.code);
  }
  t.match(errorOf(() => library({ lowWatermark: 100 })).hint, /^such as lowWatermark: 50$/);
  t.match(errorOf(() => library({ whenFull: 'never' })).hint, /^such as whenFull: 'hold'$/);
});

t.test('attach() refuses before it makes anything', async (t) => {
  await t.rejects(attach('vnet0', { adresses: ['x'] } as NicOptions), { code: 'USAGE', message: /adresses/ });
  await t.rejects(attach('vnet0', { metrics: 'here' }), {
    code: 'USAGE',
    message: /^metrics "here": is not an address and a port/,
  });
  await t.rejects(attach('vnet0', null as never), { code: 'USAGE' });
  await t.rejects(attach(undefined as never), { code: 'USAGE', message: /the interface name: is undefined/ });
  await t.rejects(attach('vnet0', { signal: AbortSignal.abort() }), { name: 'AbortError' });
});

/** Texts that some options take and others refuse. */
const TEXTS = [
  '',
  ' ',
  '0',
  '1',
  '2',
  '16',
  '17',
  '68',
  '1025',
  '1280',
  '65536',
  '1000001',
  '16777217',
  '262144',
  '1.5',
  '-1',
  '8M',
  '3M',
  'auto',
  'Auto',
  'veth',
  'tun',
  'hold',
  'detach',
  'none',
  'lab',
  '../lab',
  '10.0.0.1',
  '10.0.0.1/24',
  '127.0.0.1/8',
  'fd77::1/64',
  '02:00:00:00:00:01',
  '01:00:00:00:00:01',
];

/** What becomes of a value: what is read, or why it is refused. */
function outcome(work: () => AttachOptions): unknown {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof VnetError)) throw error;
    return `${error.code}${error.message.slice(error.message.indexOf(': '))}`;
  }
}

t.test(
  'of each option the library takes what the command line takes, and refuses the rest for the same reason',
  async (t) => {
    for (const row of OPTION_ROWS) {
      const { name, flag, kinds } = row;
      if (name === 'hook' || kinds.includes('boolean')) continue; // the one has a directory of its own to look in, the others are no texts
      for (const text of TEXTS) {
        const values = [
          ...(kinds.includes('string') ? [text] : []),
          ...(kinds.includes('number') && text === String(Number(text)) ? [Number(text)] : []),
          ...(kinds.includes('texts') ? [[text], [text, text]] : []),
        ];
        for (const value of values) {
          const typed = Array.isArray(value) ? value : textOf(row, value);
          t.same(
            outcome(() => library({ [name]: value })),
            outcome(() => commandLine({ [camelCase(flag)]: typed })),
            `${name}: ${JSON.stringify(value)}`,
          );
        }
      }
    }
  },
);

t.test('names and types of the library are a contract', async (t) => {
  const all = {
    type: 'veth' as 'veth' | 'dummy',
    netns: 'lab',
    addresses: ['10.0.0.1/24'] as readonly string[],
    hairpin: true,
    mac: '02:00:00:00:00:01',
    mtu: 1500,
    queues: 1,
    ringSize: '8M',
    queuePackets: 64,
    budget: 64,
    gro: true,
    busyPoll: 'auto',
    whenFull: 'hold' as 'hold' | 'drop',
    lowWatermark: 50,
    hook: '/etc/hook.ts',
    onHookError: 'drop' as 'pass' | 'drop' | 'detach',
    replace: false,
    metrics: '127.0.0.1:0',
    signal: AbortSignal.timeout(1000),
  } satisfies NicOptions;
  const faulty = { faults: 'udp port 53 nth 2: drop', seed: 7 } satisfies NicOptions;
  t.same(library(faulty).seed, 7);
  t.equal(
    library({ ...all, ringSize: 8 << 20, busyPoll: 50, hook: new URL('file:///etc/hook.ts') } satisfies NicOptions)
      .busyPollUs,
    50,
  );
  // @ts-expect-error a word, or a number
  library({ ...all, busyPoll: '50' } satisfies NicOptions);
  t.same(
    Object.keys(all).filter((name) => !Object.hasOwn(ATTACH_OPTIONS, name)),
    ['metrics', 'signal'],
    "what is not the interface's own",
  );
});
