// SPDX-License-Identifier: MIT
/**
 * `vnet-bpf explore` on small programs with one bug each: it finds the one fault that shows the bug. CI has the first
 * two, `make soak` all (VNET_BPF_TEST_ALL_BUGS): each takes fifty runs, and the longest 100 s.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t, { type Test } from 'tap';

import { cannotRun, cli, SLOW } from '../../helpers/cli';
import { findsOne } from '../../helpers/explore';
import { hookDirectory } from '../../helpers/hook-file';
import type { BugName } from '../../helpers/planted-bugs';
import { toolPath } from '../../helpers/tool-process';

const isAll = process.env['VNET_BPF_TEST_ALL_BUGS'] !== undefined;
t.setTimeout((isAll ? 900_000 : 290_000) * SLOW);

interface Planted {
  name: string;
  bug: BugName;
  rules: string;
  sentence: RegExp;
  rule: RegExp;
}

const ALL: readonly Planted[] = [
  {
    name: 'a lost SYN-ACK',
    bug: 'syn-ack',
    rules: 'tcp port 7001 from server: loss 8% delay 1ms jitter 1ms',
    sentence: /^fails when the SYN-ACK of the \d\w\w connection to TCP 7001 is dropped$/,
    rule: /^tcp and host 10.77.0.1 and port 7001 from server connection \d nth 1: drop$/,
  },
  {
    name: 'a reset at a byte',
    bug: 'reset',
    rules:
      'tcp port 7004 from server at-byte 1000 probability 30%: reset; tcp port 7004 from server at-byte 30000 probability 30%: reset; tcp port 7004 from client: delay 1ms jitter 1ms',
    sentence:
      /^fails when the segment from the server with byte 30000 of the \d\w\w connection to TCP 7004 is replaced by a TCP reset to the client$/,
    rule: /^tcp and host 10.77.0.1 and port 7004 from server connection \d at-byte 30000: reset client$/,
  },
  {
    name: 'a duplicated datagram',
    bug: 'duplicate',
    rules: 'udp port 7002: delay 2ms jitter 2ms; udp port 7002 probability 4%: duplicate 3',
    sentence: /^fails when the \d+\w\w datagram from the client of the 1st connection to UDP 7002 is duplicated$/,
    rule: /^udp and host 10.77.0.1 and port 7002 from client connection 1 nth \d+: duplicate$/,
  },
  {
    name: 'a reordering',
    bug: 'reorder',
    rules:
      'udp port 7003: delay 1ms; udp port 7003 probability 4%: reorder 2; udp port 7003 probability 30%: duplicate',
    sentence:
      /^fails when the \d\w\w datagram from the client of the 1st connection to UDP 7003 is overtaken by the next frame$/,
    rule: /^udp and host 10.77.0.1 and port 7003 from client connection 1 nth \d: reorder 1$/,
  },
];
const planted = isAll ? ALL : ALL.slice(0, 2);

for (const { name, bug, rules, sentence, rule } of planted)
  t.test(name, { skip: cannotRun }, async (t) => findsOne(t, bug, rules, sentence, rule));

async function findsCut(t: Test): Promise<void> {
  const repro = path.join(hookDirectory(t), 'repro');
  const start = performance.now();
  const rules = 'udp port 7005 from client probability 4%: cut 2s; udp port 7005: delay 3ms jitter 3ms loss 5%';
  const program = [process.execPath, toolPath('planted-bugs'), 'cut'];
  const { status, stdout, stderr } = cli([
    'explore',
    ...['--faults', rules, '--addr', '10.77.0.1/24', '--jobs', '3', '--repro', repro, '--', ...program],
  ]);
  t.comment(`${Math.round((performance.now() - start) / 1000)} s\n${stdout}\n${stderr}`);
  t.equal(status, 3);
  t.match(
    stdout,
    /^fails when nothing arrives for (1\.5|2) s, from the \d+\w\w datagram from the client of the 1st connection to UDP 7005 on\n/,
  );
  t.match(stdout, /\nexit code 1 in \d+ of \d+ runs with this fault, failures in 0 of \d+ runs without\n/);
  t.match(stdout, /\nagain: vnet-bpf run --addr 10.77.0.1\/24 --faults \S+\/repro.faults.json -- /);
  t.match(stdout, /\n {2}the other side is dead\n$/);
  const again = cli(['run', '--stats', '/dev/null', '--faults', `${repro}.faults.json`, '--', ...program]);
  t.equal(again.status, 1, again.stderr);
  t.ok(fs.existsSync(`${repro}.pcapng`));
}

if (isAll) t.test('a cut of two seconds', { skip: cannotRun }, findsCut);
