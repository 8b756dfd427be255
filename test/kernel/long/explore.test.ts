// SPDX-License-Identifier: MIT
/** `vnet-bpf explore` on small programs with one bug each: it finds the one fault that shows the bug. */
import t from 'tap';

import { cannotRun, SLOW } from '../../helpers/cli';
import { findsOne } from '../../helpers/explore';

t.setTimeout(290_000 * SLOW);

t.test('a lost SYN-ACK', { skip: cannotRun }, async (t) => {
  findsOne(
    t,
    'syn-ack',
    'tcp port 7001 from server: loss 8% delay 1ms jitter 1ms',
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
