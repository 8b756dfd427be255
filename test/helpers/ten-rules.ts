// SPDX-License-Identifier: MIT
/**
 * Ten rules on questions to port 53 and on handshakes, whose log has to be the same in each run with a seed, whoever
 * sends: processes of their own (fault-rules.test.ts), or the test, as in guests (fault-engines.test.ts).
 */
export const TEN_RULES: readonly string[] = [
  'udp port 53 from client probability 20%: drop',
  'udp port 53 from server: loss 10%',
  'udp port 53 from client: loss gemodel 5% 50%',
  'udp from server every 9: duplicate',
  'udp from client nth 4: corrupt valid',
  'udp port 53 from client after (from client nth 2) first 1: delay 5ms jitter 3ms',
  'tcp[tcpflags] & tcp-syn != 0 from client nth 1 probability 30%: reset client',
  // Of a lost SYN-ACK both sides remind each other, so only the first has a number that timing does not decide.
  'tcp[tcpflags] & tcp-syn != 0 from server nth 1 probability 20%: drop',
  'udp port 54: drop',
  'arp: drop',
];
