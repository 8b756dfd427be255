// SPDX-License-Identifier: MIT
/**
 * Faults on cue, on the kernel's own stack: the frame that is meant is the one, and the same one in each run.
 * VNET_BPF_TEST_RUNS=20 and VNET_BPF_TEST_TRANSFERS=100 for the full run.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t, { type Test } from 'tap';
import { attach, frameAccounting, type Nic } from 'vnet-bpf';

import { ControlClient } from '../../src/control/socket';
import type { FaultsReport } from '../../src/hooks/fault-hook';
import { controlSocket } from '../../src/state/store';
import { attachedIn, attachmentOf, cannotRun, cli, SLOW } from '../helpers/cli';
import { eventually } from '../helpers/controller';
import type { Asked, WorkOptions } from '../helpers/fault-tool';
import { hookDirectory, hookFile } from '../helpers/hook-file';
import { ok, quietNetns } from '../helpers/netns';
import { TEN_RULES } from '../helpers/ten-rules';
import { startTool } from '../helpers/tool-process';
import { tcpRun } from '../helpers/traffic';

t.setTimeout(1_200_000 * SLOW);

const ADDRESS = '10.77.0.1';
/** Runs with the same seed, and transfers of which one byte is lost. */
const RUNS = Number(process.env['VNET_BPF_TEST_RUNS'] ?? 4);
const TRANSFERS = Number(process.env['VNET_BPF_TEST_TRANSFERS'] ?? 8);

async function nicIn(t: Test, netns: string, options: object = {}): Promise<Nic> {
  const nic = await attach('vnet0', { netns, addresses: [`${ADDRESS}/24`], ...options });
  t.teardown(() => nic.detach());
  return nic;
}

const work = (
  t: Test,
  netns: string,
  role: 'dns' | 'handshakes',
  options: Partial<WorkOptions> = {},
): Promise<Asked[]> =>
  startTool<Asked[]>(t, netns, 'fault-tool', role, {
    address: ADDRESS,
    port: 53,
    clients: 1,
    questions: 3,
    timeoutMs: 250 * SLOW,
    tries: 4,
    ...options,
  }).result;

/** The log without what differs between runs. */
const events = async (nic: Nic): Promise<string[]> =>
  (await nic.faultLog())
    .map(({ rule, connection, n, from, frame, effect }) => `${rule} ${connection} ${n} ${from} ${frame}: ${effect}`)
    .sort();

async function balanced(t: Test, nic: Nic): Promise<void> {
  t.ok(
    await eventually(() => frameAccounting(nic.stats()).balanced && nic.stats().hooks.waiting === 0, 5000),
    'the frame accounting balances',
  );
}

t.test('the second question is dropped, and asked again', { skip: cannotRun }, async (t) => {
  const netns = quietNetns(t);
  const nic = await nicIn(t, netns);
  await nic.faults('udp port 53 from client nth 2: drop');
  const asked = await work(t, netns, 'dns', { clients: 3 });
  t.same(
    asked.map(({ tries }) => tries),
    [
      [1, 2, 1],
      [1, 2, 1],
      [1, 2, 1],
    ],
  );
  t.same(
    await events(nic),
    [1, 2, 3].map((number) => `1 udp 10.77.0.1 > 10.77.0.1:53 #${number} 2 client udp 33 bytes: drop`),
  );
  t.equal(nic.stats().hooks.dropped, 3);
  t.same((await nic.faultsReport())?.rules, [
    { id: 1, text: 'udp port 53 from client nth 2: drop', matched: 3, applied: 3 },
  ]);
  await balanced(t, nic);
});

t.test('the segment with a byte is dropped once, however TCP segments', { skip: cannotRun }, async (t) => {
  for (const [mtu, gso] of [
    [1500, 'on'],
    [1500, 'off'],
    [9000, 'on'],
    [9000, 'off'],
  ] as const) {
    const netns = quietNetns(t);
    const nic = await nicIn(t, netns, { mtu });
    if (gso === 'off')
      ok('nsenter', [`--net=/run/netns/${netns}`, '--', 'ethtool', '-K', 'vnet0', 'gso', 'off', 'tso', 'off']);
    for (let run = 1; run <= TRANSFERS / 4; run++) {
      await nic.faults('tcp from client at-byte 100000: drop');
      const { sent, received } = await tcpRun(t, netns, ADDRESS, 300_000);
      t.equal(received.sha256, sent.sha256, 'all arrives');
      const log = await nic.faultLog();
      const [, bytes, at] = /(\d+) bytes at (\d+)$/.exec(log[0]?.frame ?? '') ?? [];
      t.equal(log.length, 1);
      t.ok(Number(at) <= 100_000 && Number(at) + Number(bytes) > 100_000, `mtu ${mtu}, gso ${gso}: ${log[0]?.frame}`);
      t.ok(Number(bytes) <= mtu - 40, 'a frame as a wire carries it');
    }
    await balanced(t, nic);
  }
});

