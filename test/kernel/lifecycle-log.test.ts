// SPDX-License-Identifier: MIT
/** Events can be read afterwards: `vnet-bpf log`, the kernel log, `stats --watch`. */
import type { ChildProcess } from 'node:child_process';

import t from 'tap';

import { attachedIn, cannotRun, cli, cliOk, cliStart } from '../helpers/cli';
import { eventually } from '../helpers/controller';
import { kernelLog } from '../helpers/kernel-log';
import { ok, testNetns } from '../helpers/netns';

function outputOf(child: ChildProcess): () => string {
  let output = '';
  child.stdout?.on('data', (data: Buffer) => (output += data.toString()));
  return () => output;
}

t.test('loaded, changed, unloaded: in both logs', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const iface = `v${netns.slice(2)}`; // found again in the kernel log
  const where = [iface, '--netns', netns];
  attachedIn(t, netns, [], iface);
  const follower = cliStart(t, ['log', ...where, '--follow']);
  const followed = outputOf(follower);
  const followerEnds = new Promise<number | null>((resolve) => follower.once('exit', resolve));
  t.ok(await eventually(() => followed().includes('loaded')), 'log --follow begins with what there is');

  ok('ip', ['-n', netns, 'link', 'set', iface, 'down']);
  t.ok(await eventually(() => followed().includes(`${iface} set down`)), 'and goes on with what comes');
  const log = cliOk(['log', ...where])
    .trim()
    .split('\n');
  t.equal(log.length, 2, 'log shows a line for each');
  for (const line of log) t.match(line, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z VNET: /, 'with its time');
  t.match(log[0], new RegExp(`VNET: loaded: ${iface} in namespace ${netns}, ring 8388608 bytes, budget 64`));

  cliOk(['detach', ...where]);
  t.equal(await followerEnds, 0, 'log --follow ends when there is no more to come');
  t.match(followed(), new RegExp(`VNET: unloaded: ${iface}\\n$`), 'after it has shown the last line');
  const kernel = kernelLog().filter((line) => line.includes(iface));
  t.match(kernel[0], new RegExp(`^VNET: loaded: ${iface} `), 'the kernel log has the same: loaded');
  t.match(kernel[1], new RegExp(`^VNET: ${iface} set down$`));
  t.equal(kernel[2], `VNET: unloaded: ${iface}`, 'and unloaded');
  t.equal(cli(['log', ...where]).status, 1, 'there is no log of what is not attached');
});

t.test('stats --watch prints again and again', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  attachedIn(t, netns);
  const watch = cliStart(t, ['stats', 'vnet0', '--netns', netns, '--watch', '0.2']);
  const text = outputOf(watch);
  t.ok(await eventually(() => (text().match(/^vnet0 in /gm) ?? []).length >= 3, 5000), 'three times in a few seconds');
  const ended = new Promise((resolve) => watch.once('exit', resolve));
  watch.kill('SIGINT');
  await ended;

  const json = cliStart(t, ['stats', 'vnet0', '--netns', netns, '--watch', '0.2', '--json']);
  const documents = outputOf(json);
  t.ok(
    await eventually(() => (documents().match(/^\}$/gm) ?? []).length >= 2, 5000),
    'a document each time with --json',
  );
  cliOk(['detach', 'vnet0', '--netns', netns]);
  t.ok(await eventually(() => json.exitCode === 1), 'it ends when the interface is gone');
});
