// SPDX-License-Identifier: MIT
/** Metrics: every number of a reading, the names of the field, the addresses that are understood. */
import t from 'tap';

import { addressText, parseListenAddress, servedAt } from '../../src/metrics/address';
import { prometheusText } from '../../src/metrics/prometheus';
import { missingFrom, numbersOf, parseMetrics, promtoolSays, withoutPromtool } from '../helpers/prometheus';
import { sampleStats } from '../helpers/sample-stats';

const who = { interface: 'vnet0', netns: 'lab' };

t.test('every number of a reading is there, once', async (t) => {
  const stats = sampleStats();
  const numbers = numbersOf(stats).map(([, value]) => value);
  t.ok(numbers.length > 40, 'there are some');
  t.equal(new Set(numbers).size, numbers.length, 'no two are equal');
  const values = parseMetrics(await prometheusText([{ stats, netns: 'lab' }], '1.2.3'));
  t.same(missingFrom(values, stats, who), []);
  t.equal(values.size, numbers.length + 1 + 4, 'and nothing else but info and four states');
  t.throws(() => missingFrom(values, { ...stats, brandNew: 1 }, who), /brandNew is in no metric/, 'a number without a metric would be noticed');
  t.same(missingFrom(values, { tx: { packets: 5 } }, who), [`tx.packets is 5, not ${stats.tx.packets}`], 'and a wrong value');
});

t.test('what is not a number', async (t) => {
  const stats = sampleStats();
  stats.queue.capacityPackets = null;
  const text = await prometheusText([{ stats, netns: 'lab' }], '1.2.3');
  const values = parseMetrics(text);
  t.equal(values.get('vnet_bpf_state{interface="vnet0",netns="lab",state="stopped"}'), 1);
  t.equal(values.get('vnet_bpf_state{interface="vnet0",netns="lab",state="running"}'), 0);
  t.match([...values.keys()].filter((name) => name.startsWith('vnet_bpf_info')), [/\{attach="tcx",backend="veth",interface="vnet0",netns="lab",version="1\.2\.3"\}$/]);
  t.notOk([...values.keys()].some((name) => name.startsWith('vnet_bpf_queue_capacity_packets{')), 'no limit, no sample');
});

t.test('several interfaces, and strange names', async (t) => {
  const strange = { ...sampleStats(), interface: 'a"b\\c' };
  const text = await prometheusText([{ stats: sampleStats(), netns: 'lab' }, { stats: sampleStats(), netns: 'net:[5]' }, { stats: strange, netns: '' }], '1.2.3');
  t.equal(text.match(/^vnet_bpf_tx_packets_total\{/gm)?.length, 3);
  t.match(text, 'interface="a\\"b\\\\c",netns=""', 'quotes are escaped');
  t.equal(text.match(/^# TYPE vnet_bpf_tx_packets_total counter$/gm)?.length, 1, 'one head for all');
  if (!withoutPromtool()) t.equal(promtoolSays(text), '', 'promtool has nothing to say');
});

t.test('promtool would complain', { skip: withoutPromtool() }, async (t) => {
  t.match(promtoolSays('# HELP vnet_bpf_x Some.\n# TYPE vnet_bpf_x counter\nvnet_bpf_x 1\n'), /_total/);
});

t.test('addresses to listen at', async (t) => {
  t.same(parseListenAddress('127.0.0.1:9100'), { host: '127.0.0.1', port: 9100 });
  t.same(parseListenAddress('[::1]:0'), { host: '::1', port: 0 });
  t.same(parseListenAddress('0.0.0.0:65535'), { host: '0.0.0.0', port: 65535 }, 'all addresses, where the user says so');
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
