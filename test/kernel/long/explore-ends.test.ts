// SPDX-License-Identifier: MIT
/** `vnet-bpf explore`: the bug that takes longest, and other results than a fault. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { cannotRun, cli, SLOW } from '../../helpers/cli';
import { explore, exploring } from '../../helpers/explore';
import { hookDirectory } from '../../helpers/hook-file';
import { toolPath } from '../../helpers/tool-process';

t.setTimeout(300_000 * SLOW);

t.test('a cut of two seconds', { skip: cannotRun }, async (t) => {
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
  t.same(exploring(), [], 'no namespace is left');
});
