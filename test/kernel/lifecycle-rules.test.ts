// SPDX-License-Identifier: MIT
/** Policy routing: put back as it was, and at no moment is the local table out of reach. */
import t from 'tap';

import { Background } from '../helpers/background';
import { attachedIn, cannotRun, cli, cliOk } from '../helpers/cli';
import { eventually } from '../helpers/controller';
import { ok, testNetns } from '../helpers/netns';
import { sameAs, snapshot } from '../helpers/snapshot';

const FAMILIES = ['-4', '-6'] as const;
const MARKER = '31999';

/** A rule that sends everything to the local table, whatever its priority. */
const ASKS_LOCAL = /^\d+:\s+from all lookup local(\s|$)/;

/** Replays the output of `ip monitor rule`; returns the smallest number of such rules at any moment. */
function fewestLocalRules(events: readonly string[]): number {
  let present = 1;
  let fewest = 1;
  for (const event of events) {
    const [deleted, rule] = event.startsWith('Deleted ') ? [true, event.slice('Deleted '.length)] : [false, event];
    if (!ASKS_LOCAL.test(rule)) continue;
    present += deleted ? -1 : 1;
    fewest = Math.min(fewest, present);
  }
  return fewest;
}

t.test('the local table stays reachable while rules move', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const monitors = FAMILIES.map((family) => ({
    family,
    monitor: Background.start(t, netns, 'ip', [family, 'monitor', 'rule']),
  }));
  const mark = (family: string, verb: string): string =>
    ok('ip', ['-n', netns, family, 'rule', verb, 'priority', MARKER, 'lookup', 'main']);
  for (const { family, monitor } of monitors) {
    // It does not report when it begins to listen, so rules are changed until it reports one.
    const hears = await eventually(() => {
      mark(family, 'add');
      mark(family, 'del');
      return monitor.output.includes(MARKER);
    });
    t.ok(hears, `ip ${family} monitor listens`);
  }
  for (let round = 0; round < 2; round++) {
    attachedIn(t, netns, ['--addr', '10.77.0.1/24', '--addr', 'fd77::1/64', '--addr', '10.77.0.2/24']);
    if (round === 1) attachedIn(t, netns, ['--addr', '10.77.0.1/24', '--addr', 'fd77::1/64', '--replace']);
    cliOk(['detach', 'vnet0', '--netns', netns]);
  }
  for (const { family, monitor } of monitors) {
    await eventually(() => (monitor.output.match(/^0:\s+from all lookup local/gm) ?? []).length >= 3, 2000);
    const events = monitor.output.split('\n').map((line) => line.trim());
    t.ok(
      events.filter((event) => ASKS_LOCAL.test(event.replace('Deleted ', ''))).length >= 12,
      `${family}: the monitor saw the moves`,
    );
    t.ok(fewestLocalRules(events) >= 1, `${family}: the local table was reachable all the time`);
  }
});

t.test("the user's own rules are as before, in text and order", { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  for (const family of FAMILIES) {
    for (const rule of [
      'priority 5 fwmark 7 lookup 100',
      'priority 20 iif lo lookup 101',
      'priority 500 from all lookup 102',
    ]) {
      ok('ip', ['-n', netns, family, 'rule', 'add', ...rule.split(' ')]);
    }
  }
  const before = snapshot(netns);
  attachedIn(t, netns, ['--addr', '10.77.0.1/24', '--addr', 'fd77::1/64']);
  cliOk(['detach', 'vnet0', '--netns', netns]);
  await sameAs(t, before, 'rules are as before', netns);
});

t.test('a namespace whose local rule was moved by somebody else', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  ok('ip', ['-n', netns, 'rule', 'add', 'priority', '100', 'from', 'all', 'lookup', 'local']);
  ok('ip', ['-n', netns, 'rule', 'del', 'priority', '0', 'from', 'all', 'lookup', 'local']);
  const before = snapshot(netns);
  const nic = attachedIn(t, netns, ['--addr', '10.77.0.1/24']);
  // The kernel's own IPv6 frames of the first moment are looped, too.
  await nic.atRest();
  t.equal(cli(['stats', 'vnet0', '--netns', netns, '--check']).status, 0, 'it works there');
  cliOk(['detach', 'vnet0', '--netns', netns]);
  await sameAs(t, before, 'rules are as before', netns);
});
