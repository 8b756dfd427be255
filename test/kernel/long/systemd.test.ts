// SPDX-License-Identifier: MIT
/**
 * The unit of docs/systemd, with the test in the role of systemd: ready, killed under load, adopted, stopped, detached.
 */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';

import t, { type Test } from 'tap';

import { readStats, type Stats } from '../../../src/datapath/stats';
import { attachmentOf, cannotRun, checkAccounting, cli, cliOk, type Attached } from '../../helpers/cli';
import { eventually, listed } from '../../helpers/controller';
import { checkReceived, startFlood } from '../../helpers/flood';
import { hookDirectory } from '../../helpers/hook-file';
import { okIn, quietNetns, run } from '../../helpers/netns';
import { ServiceManager } from '../../helpers/service-manager';
import { sameAs, snapshot } from '../../helpers/snapshot';
import { withoutArp, withoutTools } from '../../helpers/traffic';

const ADDRESS = '10.77.0.1';
const KILLS = 2;
/** The poller is slower than the sender, so there are frames in the ring whenever it is killed. */
const SLOW_POLLER = { VNET_BPF_TEST_POLL_DELAY_US: '1000' };

function service(
  t: Test,
  netns: string,
  notifySocket: string,
  options = `--addr ${ADDRESS}/24 --ring-size 1M`,
  environment: NodeJS.ProcessEnv = {},
): ServiceManager {
  const file = path.join(hookDirectory(t), 'vnet0.conf');
  fs.writeFileSync(file, `# comment\nOPTIONS="--netns ${netns} ${options}"\n`);
  t.teardown(() => cli(['detach', 'vnet0', '--netns', netns]));
  return ServiceManager.create(t, 'vnet0', file, notifySocket, environment);
}

function nicIn(netns: string): Attached {
  const nic = { netns, iface: 'vnet0' };
  const stats = (): Stats => readStats(attachmentOf(nic));
  const atRest = async (): Promise<Stats> => {
    await eventually(() => {
      const { queue, held, state } = stats();
      return queue.packets === 0 && held.now === 0 && state === 'running';
    });
    return stats();
  };
  return { ...nic, stats, atRest };
}

t.test(
  'killed under load it is adopted, and stopped it leaves nothing',
  { skip: cannotRun || withoutTools('setpriv') },
  async (t) => {
    const netns = quietNetns(t);
    const before = snapshot(netns);
    const manager = service(t, netns, path.join(hookDirectory(t), 'notify'), undefined, SLOW_POLLER);
    t.ok(await manager.start(), `READY=1: ${manager.stderr}`);
    const nic = nicIn(netns);
    t.equal(listed(netns, 'vnet0')?.pid, manager.pid, 'the process that systemd knows is the controller');
    t.match(okIn(netns, 'ping', ['-c', '2', ADDRESS]), '2 received', 'when it is ready, it loops');
    withoutArp(nic, ADDRESS);
    const { sender, receiver } = await startFlood(t, netns, { address: ADDRESS, bytes: 200, flows: 3 });
    for (let kill = 1; kill <= KILLS; kill++) {
      const { packets } = nic.stats().rx;
      t.ok(await eventually(() => nic.stats().rx.packets > packets + 1000), `kill ${kill}: traffic flows`);
      manager.kill('SIGKILL');
      const end = await manager.end();
      t.ok(manager.restartsAfter(end), `kill ${kill}: Restart= starts it again`);
      t.ok(await manager.start(), `kill ${kill}: the next one adopts it: ${manager.stderr}`);
    }
    const { packets } = nic.stats().rx;
    t.ok(await eventually(() => nic.stats().rx.packets > packets + 1000), 'traffic flows again');
    const sent = await sender.stop();
    const stats = await nic.atRest();
    checkReceived(t, await receiver.stop(), sent.sent);
    checkAccounting(t, nic, stats);
    t.match(cliOk(['log', 'vnet0', '--netns', netns]), new RegExp(`(adopted[^]*){${KILLS}}`), 'each was adopted');
    manager.kill('SIGTERM');
    const end = await manager.end();
    t.same(end, { code: 0, signal: null }, 'systemctl stop: a clean end');
    t.ok(manager.says('STOPPING=1'), 'it says that it stops');
    t.equal(manager.restartsAfter(end), false, 'and is left alone');
    await sameAs(t, before, 'nothing is left', netns);
  },
);

t.test('vnet-bpf detach ends the unit for good', { skip: cannotRun || withoutTools('setpriv') }, async (t) => {
  const netns = quietNetns(t);
  // An abstract name, as systemd has in containers.
  const manager = service(t, netns, `@vnet-bpf-test-${randomBytes(4).toString('hex')}`);
  t.ok(await manager.start(), `READY=1 on an abstract socket: ${manager.stderr}`);
  t.equal(cliOk(['detach', 'vnet0', '--netns', netns]), 'vnet0 detached\n');
  const end = await manager.end();
  t.same(end, { code: 0, signal: null });
  t.ok(manager.says('STOPPING=1'));
  t.equal(manager.restartsAfter(end), false, 'Restart=on-failure does not start it again');
});

t.test(
  'an interface that is deleted comes back, wrong options do not',
  { skip: cannotRun || withoutTools('setpriv') },
  async (t) => {
    const netns = quietNetns(t);
    const manager = service(t, netns, path.join(hookDirectory(t), 'notify'));
    t.ok(await manager.start(), manager.stderr);
    okIn(netns, 'ip', ['link', 'del', 'vnet0']);
    const end = await manager.end();
    t.same({ end, again: manager.restartsAfter(end) }, { end: { code: 1, signal: null }, again: true });
    const wrong = service(t, netns, path.join(hookDirectory(t), 'notify'), '--mtu 5');
    t.equal(await wrong.start(), false);
    const refused = await wrong.end();
    t.same({ refused, again: wrong.restartsAfter(refused) }, { refused: { code: 2, signal: null }, again: false });
  },
);

t.test('a notify socket that nobody has', { skip: cannotRun }, (t) => {
  const netns = quietNetns(t);
  const { status, stderr } = cli(['attach', 'vnet0', '--netns', netns], { NOTIFY_SOCKET: '/run/nobody-listens' });
  t.equal(status, 1);
  t.match(stderr, /^vnet-bpf: NOTIFY_SOCKET "\/run\/nobody-listens": connect: ENOENT\nhint: .*\n$/);
  t.equal(run('ip', ['-n', netns, 'link', 'show', 'vnet0']).status, 1, 'what was made is removed');
  t.end();
});
