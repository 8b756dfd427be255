// SPDX-License-Identifier: MIT
/** `vnet-bpf explore` on small programs with one bug each: it finds the one fault that shows the bug. */
import t from 'tap';

import { cannotRun, cli, SLOW } from '../../helpers/cli';
import { explore, findsOne } from '../../helpers/explore';
import { namespaces } from '../../helpers/run-command';

t.setTimeout(290_000 * SLOW);

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
