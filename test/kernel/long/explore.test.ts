// SPDX-License-Identifier: MIT
/** `vnet-bpf explore` on small programs with one bug each: it finds the one fault that shows the bug. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t, { type Test } from 'tap';

import { cannotRun, cli, SLOW } from '../../helpers/cli';
import { hookDirectory } from '../../helpers/hook-file';
import type { BugName } from '../../helpers/planted-bugs';
import { namespaces } from '../../helpers/run-command';
import { toolPath } from '../../helpers/tool-process';

t.setTimeout(300_000 * SLOW);

interface Document {
  result: string;
  sentence: string;
  seed: number;
  exitCode: number;
  faults: number;
  rules: string[];
  smallest: boolean;
  confirmed: { failed: number; runs: number };
  without: { failed: number; runs: number };
  explored: number;
  files: { faults: string; recording: string | null } | null;
}

const bugOf = (bug: BugName): string[] => [process.execPath, toolPath('planted-bugs'), bug];

/** Explores one of the programs. */
function explore(t: Test, bug: BugName, rules: string, ...more: string[]): { status: number; document: Document } {
  const repro = path.join(hookDirectory(t), 'repro');
  const start = performance.now();
  const { status, stdout, stderr } = cli([
    'explore',
    ...['--faults', rules, '--addr', '10.77.0.1/24', '--jobs', '2', '--repro', repro, '--json', ...more],
    ...['--', ...bugOf(bug)],
  ]);
  t.comment(`${bug}: ${Math.round((performance.now() - start) / 1000)} s\n${stdout}\n${stderr}`);
  return { status, document: JSON.parse(stdout) as Document };
}

/** The one fault that is left, and that it repeats the failure. */
function findsOne(t: Test, bug: BugName, rules: string, sentence: RegExp, rule: RegExp): void {
  const { status, document } = explore(t, bug, rules);
  t.equal(status, 3);
  t.match(document, { result: 'found', exitCode: 1, faults: 1, smallest: true, without: { failed: 0 } });
  t.match(document.sentence, sentence);
  t.equal(document.rules.length, 1);
  t.match(document.rules[0], rule);
  t.ok(document.confirmed.runs >= 3, 'it was confirmed');
  t.ok(document.confirmed.failed >= document.confirmed.runs * 0.8, 'it fails nearly each time');
  const { faults = '', recording = null } = document.files ?? {};
  const again = cli(['run', '--stats', '/dev/null', '--addr', '10.77.0.1/24', '--faults', faults, '--', ...bugOf(bug)]);
  t.equal(again.status, 1, `run --faults repeats it: ${again.stderr}`);
  t.equal(cli(['run', '--stats', '/dev/null', '--addr', '10.77.0.1/24', '--', ...bugOf(bug)]).status, 0);
  t.ok(recording !== null && fs.statSync(recording).size > 500, 'a failing run was recorded');
}

t.test('a lost SYN-ACK', { skip: cannotRun }, async (t) => {
  findsOne(
    t,
    'syn-ack',
    'tcp port 7001 from server: loss 4% delay 1ms jitter 1ms',
    /^fails when the SYN-ACK of the \d\w\w connection to TCP 7001 is dropped$/,
    /^tcp and host 10.77.0.1 and port 7001 from server connection \d nth 1: drop$/,
  );
});

t.test('a duplicated datagram', { skip: cannotRun }, async (t) => {
  findsOne(
    t,
    'duplicate',
    'udp port 7002: delay 2ms jitter 2ms; udp port 7002 probability 4%: duplicate 3',
    /^fails when the \d+\w\w datagram from the client of the 1st connection to UDP 7002 is duplicated$/,
    /^udp and host 10.77.0.1 and port 7002 from client connection 1 nth \d+: duplicate$/,
  );
});

t.test('a reordering', { skip: cannotRun }, async (t) => {
  findsOne(
    t,
    'reorder',
    'udp port 7003: delay 1ms; udp port 7003 probability 4%: reorder 2; udp port 7003 probability 30%: duplicate',
    /^fails when the \d\w\w datagram from the client of the 1st connection to UDP 7003 is overtaken by the next frame$/,
    /^udp and host 10.77.0.1 and port 7003 from client connection 1 nth \d: reorder 1$/,
  );
});

t.test('a reset at a byte', { skip: cannotRun }, async (t) => {
  findsOne(
    t,
    'reset',
    'tcp port 7004 from server at-byte 1000 probability 30%: reset; tcp port 7004 from server at-byte 30000 probability 30%: reset; tcp port 7004 from client: delay 1ms jitter 1ms',
    /^fails when the segment from the server with byte 30000 of the \d\w\w connection to TCP 7004 is replaced by a TCP reset to the client$/,
    /^tcp and host 10.77.0.1 and port 7004 from server connection \d at-byte 30000: reset client$/,
  );
});

t.test('a program that fails by itself', { skip: cannotRun }, async (t) => {
  const { status, document } = explore(t, 'flaky', 'udp port 7006: loss 5%');
  t.equal(status, 4);
  t.match(document, { result: 'flaky', files: null });
  t.ok(document.without.failed > 0, 'it has failed without faults');
  t.ok(document.without.failed < document.without.runs, 'and not each time');
});

t.test('nothing found, and what is wrong with the arguments', { skip: cannotRun }, async (t) => {
  const { status, document } = explore(t, 'syn-ack', 'tcp port 7001: delay 1ms', '--runs', '4');
  t.equal(status, 0);
  t.match(document, { result: 'nothing', explored: 4, without: { failed: 0 }, sentence: null });
  for (const [args, message] of [
    [['--', 'true'], /--faults is missing/],
    [['--faults', 'udp: drop'], /which command\?/],
    [['--faults', 'udp: dorp', '--', 'true'], /"dorp"/],
    [['--faults', 'udp: drop', '--runs', '0', '--', 'true'], /--runs "0": is not a whole number/],
    [['--faults', 'udp: drop', '--jobs', 'x', '--', 'true'], /--jobs "x": is not a whole number/],
    [['--faults', 'udp: drop', '--timeout', '0', '--', 'true'], /--timeout "0"/],
    [['--faults', 'udp: drop', '--repro', '/nowhere/repro', '--', 'true'], /--repro "\/nowhere\/repro"/],
  ] as const) {
    const refused = cli(['explore', ...args]);
    t.equal(refused.status, 2, args.join(' '));
    t.match(refused.stderr, message);
    t.match(refused.stderr, /\nhint: /);
  }
  t.match(cli(['explore', '--faults', 'udp: drop', '--', '/nowhere/program']), {
    status: 1,
    stderr: /there is none of that name/,
  });
  t.same(
    namespaces().filter((name) => name.startsWith('vnet-explore-')),
    [],
    'no namespace is left',
  );
});
