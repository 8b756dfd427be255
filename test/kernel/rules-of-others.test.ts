// SPDX-License-Identifier: MIT
/** Programs that add, remove and flush routing rules while an interface is looped, each in its own way. */
import * as fs from 'node:fs';

import t, { type Test } from 'tap';

import { Answering } from '../helpers/answering';
import { attachedIn, cannotRun, cli, cliOk, MAIN, SLOW, type Attached } from '../helpers/cli';
import { controllerPid, eventually, listed } from '../helpers/controller';
import { LOOP_RULES } from '../helpers/looped-rules';
import { ok, okIn, run, testNetns as bareNetns } from '../helpers/netns';
import { PrivateMachine } from '../helpers/private-machine';

t.setTimeout(300_000 * SLOW);

const LOOPED = ['10.77.0.1', 'fd77::1'] as const;
const FAMILIES = ['-4', '-6'] as const;
const ADDR = ['--addr', '10.77.0.1/24', '--addr', 'fd77::1/64'];

const testNetns = (t: Test): string => {
  const netns = bareNetns(t);
  ok('ip', ['-n', netns, 'link', 'set', 'lo', 'up']);
  return netns;
};
const rules = (netns: string): string => FAMILIES.map((family) => ok('ip', ['-n', netns, family, 'rule'])).join('');
const log = (netns: string): string => cliOk(['log', 'vnet0', '--netns', netns]);
/** Whether a ping is answered. It has passed the loop if the interface receives request and reply. */
const answers = (netns: string, address: string): boolean =>
  /64 bytes/.test(run('ip', ['netns', 'exec', netns, 'ping', '-c', '1', '-W', '1', address]).stdout);

async function loops(nic: Attached, address: string): Promise<boolean> {
  return eventually(() => {
    const before = nic.stats().rx.packets;
    return answers(nic.netns, address) && nic.stats().rx.packets >= before + 2;
  }, 3000);
}

interface Other {
  /** Shell commands, with `ip` for one family. */
  does: string;
  undoes: string;
}

/** Table 51820 has a default route, into which everything disappears. */
const OTHERS: Readonly<Record<string, Other>> = {
  'wg-quick': {
    does: 'ip rule add not fwmark 51820 table 51820; ip rule add table main suppress_prefixlength 0',
    undoes: 'ip rule del table 51820; ip rule del table main suppress_prefixlength 0',
  },
  'ip rule flush': { does: 'ip rule flush; ip rule add pref 32766 table main', undoes: 'true' },
  'NetworkManager, with priorities': {
    does: 'ip rule add pref 100 table 51820 proto static; ip rule add pref 31000 not fwmark 1 table 51820',
    undoes: 'ip rule del pref 100; ip rule del pref 31000',
  },
  'a daemon that adds its rules again and again': {
    does: 'for i in 1 2 3; do ip rule add table 51820 proto zebra; ip rule flush proto zebra; done; ip rule add table 51820 proto zebra',
    undoes: 'ip rule flush proto zebra',
  },
  'somebody who adds the rule for the local table': {
    does: 'ip rule add pref 0 table local proto boot',
    undoes: 'true',
  },
  'somebody who removes the first rule': { does: 'ip rule del pref 0', undoes: 'true' },
};

/** Three of them for each interface: more at once would be a fight. */
for (const names of [Object.keys(OTHERS).slice(0, 3), Object.keys(OTHERS).slice(3)]) {
  t.test(`own addresses always answer, looped ones loop again: ${names.join(', ')}`, { skip: cannotRun }, async (t) => {
    const netns = testNetns(t);
    const ip = (...args: string[]): string => ok('ip', ['-n', netns, ...args]);
    const both = (commands: string): unknown =>
      FAMILIES.map((family) =>
        ok('ip', ['netns', 'exec', netns, 'sh', '-c', commands.replace(/\bip /g, `ip ${family} `)]),
      );
    ip('link', 'add', 'tun9', 'type', 'veth', 'peer', 'name', 'tun9x');
    for (const name of ['tun9', 'tun9x']) ip('link', 'set', name, 'up');
    ip('addr', 'add', '10.9.9.1/24', 'dev', 'tun9');
    ip('addr', 'add', 'fd99::1/64', 'dev', 'tun9', 'nodad');
    both('ip route add default dev tun9 table 51820');
    const nic = attachedIn(t, netns, ADDR);
    const own = await Answering.start(t, netns, ['127.0.0.1', '::1', '10.9.9.1', 'fd99::1']);
    for (const name of names) {
      const { does, undoes } = OTHERS[name] as Other;
      const said = log(netns).length;
      both(does);
      for (const address of LOOPED) t.ok(await loops(nic, address), `${name}: ${address} loops`);
      for (const family of ['IPv4', 'IPv6'])
        t.match(log(netns).slice(said), `routing rules of ${family}`, `the log says what was done about ${family}`);
      both(undoes);
      t.ok(
        await eventually(
          () => FAMILIES.every((family) => /^0:.*suppress_ifgroup.*\n500:.*\n501:/.test(ip(family, 'rule'))),
          3000,
        ),
        'ours are in their place at the end',
      );
    }
    t.same(await own.missed(), [], 'own addresses have answered all the time');
    cliOk(['detach', 'vnet0', '--netns', netns]);
    for (const family of FAMILIES) {
      t.match(
        ip(family, 'rule'),
        /^0:\tfrom all lookup local\n32766:\tfrom all lookup main\n/,
        'the rules are those of a fresh namespace',
      );
      t.notMatch(ip(family, 'rule'), LOOP_RULES, 'without ours');
    }
  });
}

