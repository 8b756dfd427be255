// SPDX-License-Identifier: MIT
/**
 * The thread of a hook dies in every way under load. With --on-hook-error drop nothing passes unjudged (N2 of
 * docs/SECURITY.md): frames sent meanwhile wait, and are judged by the next thread. With pass, the log says that frames
 * pass.
 */
import * as fs from 'node:fs';

import t from 'tap';

import { frameAccounting } from '../../../src/datapath/stats';
import { logFile } from '../../../src/state/store';
import { attachedIn, attachmentOf, cannotRun, cli, cliOk, SLOW, type Attached } from '../../helpers/cli';
import { eventually, listed } from '../../helpers/controller';
import { DEATHS, FIREWALL, FirewallTraffic, type Death } from '../../helpers/firewall';
import { hookFile } from '../../helpers/hook-file';
import { delay } from '../../helpers/loop';
import { quietNetns } from '../../helpers/netns';

t.setTimeout(600_000 * SLOW);

const LOAD_MS = 400;
const PER_MS = 5;
const PROBE = 10;

const logOf = (nic: Attached): string => fs.readFileSync(logFile(attachmentOf(nic).id), 'utf8');

async function load(traffic: FirewallTraffic, ms = LOAD_MS): Promise<void> {
  for (const end = Date.now() + ms; Date.now() < end; await delay(1)) {
    traffic.offer(PER_MS);
    traffic.take();
  }
}

t.test('N2: with --on-hook-error drop', { skip: cannotRun }, async (t) => {
  const hook = hookFile(t, 'firewall.mjs', FIREWALL);
  const nic = attachedIn(t, quietNetns(t), ['--hook', hook, '--on-hook-error', 'drop']);
  const traffic = new FirewallTraffic(t, nic);
  let killed = 0;
  for (const death of Object.keys(DEATHS) as Death[]) {
    await t.test(`a hook that ${death}`, async (t) => {
      const errors = nic.stats().hooks.errors;
      const logged = logOf(nic).length;
      await load(traffic);
      traffic.kill(death);
      killed++;
      await load(traffic);
      t.ok(await eventually(() => nic.stats().hooks.errors > errors, 60_000), 'the error is counted');
      traffic.offer(PROBE);
      t.ok(
        await eventually(() => traffic.take() === traffic.sent, 60_000),
        `all ${traffic.sent} allowed datagrams are received, in the end`,
      );
      t.same(
        { forbidden: traffic.forbidden, twice: traffic.twice },
        { forbidden: 0, twice: 0 },
        'none that is forbidden, and none twice',
      );
      if (death !== 'overflows its stack') {
        t.match(logOf(nic).slice(logged), /nothing passes until it has started again/);
        t.ok(await eventually(() => /(?<!until it) has started again\n/.test(logOf(nic).slice(logged))));
      }
      t.equal(listed(nic.netns, nic.iface)?.hookDown, null);
      const { in: entered, out } = frameAccounting(await nic.atRest());
      t.equal(out, entered, 'the accounting balances');
    });
  }
  const { hooks, rx } = await nic.atRest();
  t.equal(rx.packets, traffic.sent);
  t.equal(
    hooks.dropped,
    traffic.forbiddenSent + killed,
    'all that is forbidden is counted as dropped, and what killed the thread',
  );
  t.match(cliOk(['stats', nic.iface, '--netns', nic.netns, '--check']), 'balanced');
});

