// SPDX-License-Identifier: MIT
/** Right and wrong values of every option. */
import t from 'tap';
import type { Test } from 'tap';

import { type AttachArguments, toOptions } from '../../src/cli/arguments';
import { VnetError } from '../../src/errors';
import { ATTACH_OPTIONS, DEFAULTS } from '../../src/options/attach-options';
import { checkInterfaceName, checkNetnsName, onCommandLine, type Place } from '../../src/options/values';

/** Reads a text as the command line does. */
const reader =
  <T>({ flag, read }: { flag: string; read: (text: string, place: Place) => T }) =>
  (text: string): T =>
    read(text, onCommandLine(flag, text));

const parseCidr = reader(ATTACH_OPTIONS.addresses);
const parseMac = reader(ATTACH_OPTIONS.mac);
const parseMtu = reader(ATTACH_OPTIONS.mtu);
const parseBudget = reader(ATTACH_OPTIONS.budget);
const parseQueuePackets = reader(ATTACH_OPTIONS.queuePackets);
const parseRingSize = reader(ATTACH_OPTIONS.ringSize);
const parseWatermark = reader(ATTACH_OPTIONS.lowWatermark);

/** Asserts that each text is refused as wrong usage, with a message that quotes it. */
function refuses(t: Test, parse: (text: string) => unknown, texts: readonly string[]): void {
  for (const text of texts) {
    let error: unknown;
    try {
      parse(text);
    } catch (caught) {
      error = caught;
    }
    const fits =
      error instanceof VnetError && error.code === 'USAGE' && error.exitCode === 2 && error.message.includes(text);
    t.ok(fits, `${JSON.stringify(text)}: ${error instanceof Error ? error.message : 'accepted'}`);
  }
}

t.test('interface names', async (t) => {
  for (const name of ['vnet0', 'a', 'abcdefghijklmno', '5', 'eth0.100', 'veth-a_b'])
    t.equal(checkInterfaceName(name), name, name);
  refuses(t, checkInterfaceName, [
    '',
    'abcdefghijklmnop',
    'a/b',
    'a:b',
    'a b',
    'a\tb',
    'a\nb',
    '.',
    '..',
    'a\0b',
    'vnet%d',
    'üüüüüüüü',
    '-x',
    'a"b',
    "a'b",
    'a#b',
    'a\\b',
  ]);
});

t.test('namespace names', async (t) => {
  for (const name of ['lab', 'a.b', 'x'.repeat(100)]) t.equal(checkNetnsName(name), name);
  refuses(t, checkNetnsName, ['', 'a/b', '../1', '.', '..']);
});

t.test('addresses', async (t) => {
  t.same(parseCidr('192.168.100.1/24'), { family: 4, address: '192.168.100.1', prefix: 24 });
  t.same(parseCidr('10.0.0.1/32'), { family: 4, address: '10.0.0.1', prefix: 32 });
  t.same(parseCidr('fd77::1/64'), { family: 6, address: 'fd77::1', prefix: 64 });
  t.same(parseCidr('fe80::1/128'), { family: 6, address: 'fe80::1', prefix: 128 });
  t.same(parseCidr('1.1.1.1/1'), { family: 4, address: '1.1.1.1', prefix: 1 });
  // prettier-ignore
  refuses(t, parseCidr, [
    '', '/', '/24', '10.0.0.1', '10.0.0.1/', '10.0.0.1/33', '10.0.0.1/0', '10.0.0.1/-1', '10.0.0.1/24/24', '10.0.0.1/2 4',
    '10.0.0.1/0x18', '10.0.0.1/24.0', '10.0.0.256/24', '10.0.0/24', '10.0.0.1.2/24', '010.0.0.1/24', ' 10.0.0.1/24', 'host/24',
    'fd77::1', 'fd77::1/129', 'fd77::1/0', 'fd77:::1/64', 'fd77::g/64', 'fe80::1%eth0/64',
    '0.0.0.0/8', '0.1.2.3/8', '127.0.0.1/8', '224.0.0.1/4', '255.255.255.255/32', '::/64', '::1/128', 'ff02::1/16',
  ]);
});

t.test('IPv6 addresses come out as the kernel writes them', async (t) => {
  for (const text of ['FD77:0:0:0::1/64', 'fd77:0000::0001/64', 'fd77::0:1/64'])
    t.equal(parseCidr(text).address, 'fd77::1', text);
  t.equal(parseCidr('2001:db8:0:0:1:0:0:1/64').address, '2001:db8::1:0:0:1');
  t.equal(parseCidr('fd77::10.0.0.1/64').address, 'fd77::a00:1');
});

t.test('the same address twice is refused, however it is written', async (t) => {
  refuses(t, () => toOptions(args({ addr: ['10.0.0.1/24', '10.0.0.1/16'] })), ['10.0.0.1']);
  refuses(t, () => toOptions(args({ addr: ['fd77::1/64', 'fd77:0::0:1/64'] })), ['fd77::1']);
});

