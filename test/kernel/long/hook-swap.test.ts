// SPDX-License-Identifier: MIT
/**
 * Hooks are replaced while frames pass: each frame is seen by one of them, and none is lost. VNET_BPF_TEST_SWAPS=1000
 * for the full run.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t, { type Test } from 'tap';
import { attach, frameAccounting } from 'vnet-bpf';

import { cannotRun, SLOW } from '../../helpers/cli';
import { eventually } from '../../helpers/controller';
import { checkReceived, startFlood } from '../../helpers/flood';
import { hookDirectory } from '../../helpers/hook-file';
import { ok, quietNetns } from '../../helpers/netns';
import { Random } from '../../helpers/random';
import { scaled, withoutArp } from '../../helpers/traffic';

const SWAPS = Number(process.env['VNET_BPF_TEST_SWAPS'] ?? scaled(50));
const ADDRESS = '10.77.0.1';

t.setTimeout((60_000 + SWAPS * 200) * SLOW);

/** Hooks that record how many frames each of their instances has seen. */
function writeHooks(t: Test): { files: string[]; broken: string[]; seen(): number } {
  const directory = hookDirectory(t);
  const record = path.join(directory, 'seen');
  const write = (name: string, source: string): string => {
    fs.writeFileSync(path.join(directory, name), source);
    return path.join(directory, name);
  };
  const count = (superpackets: string): string => `{
    superpackets: '${superpackets}',
    frame() { seen++; },
    stop() { fs.appendFileSync('${record}', seen + '\\n'); },
  }`;
  return {
    files: [
      write('a.cjs', `const fs = require('node:fs'); let seen = 0; module.exports = ${count('segmented')};`),
      write('b.mjs', `import * as fs from 'node:fs'; let seen = 0; export default ${count('whole')};`),
      write(
        'c.ts',
        `import * as fs from 'node:fs';\nimport type { Hook } from 'vnet-bpf/hooks';\nlet seen: number = 0;\nexport default ${count('whole')} satisfies Hook;`,
      ),
      // Its timer does not belong to the context: it outlives the hook, and gets an error that says so.
      write(
        'leaky.cjs',
        `const fs = require('node:fs'); let seen = 0; const hook = ${count('whole')};
        hook.start = (nic) => void setTimeout(() => { nic.inject(new Uint8Array(60)); }, 200); module.exports = hook;`,
      ),
    ],
    broken: [
      write('syntax.cjs', 'module.exports = {'),
      write('throws.mjs', 'throw new Error("not today")'),
      write('empty.cjs', ''),
      write('types.ts', 'export default 5 as number;'),
      path.join(directory, 'missing.js'),
    ],
    seen: () =>
      fs
        .readFileSync(record, 'utf8')
        .trim()
        .split('\n')
        .reduce((sum, line) => sum + Number(line), 0),
  };
}

t.test(`${SWAPS} swaps under a flat-out blocking sender`, { skip: cannotRun }, async (t) => {
  const netns = quietNetns(t);
  const { files, broken, seen } = writeHooks(t);
  const random = Random.announced(t);
  await using nic = await attach('vnet0', { netns, addresses: [`${ADDRESS}/24`], hook: files[0] as string });
  withoutArp({ netns, iface: 'vnet0' }, ADDRESS);
  const errors: string[] = [];
  nic.on('hookError', (text) => errors.push(text));
  const { sender, receiver } = await startFlood(t, netns, { address: ADDRESS, bytes: 200, flows: 3 });
  const wrong: string[] = [];
  let refused = 0;
  const start = performance.now();
  for (let swap = 0; swap < SWAPS; swap++) {
    // One in fifty is TypeScript, which takes time to compile; one in fifty is no hook at all.
    const kind = swap % 50;
    const file =
      kind === 0 ? (files[2] as string) : kind === 25 ? null : random.pick([files[0], files[1], files[3]] as string[]);
    await nic.hook(file);
    if (kind !== 10) continue;
    const bad = random.pick(broken);
    await nic.hook(bad).then(
      () => wrong.push(`${bad} was taken`),
      (error: Error & { code?: string }) =>
        error.code === 'HOOK' && error.message.includes(bad) ? refused++ : wrong.push(`${bad}: ${error.message}`),
    );
  }
  const seconds = (performance.now() - start) / 1000;
  await nic.hook(null);
  const sent = await sender.stop();
  await new Promise((resolve) => setTimeout(resolve, 300 * SLOW));
  const received = await receiver.stop();
  const stats = nic.stats();
  t.comment(
    `${SWAPS} swaps in ${seconds.toFixed(1)} s, ${sent.sent} datagrams meanwhile, ${seen()} seen by hooks, ${stats.held.total} held; ${stats.hooks.errors} late calls of leaked timers`,
  );
  t.same(wrong, []);
  t.equal(refused, Math.ceil((SWAPS - 10) / 50), 'each hook that cannot be loaded was refused');
  checkReceived(t, received, sent.sent);
  t.ok(seen() > 0 && seen() <= sent.sent, 'no frame was seen twice');
  t.equal(stats.hooks.dropped, 0);
  t.ok(
    errors.every((text) => /leaky\.cjs:\d+: .*has been replaced/.test(text)),
    `nothing but leaked timers is complained about: ${errors[0]}`,
  );
  t.equal(stats.queue.packets + stats.held.now, 0, 'nothing is left in the queue');
  t.same({ in: frameAccounting(stats).in }, { in: frameAccounting(stats).out }, 'the frame accounting balances');
});

