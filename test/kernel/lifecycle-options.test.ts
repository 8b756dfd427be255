// SPDX-License-Identifier: MIT
/** Attach does what its options ask for, and --json prints the fields that the contract names. */
import t from 'tap';

import { attachedIn, cannotRun, cli, cliOk } from '../helpers/cli';
import { listed } from '../helpers/controller';
import { ok, okIn, testNetns } from '../helpers/netns';

interface LinkDetails {
  address: string;
  mtu: number;
  linkinfo: { info_kind: string };
}

/** The shape of a document: each value by its kind, keys in order. */
function shape(value: unknown): unknown {
  if (value === null) return 'null';
  if (Array.isArray(value)) return value.map(shape);
  if (typeof value === 'object')
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shape(inner)]));
  return typeof value === 'number' && Number.isInteger(value) ? 'integer' : typeof value;
}

const integers = (...names: string[]): Record<string, string> =>
  Object.fromEntries(names.map((name) => [name, 'integer']));

/** The contract's names; a version may add some, so only these are looked for. */
const STATS = {
  interface: 'string',
  netns: 'string',
  backend: 'string',
  attach: 'string',
  state: 'string',
  pid: 'integer',
  tx: integers('packets', 'bytes'),
  rx: integers('packets', 'bytes'),
  queue: {
    ...integers('capacityBytes', 'usedBytes', 'packets', 'lowWatermarkBytes', 'stops', 'wakes'),
    stopped: 'boolean',
  },
  held: integers('now', 'total', 'dropped'),
  refused: integers('full', 'oversize'),
  hooks: integers('dropped', 'injected', 'errors'),
  poll: integers('polls', 'budgetExhausted', 'sleeps', 'wakeups'),
  reinject: integers('retries', 'errors'),
};

const LIST = {
  interface: 'string',
  netns: 'string',
  netnsGone: 'boolean',
  ifindex: 'integer',
  backend: 'string',
  attach: 'string',
  state: 'string',
  pid: 'integer',
  startedAt: 'string',
  queues: 'integer',
  ringBytes: 'integer',
  queuePackets: 'integer',
  budget: 'integer',
  whenFull: 'string',
  addresses: ['string', 'string'],
  hook: 'null',
  onHookError: 'string',
  hookDown: 'null',
  faults: 'null',
  metrics: 'null',
  carrier: 'string',
};

t.test('options take effect, and JSON says so', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const where = ['vnet0', '--netns', netns];
  const mac = '02:00:5e:10:00:01';
  // prettier-ignore
  const printed = JSON.parse(cliOk([
    'attach', ...where, '--daemon', '--json', '--mac', mac, '--mtu', '4000', '--ring-size', '512K', '--queue-packets', '100',
    '--budget', '16', '--when-full', 'drop', '--low-watermark', '25%', '--addr', '10.77.0.1/24', '--addr', 'fd77::1/64',
  ])) as Record<string, unknown>;
  t.teardown(() => cli(['detach', ...where]));
  const [link] = JSON.parse(ok('ip', ['-n', netns, '-d', '-json', 'link', 'show', 'vnet0'])) as [LinkDetails];
  t.equal(link.address, mac, 'the MAC address is kept');
  t.equal(link.mtu, 4000, 'and the MTU');
  t.equal(link.linkinfo.info_kind, 'veth');

  t.same(shape(printed), LIST, 'attach --json prints what the contract names');
  t.same(listed(netns, 'vnet0'), printed, 'as list --json does');
  t.match(printed, {
    interface: 'vnet0',
    netns,
    queues: 1,
    ringBytes: 512 << 10,
    queuePackets: 100,
    budget: 16,
    whenFull: 'drop',
    addresses: ['10.77.0.1', 'fd77::1'],
  });
  t.ok(Math.abs(Date.now() - Date.parse(printed['startedAt'] as string)) < 600_000, 'startedAt is a time');

  const stats = JSON.parse(cliOk(['stats', ...where, '--json'])) as Record<string, Record<string, unknown>>;
  t.match(shape(stats), STATS, 'stats --json has the names and kinds of the contract');
  t.match(stats, {
    interface: 'vnet0',
    netns,
    backend: 'veth',
    state: 'running',
    pid: printed['pid'],
    attach: printed['attach'],
  });
  t.match(stats['queue'], { capacityBytes: 512 << 10, lowWatermarkBytes: 128 << 10, capacityPackets: 100 });
  const counters = Object.values(stats).flatMap((group) =>
    typeof group === 'object' ? Object.values(group ?? {}) : [],
  );
  t.ok(
    counters.every((value) => value === null || typeof value === 'boolean' || Number.isInteger(value)),
    'all counters are integers',
  );
  t.match(stats, { attach: /^(tcx|clsact)$/ }, 'attach says how');

  const all = JSON.parse(cliOk(['stats', '--netns', netns, '--json'])) as { interface: string }[];
  t.same(
    all.map((one) => one.interface),
    ['vnet0'],
    'without an interface: an array',
  );
  t.match(cliOk(['stats', ...where]), /^vnet0 in .*: running, veth through (tcx|clsact)/, 'the readable form');
  t.match(cliOk(['list']), /vnet0 +\S+ +running/, 'and that of list');
});

t.test('the MAC address stays when there is none given, and the MTU is 1500', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  attachedIn(t, netns);
  const read = (): LinkDetails =>
    (JSON.parse(ok('ip', ['-n', netns, '-d', '-json', 'link', 'show', 'vnet0'])) as [LinkDetails])[0];
  const first = read();
  t.equal(first.mtu, 1500);
  okIn(netns, 'ip', ['addr', 'add', '10.77.0.1/24', 'dev', 'vnet0']);
  t.equal(read().address, first.address);
});

t.test('--daemon is understood wherever and however it is spelt', { skip: cannotRun }, (t) => {
  const netns = testNetns(t);
  t.teardown(() => cli(['detach', 'vnet0', '--netns', netns]));
  for (const args of [
    ['--debug', 'attach', 'vnet0', '--daemon'],
    ['attach', 'vnet0', '--daemon=true'],
    ['attach', '--daemon', 'vnet0'],
  ]) {
    t.match(cliOk([...args, '--netns', netns]), /^vnet0 in namespace \S+ loops, by process \d+; /, args.join(' '));
    cliOk(['detach', 'vnet0', '--netns', netns]);
  }
  t.match(cliOk(['attach', 'vnet0', '--daemon', '--version']), /^\d+\.\d+\.\d+\n$/, 'and --version is answered');
  t.end();
});