t.test('other spellings of addresses that no host can have', async (t) => {
  refuses(t, parseCidr, [
    '0:0:0:0:0:0:0:1/128',
    '0::0/64',
    '::0:1/64',
    'FF02::1/64',
    'ff05:0:0:0:0:0:0:2/64',
    '::ffff:10.0.0.1/96',
  ]);
});

t.test('Ethernet addresses', async (t) => {
  t.equal(parseMac('02:00:00:00:00:01'), '02:00:00:00:00:01');
  t.equal(parseMac('AA:BB:CC:DD:EE:0F'), 'aa:bb:cc:dd:ee:0f', 'in lower case');
  t.equal(parseMac('00:1b:21:00:00:01'), '00:1b:21:00:00:01', 'a universally administered one');
  // prettier-ignore
  refuses(t, parseMac, [
    '', '02', '02:00:00:00:00', '02:00:00:00:00:01:02', '02-00-00-00-00-01', '2:0:0:0:0:1', '02:00:00:00:00:0g', '0200.0000.0001',
    '00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff', '01:00:5e:00:00:01', '33:33:00:00:00:01', ' 02:00:00:00:00:01',
  ]);
});

const NO_NUMBERS = ['', ' ', '1.5', '-1', '+1', '1e3', '0x10', '12a', 'NaN', 'Infinity', '1'.repeat(16), '１２'];

t.test('numbers', async (t) => {
  t.same([parseMtu('68'), parseMtu('1500'), parseMtu('65535'), parseMtu('0068')], [68, 1500, 65535, 68]);
  refuses(t, parseMtu, [...NO_NUMBERS, '0', '67', '65536']);
  t.same([parseBudget('1'), parseBudget('1024')], [1, 1024]);
  refuses(t, parseBudget, [...NO_NUMBERS, '0', '1025']);
  t.same([parseQueuePackets('1'), parseQueuePackets('16777216')], [1, 16777216]);
  refuses(t, parseQueuePackets, [...NO_NUMBERS, '0', '16777217']);
});

t.test('ring sizes', async (t) => {
  const good: [string, number][] = [
    ['8M', 8 << 20],
    ['8m', 8 << 20],
    ['8MiB', 8 << 20],
    ['8MB', 8 << 20],
    ['256K', 256 << 10],
    ['262144', 256 << 10],
    ['1048576', 1 << 20],
    ['256M', 256 << 20],
    ['0256K', 256 << 10],
  ];
  for (const [text, bytes] of good) t.equal(parseRingSize(text), bytes, text);
  // prettier-ignore
  refuses(t, parseRingSize, [
    '', 'M', '8', '0', '128K', '255K', '3M', '7000000', '512M', '1G', '4G', '-8M', '8.0M', '8 M', '8T', '8MM', '0x800000', '9'.repeat(13),
  ]);
});

t.test('watermarks', async (t) => {
  t.same(
    ['0%', '50%', '99%', '12.5%'].map((text) => parseWatermark(text)),
    [0, 0.5, 0.99, 0.125],
  );
  refuses(t, parseWatermark, ['', '%', '50', '0.5', '100%', '99.5%', '-1%', '50 %', '5e1%', '50%%', '.5%']);
});

const args = (more: Partial<AttachArguments> = {}): AttachArguments =>
  ({ iface: ['vnet0'], hairpin: false, replace: false, daemon: false, json: false, ...more }) as AttachArguments;

t.test('options that are not given have working defaults', async (t) => {
  t.same(toOptions(args()), DEFAULTS);
});

t.test('options that are given keep their values', async (t) => {
  // prettier-ignore
  const options = toOptions(args({
    netns: 'lab', addr: ['10.0.0.1/24', 'fd77::1/64'], hairpin: true, mac: '02:00:00:00:00:01', mtu: '1280', queues: '2', ringSize: '1M',
    queuePackets: '256', budget: '32', whenFull: 'drop', lowWatermark: '25%', replace: true,
    gro: 'off', busyPoll: '50',
  }));
  t.match(options, {
    netns: 'lab',
    hairpin: true,
    mac: '02:00:00:00:00:01',
    mtu: 1280,
    queues: 2,
    ringBytes: 1 << 20,
    queuePackets: 256,
    budget: 32,
    whenFull: 'drop',
    lowWatermark: 0.25,
    replace: true,
    gro: false,
    busyPollUs: 50,
  });
  t.equal(options.addresses.length, 2);
});

t.test('IPv6 requires an MTU of at least 1280', async (t) => {
  refuses(t, () => toOptions(args({ mtu: '1279', addr: ['fd77::1/64'] })), ['1279']);
  t.equal(toOptions(args({ mtu: '1279', addr: ['10.0.0.1/24'] })).mtu, 1279, 'IPv4 does not');
});