t.test('a hook that cannot be loaded leaves the old one', { skip: cannotRun }, async (t) => {
  const { files, broken } = writeHooks(t);
  await using nic = await attach('vnet0', {
    netns: quietNetns(t),
    addresses: [`${ADDRESS}/24`],
    hook: files[0] as string,
  });
  for (const bad of broken) await t.rejects(nic.hook(bad), { code: 'HOOK' }, path.basename(bad));
  await t.rejects(
    attach('vnet1', { netns: quietNetns(t), hook: broken[0] as string }),
    { code: 'HOOK' },
    'attach undoes everything',
  );
  await nic.hook(files[1] as string);
});

t.test('a file that others can change is refused', { skip: cannotRun }, async (t) => {
  const { files } = writeHooks(t);
  const [file] = files as [string];
  await using nic = await attach('vnet0', { netns: quietNetns(t) });
  const refused = (why: RegExp): Promise<unknown> =>
    t.rejects(nic.hook(file), { code: 'HOOK', message: why }) as Promise<unknown>;
  fs.chmodSync(file, 0o666);
  await refused(/can be written by others/);
  fs.chmodSync(file, 0o644);
  fs.chmodSync(path.dirname(file), 0o777);
  await refused(/can be written by others/);
  fs.chmodSync(path.dirname(file), 0o1777);
  await refused(/can be written by others/);
  fs.mkdirSync(path.join(path.dirname(file), 'own'), { mode: 0o755 });
  const inside = path.join(path.dirname(file), 'own', path.basename(file));
  fs.copyFileSync(file, inside);
  await t.rejects(
    nic.hook(inside),
    { code: 'HOOK', message: /can be written by others/ },
    "nor is a directory of root's below one like /tmp good enough",
  );
  fs.chmodSync(path.dirname(file), 0o755);
  fs.chownSync(file, 65534, 65534);
  await refused(/does not belong to root/);
  fs.chownSync(file, 0, 0);
  await nic.hook(file);
});

t.test('a hook that never returns is ended with its thread, and the loop goes on', { skip: cannotRun }, async (t) => {
  const file = path.join(hookDirectory(t), 'stuck.cjs');
  fs.writeFileSync(file, 'module.exports = () => { for (;;); };');
  const netns = quietNetns(t);
  await using nic = await attach('vnet0', { netns, addresses: [`${ADDRESS}/24`], hook: file });
  const ping = (): string =>
    ok('nsenter', [`--net=/run/netns/${netns}`, 'sh', '-c', `ping -q -c 3 -i 0.1 -W ${2 * SLOW} ${ADDRESS} || true`]);
  t.match(ping(), '100% packet loss');
  await nic.hook(null);
  t.match(ping(), ' 0% packet loss');
  // A frame is counted as sent when its batch is, which may be after the ping has its answer.
  await eventually(() => frameAccounting(nic.stats()).balanced);
  const stats = nic.stats();
  t.equal(frameAccounting(stats).out, frameAccounting(stats).in, 'the frame accounting balances');
});
