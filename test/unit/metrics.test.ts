// SPDX-License-Identifier: MIT
/** Metrics: every number of a reading, the names of the field, the addresses that are understood. */
import { hostname } from 'node:os';

import t from 'tap';

import { addressText, isNamedBy, parseListenAddress, servedAt } from '../../src/metrics/address';
import { prometheusText } from '../../src/metrics/prometheus';
import { missingFrom, numbersOf, parseMetrics, promtoolSays, withoutPromtool } from '../helpers/prometheus';
import { sampleStats } from '../helpers/sample-stats';

const who = { interface: 'vnet0', netns: 'lab' };

t.test('every number of a reading is there, once', async (t) => {
  const stats = sampleStats();
  const numbers = numbersOf(stats).map(([, value]) => value);
  t.ok(numbers.length > 40, 'there are some');
  t.equal(new Set(numbers).size, numbers.length, 'no two are equal');
  const values = parseMetrics(prometheusText([{ stats, netns: 'lab' }], '1.2.3'));
  t.same(missingFrom(values, stats, who), []);
  t.equal(values.size, numbers.length + 1 + 4, 'and nothing else but info and four states');
  t.throws(
    () => missingFrom(values, { ...stats, brandNew: 1 }, who),
    /brandNew is in no metric/,
    'a number without a metric would be noticed',
  );
  t.same(
    missingFrom(values, { tx: { packets: 5 } }, who),
    [`tx.packets is 5, not ${stats.tx.packets}`],
    'and a wrong value',
  );
});

t.test('what is not a number', async (t) => {
  const stats = sampleStats();
  stats.queue.capacityPackets = null;
  const text = prometheusText([{ stats, netns: 'lab' }], '1.2.3');
  const values = parseMetrics(text);
  t.equal(values.get('vnet_bpf_state{interface="vnet0",netns="lab",state="stopped"}'), 1);
  t.equal(values.get('vnet_bpf_state{interface="vnet0",netns="lab",state="running"}'), 0);
  t.match(
    [...values.keys()].filter((name) => name.startsWith('vnet_bpf_info')),
    [/\{attach="tcx",backend="veth",interface="vnet0",netns="lab",version="1\.2\.3"\}$/],
  );
  t.notOk(
    [...values.keys()].some((name) => name.startsWith('vnet_bpf_queue_capacity_packets{')),
    'no limit, no sample',
  );
});

