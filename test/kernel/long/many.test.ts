// SPDX-License-Identifier: MIT
/** Several interfaces of one process: each loops, each can be detached alone, and a kill is repaired for all. */
import * as fs from 'node:fs';

import t from 'tap';

import type { AttachmentDescription } from '../../../src/cli/list';
import { attachmentOf, cannotRun, cli, cliOk, SLOW } from '../../helpers/cli';
import { eventually, listed, lives } from '../../helpers/controller';
import { ok, okIn, testNetns } from '../../helpers/netns';

t.setTimeout(300_000 * SLOW);

const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `vnet${i}`);
const addressOf = (i: number): string => `10.${100 + i}.0.1`;

/**
 * Memory of a process in KiB that it has written to. RSS would count a ring twice, which the kernel maps twice, and PSS
 * counts more of Node.js itself when other processes of it have ended.
 */
const memory = (pid: number): number =>
  Number(/^Private_Dirty:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]);

t.test('one process, many interfaces', { skip: cannotRun }, async (t) => {
  const count = Number(process.env['VNET_BPF_TEST_INTERFACES'] ?? (SLOW === 1 ? 12 : 4));
  const netns = testNetns(t);
  t.teardown(() => names(count).forEach((name) => cli(['detach', name, '--netns', netns])));
  const RING_KIB = 256;
  const attach = (list: readonly string[]): AttachmentDescription[] =>
    [
      JSON.parse(
        cliOk(['attach', ...list, '--netns', netns, '--hairpin', '--ring-size', `${RING_KIB}K`, '--daemon', '--json']),
      ),
    ].flat() as AttachmentDescription[];

  const [alone] = attach(['single']);
  const base = memory(alone?.pid ?? 0);
  cliOk(['detach', 'single', '--netns', netns]);

  const all = attach(names(count));
  t.same(
    all.map((one) => one.interface),
    names(count),
    'it tells of each',
  );
  const pid = all[0]?.pid ?? 0;
  t.ok(
    all.every((one) => one.pid === pid),
    'one process has them',
  );

  for (let i = 0; i < count; i++) ok('ip', ['-n', netns, 'addr', 'add', `${addressOf(i)}/24`, 'dev', `vnet${i}`]);
  const looped = (): boolean => names(count).every((iface) => attachmentOf({ netns, iface }).hairpin?.addresses.length);
  t.ok(await eventually(looped, 20_000), 'each address that came later is looped');
  for (let i = 0; i < count; i++) {
    const before = attachmentOf({ netns, iface: `vnet${i}` });
    if (!/1 received/.test(okIn(netns, 'ping', ['-c', '1', '-W', String(2 * SLOW), addressOf(i)])))
      t.fail(`${before.iface} does not answer`);
  }
  t.pass('each answers a ping');

  const each = (): number => (memory(pid) - base) / (count - 1);
  // What attaching has left behind is collected only while the process has something to do.
  const isSmall = (): boolean => {
    for (const change of ['add', 'del']) ok('ip', ['-n', netns, 'addr', change, '10.99.0.1/32', 'dev', 'vnet0']);
    return each() <= RING_KIB + 2048;
  };
  t.ok(await eventually(isSmall, 60_000), 'one more costs its ring and 2 MiB at most');
  t.comment(`${base} KiB for one, ${Math.round(each())} KiB for each more`);

  cliOk(['detach', 'vnet1', '--netns', netns]);
  t.notMatch(ok('ip', ['-n', netns, '-br', 'link']), /vnet1@/, 'one is detached');
  t.ok(lives(pid), 'the others go on');
  t.match(okIn(netns, 'ping', ['-c', '1', addressOf(0)]), /1 received/);

  process.kill(pid, 'SIGKILL');
  await eventually(() => listed(netns, 'vnet2')?.state === 'crashed' && listed(netns, 'vnet0')?.state === 'crashed');
  const again = attach(['vnet0', 'vnet2']);
  t.same(
    again.map((one) => one.addresses),
    [[addressOf(0)], [addressOf(2)]],
    'after a kill each is adopted',
  );
  t.match(okIn(netns, 'ping', ['-c', '1', addressOf(2)]), /1 received/);
});

t.test('all of them or none', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  ok('ip', ['-n', netns, 'link', 'add', 'taken', 'type', 'veth', 'peer', 'name', 'other']);
  const { status, stderr } = cli(['attach', 'vnet0', 'vnet1', 'taken', '--netns', netns, '--daemon']);
  t.equal(status, 1);
  t.match(stderr, /^vnet-bpf: interface taken: exists already/);
  t.notMatch(ok('ip', ['-n', netns, '-br', 'link']), /vnet/, 'nothing is left of the others');
});

t.test('a process that does not answer is killed only if it has nothing else', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const [first] = JSON.parse(
    cliOk(['attach', 'vnet0', 'vnet1', '--netns', netns, '--daemon', '--json']),
  ) as AttachmentDescription[];
  const pid = first?.pid ?? 0;
  t.teardown(() => names(2).forEach((name) => cli(['detach', name, '--netns', netns])));
  process.kill(pid, 'SIGSTOP');
  t.teardown(() => lives(pid) && process.kill(pid, 'SIGCONT'));
  const { status, stderr } = cli(['detach', 'vnet0', '--netns', netns]);
  t.equal(status, 1);
  t.match(stderr, new RegExp(`process ${pid} does not answer, and also loops vnet1`));
  process.kill(pid, 'SIGCONT');
  t.ok(
    await eventually(() => !fs.existsSync(`/proc/${pid}`) || cli(['detach', 'vnet1', '--netns', netns]).status === 0),
    'it was only slow',
  );
});