t.test('N2: a hook whose file cannot be loaded any more', { skip: cannotRun }, async (t) => {
  const hook = hookFile(t, 'firewall.mjs', FIREWALL);
  const nic = attachedIn(t, quietNetns(t), ['--hook', hook, '--on-hook-error', 'drop', '--ring-size', '256K']);
  const where = [nic.iface, '--netns', nic.netns];
  const traffic = new FirewallTraffic(t, nic);
  traffic.offer(PROBE);
  t.ok(await eventually(() => traffic.take() === PROBE));
  fs.writeFileSync(hook, 'throw new Error("not today")');
  traffic.kill('ends its thread');
  t.ok(await eventually(() => /not today/.test(listed(nic.netns, nic.iface)?.hookDown ?? '')), 'list says why');
  t.match(cliOk(['list']), `${hook} (down)`);
  t.match(cliOk(['stats', ...where]), /nothing passes until the hook has started again: .*not today/);
  traffic.offer(1000); // more than the ring takes
  await delay(500);
  t.same({ allowed: traffic.take(), forbidden: traffic.forbidden }, { allowed: PROBE, forbidden: 0 }, 'nothing passes');
  t.not(cli(['hook', ...where, hook]).status, 0, 'another that cannot be loaded changes nothing');
  t.same({ allowed: traffic.take(), forbidden: traffic.forbidden }, { allowed: PROBE, forbidden: 0 });
  fs.writeFileSync(hook, FIREWALL);
  t.ok(await eventually(() => traffic.take() === traffic.sent, 60_000), 'once it can be loaded all is judged');
  cliOk(['hook', ...where, hookFile(t, 'other.mjs', FIREWALL)]);
  t.equal(attachmentOf(nic).onHookError, 'drop', 'another hook decides as the one before');
  t.equal(traffic.forbidden, 0);
  cliOk(['hook', ...where, '--none']);
  traffic.offer(PROBE);
  t.ok(await eventually(() => (traffic.take(), traffic.forbidden === PROBE)), 'only --none lets frames pass unjudged');
  t.match(cliOk(['stats', ...where, '--check']), 'balanced');
});

t.test('with pass the log says that frames pass unjudged', { skip: cannotRun }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ['--hook', hookFile(t, 'firewall.mjs', FIREWALL)]);
  const traffic = new FirewallTraffic(t, nic);
  traffic.kill('ends its thread');
  t.ok(await eventually(() => logOf(nic).includes('the loop goes on without it: all frames pass unjudged')));
  t.ok(await eventually(() => attachmentOf(nic).hook === null));
  traffic.offer(PROBE);
  t.ok(await eventually(() => traffic.take() === PROBE && traffic.forbidden > 0));
});

t.test('N2: the controller is killed', { skip: cannotRun }, async (t) => {
  const hook = hookFile(t, 'firewall.mjs', FIREWALL);
  const nic = attachedIn(t, quietNetns(t), ['--hook', hook, '--on-hook-error', 'drop']);
  const again = ['attach', nic.iface, '--netns', nic.netns, '--daemon'];
  const traffic = new FirewallTraffic(t, nic);
  await load(traffic);
  process.kill(attachmentOf(nic).pid, 'SIGKILL');
  await load(traffic);
  t.ok(await eventually(() => nic.stats().state === 'crashed'));
  traffic.take();
  const before = nic.stats();
  t.ok(before.queue.packets > 0, `${before.queue.packets} frames wait`);
  const plain = cli(again);
  t.equal(plain.status, 1, 'adopting it without a hook is refused');
  t.match(plain.stderr, /with a hook that decides over its frames.*\nhint: attach with --hook .*--replace/);
  const broken = cli([...again, '--hook', hookFile(t, 'broken.mjs', 'throw new Error("no")')]);
  t.equal(broken.status, 1, 'and with one that cannot be loaded');
  const { rx, queue } = nic.stats();
  t.same(
    { rx, packets: queue.packets },
    { rx: before.rx, packets: before.queue.packets },
    'neither has let anything pass',
  );
  t.equal(listed(nic.netns, nic.iface)?.hook, hook, 'list says whose frames wait');
  cliOk([...again, '--hook', hook]);
  t.equal(attachmentOf(nic).onHookError, 'drop', 'what becomes of frames over which it fails stays');
  t.ok(await eventually(() => traffic.take() === traffic.sent, 60_000), 'the next hook judges all');
  t.same({ forbidden: traffic.forbidden, twice: traffic.twice }, { forbidden: 0, twice: 0 });
  t.match(cliOk(['stats', nic.iface, '--netns', nic.netns, '--check']), 'balanced');
});

t.test('with pass the next controller may go on without the hook', { skip: cannotRun }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ['--hook', hookFile(t, 'firewall.mjs', FIREWALL)]);
  process.kill(attachmentOf(nic).pid, 'SIGKILL');
  t.ok(await eventually(() => nic.stats().state === 'crashed'));
  cliOk(['attach', nic.iface, '--netns', nic.netns, '--daemon']);
  const { hook, onHookError } = attachmentOf(nic);
  t.same({ hook, onHookError }, { hook: null, onHookError: 'pass' });
});