t.test('there is no fight with somebody who always wants to be first', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const nic = attachedIn(t, netns, ADDR);
  t.ok(await loops(nic, '10.77.0.1'));
  ok('ip', ['-n', netns, 'link', 'add', 'tun9', 'type', 'veth', 'peer', 'name', 'tun9x']);
  ok('ip', ['-n', netns, 'link', 'set', 'tun9', 'up']);
  ok('ip', ['-n', netns, 'route', 'add', 'default', 'dev', 'tun9', 'table', '51820']);
  const gaveUp = await eventually(() => {
    ok('ip', ['-n', netns, 'rule', 'add', 'table', '51820']);
    ok('ip', ['-n', netns, 'rule', 'del', 'table', '51820']);
    return /its addresses are not looped any more: somebody keeps changing/.test(log(netns));
  });
  t.ok(gaveUp, 'it gives up, and says so');
  ok('ip', ['-n', netns, 'rule', 'add', 'table', '51820']);
  const before = (await nic.atRest()).rx.packets;
  t.ok(answers(netns, '10.77.0.1'), 'the address answers, at once');
  t.ok(nic.stats().rx.packets < before + 2, 'and not through the loop');
  const said = log(netns).match(/not looped any more/g)?.length;
  t.equal(said, 1, 'one line');
  cliOk(['detach', 'vnet0', '--netns', netns]);
  t.notMatch(rules(netns), LOOP_RULES, 'detach leaves nothing');
});

t.test('the group of links by which the rules go', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const nic = attachedIn(t, netns, ADDR);
  ok('ip', ['-n', netns, 'link', 'set', 'dev', 'vnet0', 'group', '7']);
  t.ok(await loops(nic, '10.77.0.1'), 'it loops again when somebody has changed it');
  t.match(log(netns), /somebody put it into link group 7/, 'and says so');
});

t.test('a rule with no place before it', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const rule = ['-n', netns, 'rule', 'add', 'pref', '1', 'from', '10.1.1.1', 'table', '99'];
  ok('ip', rule);
  const args = ['attach', 'vnet0', '--netns', netns, ...ADDR, '--daemon'];
  const { status, stderr } = cli(args);
  t.equal(status, 1, 'attach refuses');
  t.match(cli([...args, '--dry-run']), { status, stderr }, 'and --dry-run says so');
  t.match(stderr, /^vnet-bpf: routing rules of IPv4: there is no place before the one of priority 1\nhint: [^\n]+\n$/);
  ok('ip', ['-n', netns, 'rule', 'del', 'pref', '1']);
  t.notMatch(rules(netns), LOOP_RULES, 'and leaves nothing');
  const nic = attachedIn(t, netns, ADDR);
  ok('ip', rule);
  t.ok(
    await eventually(() =>
      /not looped any more: there is no place before the routing rule of priority 1/.test(log(netns)),
    ),
    'later, the log says it',
  );
  t.ok(answers(netns, '10.77.0.1'), 'and the address answers');
  const shown = (): string[] | undefined => listed(netns, 'vnet0')?.addresses;
  t.same(shown(), [], 'list does not call an address looped that is not');
  ok('ip', ['-n', netns, 'rule', 'del', 'pref', '1']);
  t.ok(await loops(nic, '10.77.0.1'), 'it loops again when the rule is gone');
  t.same(shown(), LOOPED, 'and list says so');
});