t.test('several interfaces, and strange names', async (t) => {
  const strange = { ...sampleStats(), interface: 'a"b\\c' };
  const text = prometheusText(
    [
      { stats: sampleStats(), netns: 'lab' },
      { stats: sampleStats(), netns: 'net:[5]' },
      { stats: strange, netns: '' },
    ],
    '1.2.3',
  );
  t.equal(text.match(/^vnet_bpf_tx_packets_total\{/gm)?.length, 3);
  t.match(text, 'interface="a\\"b\\\\c",netns=""', 'quotes are escaped');
  t.equal(text.match(/^# TYPE vnet_bpf_tx_packets_total counter$/gm)?.length, 1, 'one head for all');
  if (!withoutPromtool()) t.equal(promtoolSays(text), '', 'promtool has nothing to say');
});

t.test('names that a terminal or a line of the format would obey', async (t) => {
  const hostile = { ...sampleStats(), interface: 'v\x1b[2Jx' };
  const text = prometheusText(
    [{ stats: hostile, netns: 'a\nvnet_bpf_tx_packets_total{interface="forged"} 1\n\x9b\x7f\u202e' }],
    '1.2.3',
  );
  // eslint-disable-next-line no-control-regex
  t.notMatch(text, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]|^vnet_bpf_tx_packets_total\{interface="forged"/m);
  t.match(
    text,
    'interface="v\\\\x1b[2Jx",netns="a\\\\nvnet_bpf_tx_packets_total{interface=\\"forged\\"} 1\\\\n\\\\x9b\\\\x7f\\\\u202e"',
  );
  if (!withoutPromtool()) t.equal(promtoolSays(text), '', 'promtool has nothing to say');
});

t.test('promtool would complain', { skip: withoutPromtool() }, async (t) => {
  t.match(promtoolSays('# HELP vnet_bpf_x Some.\n# TYPE vnet_bpf_x counter\nvnet_bpf_x 1\n'), /_total/);
});

t.test('addresses to listen at', async (t) => {
  t.same(parseListenAddress('127.0.0.1:9100'), { host: '127.0.0.1', port: 9100, names: [] });
  t.same(parseListenAddress('[::1]:0'), { host: '::1', port: 0, names: [] });
  t.same(
    parseListenAddress('0.0.0.0:65535'),
    { host: '0.0.0.0', port: 65535, names: [] },
    'all addresses, where the user says so',
  );
  t.same(parseListenAddress('192.0.2.7:9100,Web1.example.com,web1'), {
    host: '192.0.2.7',
    port: 9100,
    names: ['web1.example.com', 'web1'],
  });
  t.equal(addressText({ host: '::1', port: 5 }), '[::1]:5');
  for (const [text, why] of [
    ['', /is not an address and a port/],
    ['9100', /is not an address and a port/],
    ['127.0.0.1', /is not an address and a port/],
    ['::1:9100', /is not an address and a port/],
    ['127.0.0.1:9100/metrics', /is not an address and a port/],
    [':9100', /names no address/],
    ['localhost:9100', /"localhost" is not an address/],
    ['[127.0.0.1]:9100', /"127.0.0.1" is not an address/],
    ['[fe80::1%eth9]:9100', /is not an address/],
    ['127.0.0.256:9100', /is not an address/],
    ['127.0.0.1:', /port that is not a number/],
    ['127.0.0.1:65536', /port that is not a number/],
    ['127.0.0.1:123456', /port that is not a number/],
    ['127.0.0.1:9100,', /"" is not a name/],
    ['127.0.0.1:9100,*', /"\*" is not a name/],
    ['127.0.0.1:9100,10.0.0.1', /"10.0.0.1" is not a name/],
    ['127.0.0.1:9100,web1:9100', /"web1:9100" is not a name/],
  ] as const) {
    t.throws(() => parseListenAddress(text), { code: 'USAGE', message: why }, JSON.stringify(text));
  }
});

t.test('who is in the way of an address', async (t) => {
  const any = [0, 0, 0, 0].join('.');
  for (const [url, address, expected] of [
    ['http://127.0.0.1:9100/metrics', '127.0.0.1:9100', true],
    ['http://127.0.0.1:9100/metrics', '127.0.0.1:9101', false],
    ['http://127.0.0.1:9100/metrics', '127.0.0.2:9100', false],
    ['http://127.0.0.1:9100/metrics', `${any}:9100`, true],
    [`http://${any}:9100/metrics`, '127.0.0.1:9100', true],
    [`http://${any}:9100/metrics`, '[::1]:9100', false],
    ['http://[::]:9100/metrics', '[::1]:9100', true],
    ['http://[::1]:80/metrics', '[0:0::1]:80', true],
    ['http://127.0.0.1:9100/metrics', '127.0.0.1:0', false],
  ] as const) {
    t.equal(servedAt(url, parseListenAddress(address)), expected, `${url} and ${address}`);
  }
});

t.test('the names that a scraper may ask for', async (t) => {
  const here = hostname().toLowerCase();
  const any = [0, 0, 0, 0].join('.');
  for (const [address, yes, no] of [
    [
      '127.0.0.1:9100',
      ['127.0.0.1:9100', '127.0.0.1', 'localhost:9100', 'LOCALHOST.', '127.1.2.3:80', '[::1]:9100'],
      [
        'evil.example',
        'localhost.evil.example',
        '127.0.0.1.evil.example',
        '192.0.2.7:9100',
        `${here}:9100`,
        '',
        'localhost:9100:1',
        '[::1',
        'a b',
        '127.0.0.1:9100 ,evil',
      ],
    ],
    ['[::1]:9100', ['[::1]:9100', 'localhost', '127.0.0.1'], ['evil.example', '[fd77::1]:9100', '::1']],
    [
      '192.0.2.7:9100',
      ['192.0.2.7:9100', '198.51.100.1', '[2001:db8::1]:9100', here],
      ['evil.example:9100', 'localhost'],
    ],
    [`${any}:9100`, ['192.0.2.7:9100', 'localhost:9100', '127.0.0.1:9100', `${any}:9100`, here], ['evil.example']],
    [
      '127.0.0.1:9100,web1.example.com',
      ['web1.example.com:443', 'Web1.Example.Com', '127.0.0.1'],
      ['example.com', 'a.web1.example.com'],
    ],
  ] as const) {
    const listening = parseListenAddress(address);
    t.same(
      yes.filter((header) => !isNamedBy(listening, header)),
      [],
      `${address} is named by these`,
    );
    t.same(
      no.filter((header) => isNamedBy(listening, header)),
      [],
      `${address} is not named by those`,
    );
  }
});