t.test('a delay is as long as asked for, and only what is meant is delayed', { skip: cannotRun }, async (t) => {
  const netns = quietNetns(t);
  const nic = await nicIn(t, netns);
  await nic.faults('udp port 53: delay 30ms');
  const [asked] = await work(t, netns, 'dns', { questions: 20, timeoutMs: 2000 * SLOW });
  const times = [...(asked?.ms ?? [])].sort((a, b) => a - b);
  t.ok((times[0] ?? 0) >= 60, `a question and its answer take 30 ms each: ${times[0]} at least`);
  t.ok((times[10] ?? Infinity) < 75 * SLOW, `median ${times[10]}`);
  const [other] = await work(t, netns, 'dns', { port: 54, questions: 20, timeoutMs: 2000 * SLOW });
  t.ok(([...(other?.ms ?? [])].sort((a, b) => a - b)[10] ?? Infinity) < 20 * SLOW);
  await balanced(t, nic);
  t.equal(nic.stats().hooks.delayed, 40);
});

t.test('the same seed does the same, another one does not: eight clients at once', { skip: cannotRun }, async (t) => {
  const netns = quietNetns(t);
  const nic = await nicIn(t, netns);
  const rules = TEN_RULES.join('; ');
  const run = async (seed: number): Promise<string[]> => {
    await nic.faults(rules, { seed });
    // Nobody asks twice: on a slow machine a client might do so although nothing was lost.
    await work(t, netns, 'dns', { clients: 8, questions: 12, timeoutMs: 150 * SLOW, tries: 1 });
    await work(t, netns, 'handshakes', { port: 80, clients: 8, questions: 2, timeoutMs: 10_000 * SLOW });
    return events(nic);
  };
  const first = await run(7);
  t.ok(first.length > 30, `${first.length} faults`);
  for (let again = 1; again < RUNS; again++) t.same(await run(7), first);
  t.notSame(await run(8), first);
  await balanced(t, nic);
});

t.test(
  'wrong rules change nothing; a hook and faults exclude each other; none are left',
  { skip: cannotRun },
  async (t) => {
    const netns = quietNetns(t);
    const nic = await nicIn(t, netns);
    await nic.faults('udp port 53 from client nth 1: drop');
    await t.rejects(nic.faults('udp porty 53: drop'), {
      code: 'USAGE',
      message: /filter "udp porty 53".*syntax error/,
    });
    await t.rejects(nic.faults('udp port 53: dorp'), { code: 'USAGE', message: /"dorp" \(character 14\)/ });
    await t.rejects(nic.faults('udp: reset'), { code: 'USAGE', message: /can never take effect/ });
    await t.rejects(nic.hook(hookFile(t, 'h.mjs', `export default () => 'pass';`)), {
      code: 'STATE',
      message: /it has faults/,
      hint: /faults vnet0 --netns \w+ --clear/,
    });
    t.same(
      (await work(t, netns, 'dns')).map(({ tries }) => tries),
      [[2, 1, 1]],
    );
    await nic.faults(null);
    await nic.faults(null);
    t.equal(await nic.faultsReport(), null);
    t.same(
      (await work(t, netns, 'dns')).map(({ tries }) => tries),
      [[1, 1, 1]],
    );
    await nic.hook(hookFile(t, 'h.mjs', `export default () => 'pass';`));
    await t.rejects(nic.faults('udp: drop'), {
      code: 'STATE',
      message: /it has hook .*h\.mjs/,
      hint: /hook vnet0 --netns \w+ --none/,
    });
  },
);

