// SPDX-License-Identifier: MIT
/** Everything that a hook can do, once on each back end, on any kernel. */
import t from 'tap';

import { attachedIn, cannotRun, cliOk, SLOW } from '../../helpers/cli';
import { withoutDummy } from '../../helpers/dummy';
import { hookFile } from '../../helpers/hook-file';
import { okIn, quietNetns, run } from '../../helpers/netns';

t.setTimeout(300_000 * SLOW);

/** Answers at 10.77.0.2, drops every third ping of 10.77.0.1, hands the others back as bytes, and has a timer. */
const SOURCE = `import { askedAddress, echoReply, neighbourReply } from 'vnet-bpf/hooks';
const THERE = '10.77.0.2';
export default {
  frame(frame, nic) {
    const answer = askedAddress(frame) === THERE ? neighbourReply(frame, '02:00:00:00:00:02') : frame.ip?.destination === THERE ? echoReply(frame) : null;
    if (answer) {
      nic.after(1, () => nic.inject(answer));
      return 'drop';
    }
    if (frame.icmp?.type !== 8) return 'pass';
    return frame.icmp.sequence % 3 === 0 ? 'drop' : frame.bytes;
  },
};`;

for (const type of ['veth', 'dummy'] as const) {
  t.test(type, { skip: type === 'dummy' ? withoutDummy() : cannotRun }, async (t) => {
    const netns = quietNetns(t);
    const nic = attachedIn(t, netns, [
      '--type',
      type,
      '--addr',
      '10.77.0.1/24',
      '--hook',
      hookFile(t, 'once.mjs', SOURCE),
    ]);
    const ping = (address: string): string =>
      run('nsenter', [
        `--net=/run/netns/${netns}`,
        '--',
        'ping',
        '-q',
        '-c',
        '6',
        '-i',
        '0.2',
        '-W',
        String(2 * SLOW),
        address,
      ]).stdout;
    t.match(ping('10.77.0.2'), ' 0% packet loss', 'an address that exists only in the hook answers');
    t.match(ping('10.77.0.1'), '6 packets transmitted, 4 received', 'two of six are dropped');
    cliOk(['hook', nic.iface, '--netns', netns, '--none']);
    t.match(ping('10.77.0.1'), ' 0% packet loss', 'without the hook none is');
    const stats = await nic.atRest();
    t.ok(stats.hooks.injected >= 6, `${stats.hooks.injected} injected: six pings, and a neighbour where there is ARP`);
    t.ok(stats.hooks.dropped >= 8, `${stats.hooks.dropped} dropped: their questions, and two pings`);
    t.equal(stats.hooks.errors, 0);
    t.match(cliOk(['stats', nic.iface, '--netns', netns, '--check']), 'balanced', 'the frame accounting balances');
    okIn(netns, 'ip', ['link', 'show', nic.iface]);
  });
}
