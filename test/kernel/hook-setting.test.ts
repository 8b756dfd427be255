// SPDX-License-Identifier: MIT
/**
 * --on-hook-error is a setting of the interface, which it keeps without a hook. A firewall that loses it would let all
 * frames pass that it fails on. Whoever puts a hook on an interface is told if the hook has not started.
 */
import t, { type Test } from 'tap';

import { attachedIn, attachmentOf, cannotRun, cli, cliOk, SLOW, type Attached } from '../helpers/cli';
import { eventually, listed } from '../helpers/controller';
import { hookFile } from '../helpers/hook-file';
import { testNetns } from '../helpers/netns';
import { RawSocket } from '../helpers/raw-socket';

t.setTimeout(180_000 * SLOW);

const FAILS = "export default () => { throw new Error('not today'); };";
const PASSES = "export default () => 'pass';";
const NEVER_STARTS = "export default { start() { throw new Error('no licence'); }, frame: () => 'pass' };";

const settingOf = (nic: Attached): string | undefined => listed(nic.netns, nic.iface)?.onHookError;

/** Sends a frame; returns whether it came back. */
async function passes(t: Test, nic: Attached): Promise<boolean> {
  const before = nic.stats();
  RawSocket.open(t, nic.netns, nic.iface).send(Buffer.alloc(60, 0xff));
  const dealt = (): number =>
    nic.stats().rx.packets - before.rx.packets + nic.stats().hooks.dropped - before.hooks.dropped;
  t.ok(await eventually(() => dealt() > 0));
  return nic.stats().rx.packets > before.rx.packets;
}

t.test('drop holds whether or not there is a hook', { skip: cannotRun }, async (t) => {
  const nic = attachedIn(t, testNetns(t), ['--on-hook-error', 'drop']);
  const where = [nic.iface, '--netns', nic.netns];
  const [fails, good] = [hookFile(t, 'fails.mjs', FAILS), hookFile(t, 'good.mjs', PASSES)];
  t.equal(settingOf(nic), 'drop', 'as attach was told, without a hook');
  t.equal(await passes(t, nic), true, 'and without a hook all frames pass');

  cliOk(['hook', ...where, fails]);
  t.equal(settingOf(nic), 'drop', 'the first hook finds it');
  t.equal(await passes(t, nic), false, 'a frame on which the hook fails is dropped');

  cliOk(['hook', ...where, '--none']);
  cliOk(['faults', ...where, 'udp port 53: drop']);
  t.equal(settingOf(nic), 'drop', 'faults in between change nothing');
  cliOk(['faults', ...where, '--clear']);
  cliOk(['hook', ...where, good]);
  t.equal(settingOf(nic), 'drop', 'the next hook finds it');

  cliOk(['hook', ...where, '--none', '--on-hook-error', 'pass']);
  t.equal(settingOf(nic), 'pass', '--none with --on-hook-error changes it');
  cliOk(['hook', ...where, fails]);
  t.equal(await passes(t, nic), true, 'for the next hook');

  cliOk(['hook', ...where, '--none', '--on-hook-error', 'drop']);
  process.kill(attachmentOf(nic).pid, 'SIGKILL');
  t.ok(await eventually(() => listed(nic.netns, nic.iface)?.state === 'crashed'));
  t.equal(settingOf(nic), 'drop', 'list shows it after a crash');
  cliOk(['attach', ...where, '--daemon']);
  t.equal(settingOf(nic), 'drop', 'an adoption keeps it');
  cliOk(['hook', ...where, fails]);
  t.equal(await passes(t, nic), false);
});

t.test('a hook whose start fails is announced', { skip: cannotRun }, (t) => {
  const hook = hookFile(t, 'never.mjs', NEVER_STARTS);
  const netns = testNetns(t);
  const attach = cli(['attach', 'vnet0', '--netns', netns, '--daemon', '--hook', hook, '--on-hook-error', 'drop']);
  t.equal(attach.status, 0);
  t.match(attach.stderr, /^vnet-bpf: hook .*never\.mjs:1: Error: no licence; its start failed: all frames are dropped/);
  for (const [setting, why] of [
    ['drop', 'all frames are dropped'],
    ['pass', 'judges the frames all the same'],
    ['detach', 'all frames pass unjudged'],
  ] as const) {
    const { status, stderr } = cli(['hook', 'vnet0', '--netns', netns, hook, '--on-hook-error', setting]);
    t.equal(status, 0);
    t.match(stderr, new RegExp(`^vnet-bpf: hook .*Error: no licence; its start failed.*${why}.*\n$`), setting);
  }
  cliOk(['detach', 'vnet0', '--netns', netns]);
  const run = cli(['run', '--hook', hook, '--', 'true']);
  t.match(run.stderr, /no licence; its start failed/, 'run says so, too');
  t.end();
});
