// SPDX-License-Identifier: MIT
/** While an interface is recorded, the comment of a frame names the rules that did something to it. */
import t from 'tap';

import { virtioNetHeaderOf } from '../../src/capture/comment';
import { attachedIn, cannotRun, cliOk, SLOW } from '../helpers/cli';
import { inside, quietNetns, run } from '../helpers/netns';
import { readRecording, startRecording } from '../helpers/recording';
import { tcpRun } from '../helpers/traffic';

t.setTimeout(120_000 * SLOW);

const ADDRESS = '10.77.0.1';

t.test('each frame has the rules that it met', { skip: cannotRun }, async (t) => {
  const netns = quietNetns(t);
  const nic = attachedIn(t, netns, ['--addr', `${ADDRESS}/24`]);
  const faults = (rules: string): string => cliOk(['faults', 'vnet0', rules, '--netns', netns]);
  const ping = (count: number): void => {
    const [nsenter, ...rest] = inside(netns) as [string, ...string[]];
    run(nsenter, [...rest, ...['ping', '-c', String(count), '-i', '0.1', '-W', String(SLOW), ADDRESS]]);
  };
  faults('icmp from client nth 2: drop; icmp from client nth 3: delay 5ms; icmp from client every 3: duplicate');
  const recording = await startRecording(t, nic);
  ping(4);
  // Others take their place meanwhile, and the same numbers mean other rules.
  faults('icmp from server nth 1: corrupt; tcp from client at-byte 50000: drop; icmp from client nth 2: cut 300ms');
  ping(1);
  const { sent, received } = await tcpRun(t, netns, ADDRESS, 200_000);
  t.equal(received.sha256, sent.sha256);
  ping(3);
  await nic.atRest();
  await recording.end();
  const frames = await readRecording(recording.file);
  const comments = frames.map(({ comment }) =>
    comment.replace(/\d+\.\d{3} ms/g, 'T').replace(/; (partial|virtio).*/, ''),
  );
  t.same(
    comments.slice(0, 8),
    [
      'captured, reinjected after T',
      'captured, reinjected after T',
      'captured, dropped by faults after T; rule 1: icmp from client nth 2: drop',
      'captured, delayed by faults for 5.0 ms after T; rule 2: icmp from client nth 3: delay 5ms; rule 3: icmp from client every 3: duplicate',
      ...Array<string>(4).fill('captured, reinjected after T'),
    ],
    'two requests answered, one lost, one delayed and twice, and what answers it',
  );
  const withRule = comments.filter((comment) => comment.includes('rule 2: tcp from client at-byte 50000: drop'));
  t.equal(withRule.length, 1, 'the segment, or the superpacket of which it is a part');
  t.match(withRule[0], /^captured, (dropped by faults|cut by faults, \d+ pieces reinjected) after T; rule 2: /);
  t.ok(
    comments.includes('captured, changed by faults and reinjected after T; rule 1: icmp from server nth 1: corrupt'),
    'the rules of the second set',
  );
  t.ok(
    comments.filter((comment) =>
      comment.includes('dropped by faults after T; rule 3: icmp from client nth 2: cut 300ms'),
    ).length > 0,
    'frames that meet a silence name the rule that has begun it',
  );
  const original = frames.find(({ comment }) => comment.includes('at-byte 50000'))?.comment ?? '';
  t.not(virtioNetHeaderOf(original), null, 'and replay finds what it needs');
});