t.test(
  'a command that stands still while it changes something does not stop a loop',
  { skip: cannotRun },
  async (t) => {
    const machine = await PrivateMachine.start(t);
    const loopsNow = (address: string): boolean =>
      machine.run('ping', ['-c', '1', '-W', '1', address]).status === 0 &&
      machine.shell(`ip route get ${address}`).includes('dev vnet0');
    t.equal(machine.cli(['attach', 'vnet0', '--addr', '10.77.0.1/24', '--hairpin', '--daemon']).status, 0);
    const holder = machine.shell(`flock /run/vnet-bpf/lock sleep 60 >/dev/null 2>&1 & echo $!
    while flock -n /run/vnet-bpf/lock true; do :; done`);
    machine.shell('ip addr add 10.78.0.1/24 dev vnet0; ip rule flush; ip rule add pref 32766 table main');
    t.ok(await eventually(() => loopsNow('10.77.0.1'), 5000), 'the rules are there again');
    t.equal(machine.cli(['stats', 'vnet0', '--check']).status, 0, 'the controller answers');
    t.notOk(loopsNow('10.78.0.1'), 'a new address waits');
    t.equal(machine.run('timeout', ['2', process.execPath, MAIN, 'detach', 'vnet0']).status, 124, 'detach waits');
    t.ok(loopsNow('10.77.0.1'), 'and ends nothing before');
    machine.shell(`pkill -P ${holder.trim()}`);
    t.ok(await eventually(() => loopsNow('10.78.0.1'), 5000), 'until the command is gone');
  },
);

t.test('a crash, and then a flush', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  attachedIn(t, netns, ADDR);
  attachedIn(t, netns, ['--addr', '10.78.0.1/24'], 'vnet1');
  process.kill(controllerPid(netns, 'vnet0'), 'SIGKILL');
  process.kill(controllerPid(netns, 'vnet1'), 'SIGKILL');
  for (const family of FAMILIES) ok('ip', ['-n', netns, family, 'rule', 'flush']);
  for (const address of ['127.0.0.1', '::1'])
    t.match(okIn(netns, 'ping', ['-c', '1', '-W', '1', address]), / 1 received/, `${address} answers`);
  ok('ip', ['-n', netns, 'rule', 'add', 'table', 'main']);
  cliOk(['detach', 'vnet1', '--netns', netns]);
  cliOk(['detach', 'vnet0', '--netns', netns]);
  t.equal(
    rules(netns),
    '0:\tfrom all lookup local\n0:\tfrom all lookup main\n0:\tfrom all lookup local\n',
    'after detach all is as after a flush: the local table first',
  );
});

const NETWORKD = '/lib/systemd/systemd-networkd';
const withoutNetworkd = cannotRun || (fs.existsSync(NETWORKD) ? false : `${NETWORKD} is not installed`);

t.test('systemd-networkd, which removes rules that it does not know', { skip: withoutNetworkd }, async (t) => {
  const machine = await PrivateMachine.start(t);
  const network =
    '[Match]\\nName=mgd\\n[Network]\\nAddress=10.5.5.1/24\\n[RoutingPolicyRule]\\nFrom=10.5.5.0/24\\nTable=77\\n';
  machine.shell(`mkdir -p /run/systemd/network; printf '${network}' >/run/systemd/network/50-mgd.network`);
  t.equal(machine.cli(['attach', 'vnet0', ...ADDR, '--daemon']).status, 0);
  machine.shell(`ip rule add pref 30000 to 9.9.9.9 lookup 99
    ip link add mgd type veth peer name far; ip link set far up
    mount --bind /sys /sys; mount -o remount,bind,ro /sys # it waits for no udev where /sys cannot be written
    ${NETWORKD} >/dev/null 2>&1 &`);
  const has = (what: RegExp): Promise<boolean> => eventually(() => what.test(machine.shell('ip rule')));
  t.ok(await has(/from 10.5.5.0\/24 lookup 77/), 'it adds its own rule');
  machine.shell('ip link del mgd; ip link add mgd type veth peer name far; ip link set far up');
  t.ok(await eventually(() => !/lookup 99/.test(machine.shell('ip rule'))), 'it removes one that it does not know');
  t.match(machine.shell('ip rule'), /^0:.*suppress_ifgroup.*\n500:.*\n501:/, 'ours stay');
  t.match(machine.shell('ping -c 1 -W 1 10.77.0.1; ping -c 1 -W 1 127.0.0.1'), /(?:.*1 received[^]*){2}/, 'and work');
});
