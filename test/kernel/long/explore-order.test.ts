// SPDX-License-Identifier: MIT
/** `vnet-bpf explore` on small programs with one bug each: it finds the one fault that shows the bug. */
import t from 'tap';

import { cannotRun, SLOW } from '../../helpers/cli';
import { findsOne } from '../../helpers/explore';

t.setTimeout(290_000 * SLOW);

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
