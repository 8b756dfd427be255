// SPDX-License-Identifier: MIT
/** `vnet-bpf faults`, and `--faults` of attach and run. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { attachedIn, attachmentOf, cannotRun, cli, cliOk, SLOW } from '../helpers/cli';
import { eventually, listed } from '../helpers/controller';
import { hookDirectory, hookFile } from '../helpers/hook-file';
import { inside, quietNetns, run } from '../helpers/netns';

t.setTimeout(180_000 * SLOW);

const ADDRESS = '10.77.0.1';
/** Numbers of the pings that were answered. */
const answered = (output: string): number[] =>
  [...output.matchAll(/icmp_seq=(\d+) ttl/g)].map(([, number]) => Number(number));
const PING = ['ping', '-c', '4', '-i', '0.2', '-W', '1', ADDRESS];

/** Pings the interface's address in a namespace; its output. Not all may be answered. */
function ping(netns: string): string {
  const [nsenter, ...rest] = inside(netns) as [string, ...string[]];
  return run(nsenter, [...rest, ...PING]).stdout;
}

t.test('rules are put in place, shown, and taken away', { skip: cannotRun }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ['--addr', `${ADDRESS}/24`]);
  const where = ['--netns', nic.netns];
  const faults = (...args: string[]): string => cliOk(['faults', nic.iface, ...args, ...where]);
  const pings = (): number[] => answered(ping(nic.netns));
  t.match(faults('--show'), 'vnet0 has no faults');
  t.match(
    faults('icmp from client nth 2: drop; icmp nth 7: duplicate', '--seed', '7'),
    /vnet0 has faults: vnet-bpf faults vnet0 --netns \w+ --show/,
  );
  t.same(pings(), [1, 3, 4, 4], 'the second is lost, the last answer comes twice');
  t.match(
    faults('--show'),
    /vnet0 has faults, with the seed 7\n.*MATCHED.*\n1 +1 +1 +icmp from client nth 2: drop\n2 +1 +1 +icmp nth 7: duplicate/,
  );
  t.same(JSON.parse(faults('--show', '--json')), {
    interface: 'vnet0',
    netns: nic.netns,
    seed: 7,
    missed: 0,
    rules: [
      { text: 'icmp from client nth 2: drop', id: 1, matched: 1, applied: 1 },
      { text: 'icmp nth 7: duplicate', id: 2, matched: 1, applied: 1 },
    ],
  });
  const log = faults('--log')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  t.match(log, [
    { rule: 1, n: 2, effect: 'drop', frame: 'icmp type 8 code 0', connection: 'icmp 10.77.0.1 > 10.77.0.1 #1' },
    { rule: 2, n: 7, effect: 'duplicate' },
  ]);
  t.equal(listed(nic.netns, 'vnet0')?.faults, 'icmp from client nth 2: drop; icmp nth 7: duplicate');
  t.match(cliOk(['list']), /vnet0 .* faults\n/);

  for (const [args, message] of [
    [['icmp nth x: drop'], /"nth x" \(character 10\): is not a number/],
    [['icmpp: drop'], /filter "icmpp"/],
    [['tcp and udp: drop'], /can never take effect/],
    [['nothing-there'], /is neither the name of a file nor rules/],
    [[], /give rules, or --show, --log or --clear/],
    [['udp: drop', '--clear'], /give rules, or --show/],
    [['--show', '--seed', '7'], /--seed 7: goes with rules/],
    [['udp: drop', '--json'], /--json: goes with --show/],
    [['udp: drop', '--seed', '-1'], /is not a whole number/],
  ] as const) {
    const { status, stderr } = cli(['faults', nic.iface, ...args, ...where]);
    t.equal(status, 2, args.join(' '));
    t.match(stderr, message);
    t.match(stderr, /\nhint: /);
  }
  t.match(faults('--show'), /seed 7/, 'all of that has changed nothing');
  t.match(faults('--clear'), 'vnet0 has no faults');
  t.same(pings(), [1, 2, 3, 4]);
  t.match(cliOk(['faults', '--words']), /at-byte N\n.*TCP stream[^]*delay TIME/);
  t.match(cli(['faults']).stderr, /<iface> is missing/);
});

