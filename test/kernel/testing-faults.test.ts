// SPDX-License-Identifier: MIT
/** Faults in tests: a Lab with faults, cuts, a carrier, hooks that are functions, and seeds that repeat a failure. */
import { spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';

import t, { type Test } from 'tap';
import { attach, VnetError } from 'vnet-bpf';
import { ethernet, type Frame, ipv4, udp, type HookContext } from 'vnet-bpf/hooks';
import { cannotRun, Lab } from 'vnet-bpf/testing';

import { frameAccounting } from '../../src/datapath/stats';
import { ROOT, SLOW } from '../helpers/cli';
import { eventually } from '../helpers/controller';
import { withoutDummy } from '../helpers/dummy';
import { quietNetns } from '../helpers/netns';

t.setTimeout(240_000 * SLOW);

const skip = cannotRun();
const within = 1000 * SLOW;
const LINK = { source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' };
const IP = { source: '10.77.0.8', destination: '10.77.0.9' };
const datagram = (port: number, text = ''): Uint8Array =>
  ethernet(LINK, ipv4(IP, udp({ sourcePort: 9, destinationPort: port }, Buffer.from(text))));
const to = (destinationPort: number): object => ({ udp: { destinationPort } });

const ADDRESS = '10.77.0.1';
const pings = (lab: Lab, count = 3): Promise<number[]> =>
  lab
    .run('ping', ['-c', String(count), '-i', '0.1', '-W', String(SLOW), ADDRESS])
    .catch((error: VnetError) => error.message)
    .then((text) => [...text.matchAll(/icmp_seq=(\d+) ttl/g)].map(([, number]) => Number(number)));

async function balances(t: Test, lab: Lab): Promise<void> {
  t.ok(await eventually(() => frameAccounting(lab.nic.stats()).balanced, 5000), 'the frame accounting balances');
}

t.test('faults and their log', { skip }, async (t) => {
  await using lab = await Lab.create();
  t.equal(lab.seed, null);
  await lab.faults([{ match: { filter: 'udp', nth: [2] }, effects: 'drop' }], { seed: 7 });
  t.equal(lab.seed, 7);
  for (const text of ['a', 'b', 'c']) lab.send(datagram(1, text));
  await lab.expect({ udp: { payload: Buffer.from('c') } }, { within });
  await lab.expectNone({ udp: { payload: Buffer.from('b') } });
  t.match(await lab.faultLog(), [{ rule: 1, n: 2, effect: 'drop', frame: 'udp 1 byte' }]);
  const error = (await lab.expect(to(2), { within: 20 }).catch((reason: unknown) => reason)) as VnetError;
  t.match(
    error.message,
    /did not come within 20 ms\n[^]*\nthe faults have the seed 7; VNET_BPF_SEED=7 .* repeats them$/,
  );
  t.equal(error.code, 'EXPECTATION');
  await t.rejects(lab.expectNone(to(1)), /\nthe faults have the seed 7;/);
  await t.rejects(lab.run('false', []), /^false : exit status 1\nthe faults have the seed 7;/);
  t.throws(() => lab.run('false'), /\nthe faults have the seed 7;/);
  await t.rejects(lab.faults('udp: dorp'), { code: 'USAGE' });
  t.equal(lab.seed, 7, 'what is in place stays');
  await t.rejects(
    lab.faults([{ match: { test: (frame) => frame.udp !== null }, effects: 'drop' }]),
    /rules\[0\]\.match\.test: is a function, which only a file/,
  );
  await lab.faults(null);
  t.equal(lab.seed, null);
  const without = (await lab.expect(to(2), { within: 20 }).catch((reason: unknown) => reason)) as VnetError;
  t.notMatch(without.message, 'seed');

  await lab.faults('udp: loss 50%', { seed: 'random' });
  const first = lab.seed;
  await lab.faults('udp: loss 50%', { seed: 'random' });
  t.not(lab.seed, first, 'another one each time');
  process.env['VNET_BPF_SEED'] = '123';
  t.teardown(() => delete process.env['VNET_BPF_SEED']);
  for (const seed of [7, 'random', undefined] as const) {
    await lab.faults('udp: drop', seed === undefined ? {} : { seed });
    t.equal(lab.seed, 123, 'the variable comes first');
  }
  process.env['VNET_BPF_SEED'] = 'x';
  await t.rejects(lab.faults('udp: drop'), { code: 'USAGE', message: /^VNET_BPF_SEED=x: / });
  delete process.env['VNET_BPF_SEED'];
  await using other = await Lab.create({ faults: 'udp nth 1: drop', seed: 9 });
  t.equal(other.seed, 9);
  await t.rejects(Lab.create({ seed: 9 }), { code: 'USAGE' });
});

t.test('a cut, and a carrier', { skip }, async (t) => {
  await using lab = await Lab.create({ addresses: [`${ADDRESS}/24`] });
  const begin = performance.now();
  await lab.cut(1000);
  lab.send(datagram(1));
  await lab.expectNone(to(1));
  t.ok(performance.now() - begin < 1000 || lab.nic.stats().hooks.dropped === 1, 'it begins at once');
  await new Promise((resolve) => setTimeout(resolve, 1000));
  lab.send(datagram(2));
  await lab.expect(to(2), { within });
  t.equal(lab.nic.stats().hooks.dropped, 1);
  await lab.faults('icmp from client nth 1: drop');
  t.same(await pings(lab), [2, 3]);
  await lab.cut(300);
  t.same(await pings(lab, 1), [], 'with faults, too');
  await new Promise((resolve) => setTimeout(resolve, 300));

  await lab.carrier('down', { forMs: 300 });
  t.match(await lab.run('ip', ['link', 'show', 'vnet0']), 'NO-CARRIER');
  await new Promise((resolve) => setTimeout(resolve, 500 * SLOW));
  t.notMatch(await lab.run('ip', ['link', 'show', 'vnet0']), 'NO-CARRIER');
  await lab.carrier('down');
  await lab.carrier('up');
  await lab.faults(null);
  t.same(await pings(lab), [1, 2, 3]);
  for (const [wrong, message] of [
    [lab.cut(-1), /cut -1: is not a time/],
    [lab.cut(Number.NaN), /cut NaN: is not a time/],
    [lab.carrier('sideways' as never), /direction "sideways": is not one of down, up/],
    [lab.carrier('up', { forMs: 1 }), /forMs: goes with down/],
    [lab.carrier('down', { forMs: 1e9 }), /forMs 1000000000: is not a time/],
  ] as const)
    await t.rejects(wrong, { code: 'USAGE', message });
  await balances(t, lab);
});

t.test('a dummy has no carrier', { skip: skip || withoutDummy() }, async (t) => {
  await using dummy = await Lab.create({ type: 'dummy' });
  await t.rejects(dummy.carrier('down'), { code: 'UNSUPPORTED' });
});

t.test('programs run beside the test', { skip }, async (t) => {
  await using lab = await Lab.create({ addresses: [`${ADDRESS}/24`] });
  let ticks = 0;
  const timer = setInterval(() => ticks++, 10);
  t.equal(
    await lab.run('sh', ['-c', 'sleep 0.3; cat; echo "$WORD"'], { input: 'in ', env: { WORD: 'out' } }),
    'in out\n',
  );
  clearInterval(timer);
  t.ok(ticks > 5, `the test goes on meanwhile: ${ticks} ticks`);
  t.match(await lab.run('ip', ['-br', 'link']), /vnet0/, 'in the namespace');
  t.match(lab.run('ip', '-br', 'link'), /vnet0/, 'and without a list it returns the output itself');
  await t.rejects(lab.run('sh', ['-c', 'echo sorry >&2; exit 3']), { code: 'COMMAND_FAILED', message: /: sorry$/ });
  await t.rejects(lab.run('no-such-program', []), { code: 'COMMAND_FAILED', message: /is not installed/ });
  const begin = performance.now();
  await t.rejects(lab.run('sh', ['-c', 'echo half; sleep 60 & wait'], { timeoutMs: 200 }), {
    code: 'COMMAND_FAILED',
    message: /has not ended within 200 ms; half$/,
  });
  t.ok(performance.now() - begin < 10_000 * SLOW, 'what it has started is ended with it');
  const abort = new AbortController();
  setTimeout(() => abort.abort(), 100);
  await t.rejects(lab.run('sleep', ['60'], { signal: abort.signal }), { message: /was aborted/ });
});

t.test('hooks that are functions', { skip }, async (t) => {
  const seen: string[] = [];
  await using lab = await Lab.create({
    addresses: [`${ADDRESS}/24`],
    hook: (frame: Frame) => {
      if (frame.icmp) seen.push(`${frame.icmp.type} ${frame.ipv4?.source}`);
      return frame.icmp?.type === 8 && seen.length === 1 ? 'drop' : 'pass';
    },
  });
  t.same(await pings(lab), [2, 3]);
  t.equal(seen.length, 5, 'three requests and two answers');
  t.throws(() => lab.run('true'), { code: 'USAGE', message: /blocks this thread, in which the hook is called/ });

  let context: HookContext | null = null;
  let stopped = 0;
  await lab.hook({
    name: 'mine',
    start(nic) {
      context = nic;
      nic.after(20, () => nic.inject(datagram(77)));
    },
    stop: () => void stopped++,
    frame(frame, nic) {
      if (frame.udp?.destinationPort === 1) {
        nic.inject(datagram(2));
        return undefined;
      }
      if (frame.udp?.destinationPort === 3) return { delay: 5, frame: datagram(4) };
      if (frame.udp?.destinationPort === 5) throw new TypeError('on purpose');
      return frame.udp?.destinationPort === 6 ? (Promise.resolve() as never) : datagram(9);
    },
  });
  await lab.expect(to(77), { within });
  for (const port of [1, 3, 5, 6, 7]) lab.send(datagram(port));
  for (const port of [1, 2, 4, 5, 6, 9]) await lab.expect(to(port), { within });
  t.equal(lab.nic.stats().hooks.errors, 2);
  t.match(context, { interface: 'vnet0', mac: /^[0-9a-f:]{17}$/ });
  const errors: string[] = [];
  lab.nic.on('hookError', (text) => errors.push(text));
  await lab.hook(() => {
    throw new Error('always');
  }, 'drop');
  t.equal(stopped, 1);
  lab.send(datagram(8));
  await lab.expectNone(to(8));
  const place = /testing-faults\.test\.[jt]s:\d+: Error: always; the frame is dropped/;
  t.ok(
    await eventually(() => errors.some((text) => place.test(text))),
    `the place is that in the test: ${errors.join()}`,
  );
  await lab.hook(null);
  lab.send(datagram(8));
  await lab.expect(to(8), { within });
  await t.rejects(lab.hook({ frame: 7 } as never), { code: 'HOOK', message: /a function of the program: has a frame/ });
  t.match(lab.run('ip', '-br', 'link'), /vnet0/, 'without a function it may block again');
  await balances(t, lab);
});

t.test('a hook of a program, under load, and one that does not answer', { skip }, async (t) => {
  const netns = quietNetns(t);
  await using nic = await attach('vnet0', { netns, addresses: [`${ADDRESS}/24`] });
  let frames = 0;
  await nic.hook((frame) => {
    frames++;
    return frame.icmp?.type === 8 && frame.icmp.sequence % 10 === 0 ? 'drop' : 'pass';
  });
  const flood = spawnAsync(['nsenter', `--net=/run/netns/${netns}`, '--', 'ping', '-q', '-f', '-c', '2000', ADDRESS]);
  const output = await flood;
  t.match(output, /2000 packets transmitted, 1800 received/);
  t.equal(frames, 3800);
  t.equal(nic.stats().hooks.errors, 0);
  const errors: string[] = [];
  nic.on('hookError', (text) => errors.push(text));
  // Blocks the very thread that has to answer.
  spawnSync('nsenter', [`--net=/run/netns/${netns}`, '--', 'ping', '-c', '1', '-W', '7', ADDRESS]);
  t.ok(await eventually(() => errors.length > 0));
  t.match(errors[0], /the program has not answered for 5 s: nothing may block the thread of the hook/);
  await nic.hook(null);
  t.ok(await eventually(() => frameAccounting(nic.stats()).balanced, 5000));
});

function spawnAsync([program = '', ...args]: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    let output = '';
    child.stdout.on('data', (data: Buffer) => (output += data.toString()));
    child.once('close', () => resolve(output));
  });
}

