// SPDX-License-Identifier: MIT
/**
 * `vnet-bpf impair` where the kernel need not have netem: what it would do, and what it refuses. matrix-impair.test.ts
 * tests real impairments.
 */
import { spawnSync } from 'node:child_process';

import t from 'tap';

import { attachedIn, attachmentOf, cannotRun, checkAccounting, cli, cliOk, SLOW } from '../../helpers/cli';
import { withoutDummy } from '../../helpers/dummy';
import { quietNetns } from '../../helpers/netns';
import { withoutQdisc } from '../../helpers/qdisc';
import { refused, type Refusal } from '../../helpers/refusal';

t.setTimeout(300_000 * SLOW);

const skip = cannotRun;

t.test('shown, cleared, tried and said, with nothing in place', { skip }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ['--addr', '10.77.0.1/24']);
  const where = ['vnet0', '--netns', nic.netns];
  const end = attachmentOf(nic).peer?.name ?? '';
  t.equal(cliOk(['impair', ...where, '--show']), 'vnet0 is not impaired\n');
  t.same(JSON.parse(cliOk(['impair', ...where, '--show', '--json'])), {
    interface: 'vnet0',
    netns: nic.netns,
    words: null,
    by: null,
    waiting: 0,
    lost: 0,
    duplicated: 0,
  });
  t.equal(cliOk(['impair', ...where, '--clear']), 'vnet0 is not impaired\n', 'there is nothing to take away');
  t.equal(cliOk(['impair', ...where, '--clear', '--dry-run']), '');
  const [line = '', ...more] = cliOk(['impair', ...where, '--dry-run', '3g', 'loss', '5%'])
    .trim()
    .split('\n');
  t.equal(
    line,
    `nsenter --net=/run/vnet-bpf/netns tc qdisc add dev ${end} root netem limit 2524 delay 75ms 15ms loss 5% rate 2000000bit`,
  );
  t.same(more, ['# queue: the poller does it; tc has no such word'], 'one command');
  t.equal(attachmentOf(nic).impairment, null, 'nothing was done');
  // As a user would type it: without netem the command says so, with netem it succeeds.
  const typed = spawnSync('sh', ['-c', line], { encoding: 'utf8' });
  if (withoutQdisc('netem')) t.match(typed.stderr, /qdisc kind is unknown|qdisc not found/i);
  else t.equal(typed.status, 0, typed.stderr);
});

t.test(
  'a kernel without netem: by rules, and what only netem can do is refused',
  { skip: skip || (!withoutQdisc('netem') && 'this kernel has netem') },
  async (t) => {
    const nic = attachedIn(t, quietNetns(t), ['--addr', '10.77.0.1/24']);
    const where = ['vnet0', '--netns', nic.netns];
    const lacking = ['loss 1% ecn', 'loss state 1%', 'slot 1ms', 'delay 5ms 1ms 25%', 'duplicate 1% 50%'];
    await refused(
      t,
      lacking.map((words) => ({
        args: ['impair', ...where, ...words.split(' ')],
        status: 1 as const,
        says: /impair: .*: this kernel has no netem, without which it is not possible/,
        hints: /modprobe sch_netem/,
      })),
    );
    t.equal(attachmentOf(nic).impairment, null);
    t.match(
      cliOk(['impair', ...where, 'delay', '20ms']),
      /^vnet0 is impaired: delay 20ms \(by rules: this kernel has no netem\)$/m,
    );
    t.match(JSON.parse(cliOk(['impair', ...where, '--show', '--json'])), { words: 'delay 20ms', by: 'faults' });
    t.equal((nic.stats() as { impairedBy: unknown }).impairedBy, 'faults');
    await refused(t, [
      {
        args: ['faults', ...where, 'udp: drop'],
        status: 1,
        says: /it has an impairment/,
        hints: /impair vnet0 .*--clear/,
      },
    ]);
    cliOk(['impair', ...where, '--clear']);
    cliOk(['faults', ...where, 'udp: drop']);
    await refused(t, [
      { args: ['impair', ...where, 'loss', '1%'], status: 1, says: /it has faults/, hints: /faults vnet0 .*--clear/ },
    ]);
    t.match(cliOk(['impair', ...where, '--show']), /is not impaired/);
    t.equal(cli(['stats', 'vnet0', '--netns', nic.netns, '--check']).status, 0);
    checkAccounting(t, nic, await nic.atRest());
  },
);

t.test('what cannot be', { skip }, async (t) => {
  const wrong: [string[], RegExp, (1 | 2)?][] = [
    [['impair'], /<iface> is missing/],
    [['impair', 'vnet0'], /give what to do to frames, or --clear, or --show/],
    [['impair', 'vnet0', '--show', '--clear'], /or --clear, or --show/],
    [['impair', 'vnet0', '--clear', 'loss', '1%'], /or --clear, or --show/],
    [['impair', 'vnet0', 'loss', '1%', '--json'], /--json: goes with --show/],
    [['impair', 'vnet0', '--show', '--dry-run'], /--show changes nothing/],
    [['impair', 'vnet0', 'loss', '1'], /loss "1": is a percentage without %/],
    [['impair', 'vnet0', 'delay', '-5ms'], /^vnet-bpf: delay "-5ms": is not a time$/m],
    [['impair', 'vnet0', 'delay', '5ms', '-1ms', '--dry-run'], /delay "-1ms": is not a time/],
    [['impair', 'vnet0', 'loss', '-1%'], /loss "-1%": is not a percentage/],
    [['impair', 'vnet0', '-5ms'], /"-5ms": is not something/],
    [['impair', 'vnet0', '--claer'], /--claer: is not an option of impair/],
    [['impair', 'vnet0', 'loss', '1%', '--netns'], /netns/],
    [['impair', 'a/b', 'loss', '1%'], /"a\/b".*not allowed/],
    [['impair', 'vnet0', '--netns', 'not-there-at-all', 'loss', '1%'], /there is none of that name/, 1],
    [['run', '--impair', 'delay 20', '--', 'true'], /delay "20": is a time without a unit/],
  ];
  await refused(
    t,
    wrong.map(([args, says, status = 2]): Refusal => ({ args, status, says })),
  );
});

t.test('a dummy has no other end', { skip: skip || withoutDummy() }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ['--type', 'dummy']);
  await refused(t, [
    {
      args: ['impair', 'vnet0', '--netns', nic.netns, 'loss', '1%'],
      status: 1,
      says: /is a dummy/,
      hints: /chaos\.ts/,
    },
  ]);
});