t.test('attach --faults: from the first frame on, and after a crash', { skip: cannotRun }, async (t) => {
  const file = hookFile(
    t,
    'rules.json',
    '{ "seed": 3, "rules": [{ "id": 4, "match": "icmp from client nth 1", "effects": "drop" }] }',
  );
  const netns = quietNetns(t);
  const nic = attachedIn(t, netns, ['--addr', `${ADDRESS}/24`, '--faults', file, '--seed', '5']);
  t.same(answered(ping(netns)), [2, 3, 4]);
  process.kill(attachmentOf(nic).pid, 'SIGKILL');
  t.ok(await eventually(() => listed(netns, 'vnet0')?.state === 'crashed'));
  t.equal(listed(netns, 'vnet0')?.faults, 'icmp from client nth 1: drop', 'they are known without a controller');
  cliOk(['attach', 'vnet0', '--netns', netns, '--addr', `${ADDRESS}/24`, '--daemon']);
  t.match(JSON.parse(cliOk(['faults', 'vnet0', '--netns', netns, '--show', '--json'])), {
    seed: 5,
    rules: [{ id: 4 }],
  });
  t.same(answered(ping(netns)), [2, 3, 4]);
  process.kill(attachmentOf(nic).pid, 'SIGKILL');
  t.ok(await eventually(() => listed(netns, 'vnet0')?.state === 'crashed'));
  cliOk([
    'attach',
    'vnet0',
    '--netns',
    netns,
    '--addr',
    `${ADDRESS}/24`,
    '--daemon',
    '--faults',
    'icmp from client nth 2: drop',
  ]);
  t.same(answered(ping(netns)), [1, 3, 4], 'others may take their place');

  const refused = (args: string[], message: RegExp): void => {
    const { status, stderr } = cli(['attach', 'vnet9', '--netns', netns, ...args]);
    t.ok(status === 2 && message.test(stderr), `${args.join(' ')}: ${status}, ${stderr}`);
  };
  refused(['--faults', 'udp: dorp'], /"dorp" \(character 6\)/);
  refused(['--faults', 'udp: drop', '--hook', '/x.ts'], /an interface has a hook or faults/);
  refused(['--faults', 'udp: drop', '--queues', '2'], /faults take one queue/);
  refused(['--seed', '3'], /is the seed of faults, and there are none/);
  t.equal(listed(netns, 'vnet9'), undefined);
});

t.test('run --faults: the same again with the same seed', { skip: cannotRun }, async (t) => {
  const directory = hookDirectory(t);
  const log = path.join(directory, 'faults.jsonl');
  const go = (...args: string[]): { status: number; stdout: string; stderr: string } =>
    cli(['run', '--addr', `${ADDRESS}/24`, '--stats', '/dev/null', ...args, '--', ...PING]);
  const rules = ['--faults', 'icmp from client: loss 50%', '--seed', '4', '--faults-log', log];
  const first = go(...rules);
  const lost = (): number[] =>
    fs
      .readFileSync(log, 'utf8')
      .trim()
      .split('\n')
      .filter(Boolean)
      .map((line) => (JSON.parse(line) as { n: number }).n);
  const before = lost();
  t.same(
    answered(first.stdout),
    [1, 2, 3, 4].filter((number) => !before.includes(number)),
  );
  t.match(first.stderr, /^vnet0 has faults, with the seed 4$/m);
  t.equal(go(...rules).stdout.includes('4 packets transmitted'), true);
  t.same(lost(), before);
  t.match(go('--faults-log', log), { status: 2, stderr: /is the log of faults, and there are none/ });
  t.match(go('--faults', 'icmp from client nth 1: blackhole').stdout, /100% packet loss/);
});
