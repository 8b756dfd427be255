// SPDX-License-Identifier: MIT
/** `vnet-bpf explore`: other results than a fault. */
import t from 'tap';

import { cannotRun, cli, SLOW } from '../../helpers/cli';
import { explore, exploring } from '../../helpers/explore';

t.setTimeout(300_000 * SLOW);

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