t.test('a process that fails says how to repeat its faults', { skip }, async (t) => {
  const directory = t.testdir({});
  const file = path.join(directory, 'fails.test.mjs');
  fs.writeFileSync(
    file,
    `import assert from 'node:assert/strict';
    import { test } from 'node:test';
    import { Lab } from '${path.join(ROOT, 'dist', 'testing', 'index.js')}';
    test('fails', async () => {
      const lab = await Lab.create();
      await lab.faults('udp: loss 50%', { seed: 'random' });
      console.log('used ' + lab.seed);
      await lab.close();
      assert.equal(process.env.GOOD, '1');
    });`,
  );
  const go = (env: NodeJS.ProcessEnv): { status: number | null; stdout: string; stderr: string } =>
    spawnSync(process.execPath, [file], {
      cwd: directory,
      encoding: 'utf8',
      env: { ...process.env, NODE_OPTIONS: '', NODE_TEST_CONTEXT: undefined, ...env },
    });
  const failed = go({});
  const [, seed] = /used (\d+)/.exec(failed.stdout) ?? [];
  t.equal(failed.status, 1);
  t.equal(
    failed.stderr,
    `vnet-bpf: the faults have the seed ${seed}; VNET_BPF_SEED=${seed} node fails.test.mjs repeats them\n`,
  );
  t.match(go({ VNET_BPF_SEED: seed }).stdout, `used ${seed}`, 'and so it is');
  t.match(go({ GOOD: '1' }), { status: 0, stderr: '' });
});