t.test('rules of a module, with functions and types', { skip: cannotRun }, async (t) => {
  const netns = quietNetns(t);
  const nic = await nicIn(t, netns);
  const file = hookFile(
    t,
    'rules.ts',
    `import type { Frame } from 'vnet-bpf/hooks';
    export default { seed: 3, rules: [{ match: { test: (frame: Frame) => frame.udp?.payload.length === 33, nth: [3] }, effects: 'drop' }] };`,
  );
  await nic.faults(file);
  t.same(
    (await work(t, netns, 'dns')).map(({ tries }) => tries),
    [[1, 1, 2]],
  );
  t.equal((await nic.faultsReport())?.seed, 3);
  const throws = hookFile(
    t,
    'throws.mjs',
    `export default [{ match: { filter: 'udp', test: () => { throw new Error('not today'); } }, effects: 'drop' }];`,
  );
  const errors: string[] = [];
  nic.on('hookError', (text) => errors.push(text));
  await nic.faults(throws);
  t.same(
    (await work(t, netns, 'dns', { questions: 1, tries: 1 })).map(({ tries }) => tries),
    [[0]],
    'a frame that cannot be judged is dropped',
  );
  t.ok(await eventually(() => errors.some((text) => text.includes(`${throws}:1: Error: not today`))), errors.join());
  const directory = hookDirectory(t);
  for (const name of ['rules.mjs', 'rules.json', 'rules.txt'])
    fs.writeFileSync(
      path.join(directory, name),
      name.endsWith('.mjs') ? `export default 'udp: drop';` : name.endsWith('.json') ? '["udp: drop"]' : 'udp: drop',
      { mode: 0o666 },
    );
  for (const name of fs.readdirSync(directory)) {
    fs.chmodSync(path.join(directory, name), 0o666);
    await t.rejects(
      nic.faults(path.join(directory, name)),
      { code: 'HOOK', message: /can be written by others/ },
      name,
    );
    fs.chmodSync(path.join(directory, name), 0o644);
    await nic.faults(path.join(directory, name));
    t.equal((await nic.faultsReport())?.rules[0]?.text, 'udp: drop', name);
  }
});

t.test('rules survive a crash, and the accounting does', { skip: cannotRun }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ['--addr', `${ADDRESS}/24`]);
  const ask = async (order: { order: string; [name: string]: unknown }): Promise<unknown> => {
    using client = await ControlClient.connect(controlSocket(attachmentOf(nic).id));
    return await client.ask(order, 60_000);
  };
  const rules = [
    { id: 5, match: { filter: 'udp port 53', from: 'client', nth: [2] }, effects: [{ kind: 'drop' }] },
    { id: 6, match: { filter: 'udp port 54' }, effects: [{ kind: 'delay', ms: 60_000 }] },
  ];
  await ask({ order: 'faults', document: JSON.stringify({ seed: 9, rules }), file: null, seed: null });
  await work(t, nic.netns, 'dns', { port: 54, questions: 1, tries: 3, timeoutMs: 50 });
  t.equal(nic.stats().hooks.waiting, 3);
  process.kill(attachmentOf(nic).pid, 'SIGKILL');
  t.ok(await eventually(() => nic.stats().state === 'crashed'));
  t.equal(cli(['attach', nic.iface, '--netns', nic.netns, '--addr', `${ADDRESS}/24`, '--daemon']).status, 0);
  const report = (await ask({ order: 'faults-report' })) as FaultsReport;
  t.same(
    [report.seed, report.rules.map(({ id, text }) => `${id} ${text}`)],
    [9, ['5 udp port 53 from client nth 2: drop', '6 udp port 54: delay 60s']],
  );
  t.same(
    (await work(t, nic.netns, 'dns')).map(({ tries }) => tries),
    [[1, 2, 1]],
  );
  const stats = await nic.atRest();
  t.match(stats.hooks, { waiting: 0, lost: 3, dropped: 1 });
  t.ok(frameAccounting(stats).balanced);
  await t.rejects(ask({ order: 'faults', document: '{"rules":[{"effects":[]}]}', file: null, seed: null }), {
    code: 'USAGE',
  });
  await t.rejects(ask({ order: 'faults', document: 'x', file: null, seed: null }), { code: 'USAGE' });
  await t.rejects(ask({ order: 'faults', document: null, file: 'relative.ts', seed: null }), { code: 'USAGE' });
  await ask({ order: 'faults', document: null, file: null, seed: null });
  t.equal(await ask({ order: 'faults-report' }), null);
});
