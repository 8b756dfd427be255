// SPDX-License-Identifier: MIT
/** The unit of docs/systemd under systemd itself: started, killed under load, started again by it, stopped. */
import * as fs from 'node:fs';

import t, { type Test } from 'tap';

import { readStats, type Stats } from '../../../src/datapath/stats';
import { attachmentOf, cannotRun, checkAccounting, cli, cliOk, SLOW, type Attached } from '../../helpers/cli';
import { eventually } from '../../helpers/controller';
import { checkReceived, startFlood } from '../../helpers/flood';
import { ok, okIn, quietNetns, run } from '../../helpers/netns';
import { sameAs, snapshot } from '../../helpers/snapshot';
import { withoutArp } from '../../helpers/traffic';

const ADDRESS = '10.77.0.1';
const UNIT = 'vnet-bpf@vnet0';
const KILLS = 2;

t.setTimeout(60_000 * SLOW);

const property = (name: string): string => ok('systemctl', ['show', '--value', '--property', name, UNIT]).trim();
const mainPid = (): number => Number(property('MainPID'));

function configure(t: Test, options: string): void {
  fs.mkdirSync('/etc/vnet-bpf', { recursive: true });
  fs.writeFileSync('/etc/vnet-bpf/vnet0.conf', `OPTIONS="${options}"\n`);
  t.teardown(() => {
    run('systemctl', ['stop', UNIT]);
    run('systemctl', ['reset-failed', UNIT]);
    fs.rmSync('/etc/vnet-bpf', { recursive: true });
  });
}

function nicIn(netns: string): Attached {
  const nic = { netns, iface: 'vnet0' };
  const stats = (): Stats => readStats(attachmentOf(nic));
  const atRest = async (): Promise<Stats> => {
    await eventually(() => stats().queue.packets === 0 && stats().held.now === 0 && stats().state === 'running');
    return stats();
  };
  return { ...nic, stats, atRest };
}

/** Its limits let metrics through. */
async function scraped(t: Test, url: string): Promise<void> {
  const text = await fetch(url, { signal: AbortSignal.timeout(2000 * SLOW) }).then(
    (answer) => answer.text(),
    (error: Error) => error.message,
  );
  t.match(text, /^vnet_bpf_tx_packets_total\{interface="vnet0".*\} \d+$/m, url);
}

t.test('started, killed under load, restarted, stopped', { skip: cannotRun }, async (t) => {
  t.match(fs.readFileSync('/proc/1/comm', 'latin1'), 'systemd', 'the first process is systemd');
  const netns = quietNetns(t);
  const before = snapshot(netns);
  configure(t, `--netns ${netns} --addr ${ADDRESS}/24 --ring-size 1M --metrics 127.0.0.1:9100`);
  ok('systemctl', ['start', UNIT]);
  t.equal(property('ActiveState'), 'active', 'start returns when it is ready');
  const nic = nicIn(netns);
  t.equal(mainPid(), attachmentOf(nic).pid, 'the process that systemd knows is the controller');
  const status = fs.readFileSync(`/proc/${mainPid()}/status`, 'latin1');
  t.match(status, /^Seccomp:\t2$/m, 'its system calls are filtered');
  t.match(status, /^NoNewPrivs:\t1$/m);
  t.equal(property('StatusText'), 'vnet0 loops');
  t.match(okIn(netns, 'ping', ['-c', '2', '-W', '10', ADDRESS]), '2 received', 'it loops');

  await scraped(t, 'http://127.0.0.1:9100/metrics');

  withoutArp(nic, ADDRESS);
  const { sender, receiver } = await startFlood(t, netns, { address: ADDRESS, bytes: 200, flows: 3 });
  const flows = (): Promise<boolean> => {
    const { packets } = nic.stats().rx;
    return eventually(() => nic.stats().rx.packets > packets + 100);
  };
  for (let kill = 1; kill <= KILLS; kill++) {
    t.ok(await flows(), `kill ${kill}: traffic flows`);
    const pid = mainPid();
    process.kill(pid, 'SIGKILL');
    t.ok(
      await eventually(() => mainPid() !== pid && property('ActiveState') === 'active'),
      `kill ${kill}: it is started again, and ready`,
    );
    t.equal(property('NRestarts'), String(kill));
  }
  t.ok(await flows(), 'traffic flows again');
  const sent = await sender.stop();
  const stats = await nic.atRest();
  checkReceived(t, await receiver.stop(), sent.sent);
  checkAccounting(t, nic, stats);
  t.match(cliOk(['log', 'vnet0', '--netns', netns]), new RegExp(`(adopted[^]*){${KILLS}}`), 'each was adopted');

  ok('systemctl', ['stop', UNIT]);
  t.same([property('ActiveState'), property('Result')], ['inactive', 'success'], 'a clean end');
  await sameAs(t, before, 'nothing is left', netns);
});

t.test('vnet-bpf detach ends the unit for good', { skip: cannotRun }, async (t) => {
  const netns = quietNetns(t);
  configure(t, `--netns ${netns} --metrics [::1]:9100`);
  ok('systemctl', ['start', UNIT]);
  await scraped(t, 'http://[::1]:9100/metrics');
  cliOk(['detach', 'vnet0', '--netns', netns]);
  t.ok(await eventually(() => property('ActiveState') === 'inactive'));
  t.same([property('Result'), property('NRestarts')], ['success', '0']);
});

t.test('wrong options are not tried again', { skip: cannotRun }, async (t) => {
  configure(t, '--mtu 5');
  t.not(run('systemctl', ['start', UNIT]).status, 0);
  t.same([property('ActiveState'), property('ExecMainStatus'), property('NRestarts')], ['failed', '2', '0']);
  t.equal(cli(['list', '--json']).stdout, '[]\n', 'nothing was made');
});
