// SPDX-License-Identifier: MIT
/** What waits in the room is charged to its sender, and to nobody whom others depend on: K1 of docs/SECURITY.md. */
import * as fs from 'node:fs';
import * as os from 'node:os';

import t, { type Test } from 'tap';

import { attachedIn, attachmentOf, cannotRun, SLOW, type Attached } from '../helpers/cli';
import { eventually } from '../helpers/controller';
import { onOwnMachine } from '../helpers/machine';
import { ok, okIn, quietNetns, run, testNetns } from '../helpers/netns';
import { OwnUdp } from '../helpers/own-sockets';

t.setTimeout(120_000 * SLOW);

const CPUS = os.availableParallelism();

/** How many of three pings over lo a new namespace answers on each CPU. */
const answered = (): number[] =>
  Array.from({ length: CPUS }, (_, cpu) => {
    const ping = `ip link set lo up; taskset -c ${cpu} ping -q -c 3 -i 0.2 127.0.0.1`;
    const { stdout } = run('unshare', ['--net', '--', 'sh', '-c', ping]);
    return Number(/(\d+) received/.exec(stdout)?.[1] ?? 0);
  });

/** Makes a host beyond another interface, the replies to which go out of vnet0, where they wait. */
function hostBehind(t: Test, { netns, iface }: Attached): string {
  const host = testNetns(t);
  ok('ip', ['-n', netns, 'link', 'add', 'to0', 'type', 'veth', 'peer', 'name', 'host0', 'netns', host]);
  ok('ip', ['-n', netns, 'addr', 'add', '10.79.0.1/24', 'dev', 'to0']);
  ok('ip', ['-n', host, 'addr', 'add', '10.79.0.2/24', 'dev', 'host0']);
  ok('ip', ['-n', netns, 'link', 'set', 'to0', 'up']);
  ok('ip', ['-n', host, 'link', 'set', 'host0', 'up']);
  ok('ip', ['-n', netns, 'route', 'add', '10.79.0.2/32', 'dev', iface]);
  ok('ip', ['-n', netns, 'neigh', 'add', '10.79.0.2', 'lladdr', '02:00:00:00:0e:07', 'dev', iface]);
  return host;
}

t.test('K1: echo replies that wait do not keep the machine from answering others', { skip: cannotRun }, async (t) => {
  const all = Array<number>(CPUS).fill(3);
  t.same(answered(), all, 'before');
  const nic = attachedIn(t, quietNetns(t), ['--addr', '10.77.0.1/24', '--ring-size', '256K']);
  const host = hostBehind(t, nic);
  const udp = new OwnUdp(t, nic.netns, '10.77.0.1', 1000);
  const { pid } = attachmentOf(nic);
  process.kill(pid, 'SIGSTOP');
  try {
    udp.offer(1000);
    for (let cpu = 0; cpu < CPUS; cpu++)
      run('ip', [
        'netns',
        'exec',
        host,
        'taskset',
        '-c',
        String(cpu),
        'ping',
        '-q',
        '-f',
        '-l',
        '500',
        '-c',
        '500',
        '-W',
        '1',
        '-s',
        '1000',
        '10.79.0.1',
      ]);
    t.ok(nic.stats().held.now > 400 * CPUS, 'they wait');
    t.same(answered(), all, 'meanwhile');
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await nic.atRest();
  okIn(nic.netns, 'ping', ['-c', '1', '10.77.0.1']);
});

/** Skbs that the kernel has, as it counts them; 0 if it does not tell. */
const skbs = (): number => {
  const line = /^skbuff_head_cache +(\d+)/m.exec(fs.readFileSync('/proc/slabinfo', 'utf8'));
  return Number(line?.[1] ?? 0);
};

t.test(
  'K1: a container that ends while frames and kicks wait leaves nothing in the kernel',
  { skip: cannotRun },
  async (t) => {
    const before = skbs();
    t.ok(before > 0, 'the kernel tells');
    const { stdout } = onOwnMachine(`
    vnet_bpf attach vnet0 --addr 10.77.0.1/24 --queue-packets 4 --ring-size 256K --daemon >/dev/null
    iperf3 --server --daemon --one-off >/dev/null
    # It returns before it listens.
    until ss --no-header --listening --tcp --numeric 'sport = :5201' | grep -q .; do sleep 0.05; done
    iperf3 --client 10.77.0.1 --udp --bitrate 0 --length 64 --parallel 8 --time 3 >/dev/null || true
    nsenter --net=/run/vnet-bpf/netns tc -s qdisc show | grep -A 2 tbf
    # The controller is killed with this machine.
  `);
    t.match(stdout, /backlog [1-9]\d*b/, 'kicks wait in the room at its end');
    t.ok(await eventually(() => skbs() < before + 2000), `${skbs() - before} more skbs than before`);
  },
);
