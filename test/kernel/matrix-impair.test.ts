// SPDX-License-Identifier: MIT
/**
 * `vnet-bpf impair`, with the kernel's own netem or by rules where the kernel has none: each impairment does what it
 * says, and no frame is unaccounted for.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { kernelIsAtLeast } from 'libbpf-ts';
import t, { type Test } from 'tap';

import { ControlClient } from '../../src/control/socket';
import { frameAccounting, type Stats } from '../../src/datapath/stats';
import { netemOptionsOf } from '../../src/impair/settings';
import { checkedWords, PROFILES } from '../../src/impair/words';
import { HOST_PEER_NETNS } from '../../src/state/paths';
import { controlSocket, logFile } from '../../src/state/store';
import { Background } from '../helpers/background';
import { attachedIn, attachmentOf, cliOk, ROOT, SLOW, type Attached } from '../helpers/cli';
import { eventually } from '../helpers/controller';
import { ADDRESSES, atRest, delay, exchange, look, WAIT_MS } from '../helpers/loop';
import { kernelCounters, ok, okIn, quietNetns } from '../helpers/netns';
import { OwnTcpFlow, OwnUdp } from '../helpers/own-sockets';
import { withoutQdisc } from '../helpers/qdisc';
import { cannotLoop } from '../helpers/supported';

t.setTimeout(300_000 * SLOW);

const ARGUMENTS = ['--addr', '10.77.0.1/24', '--ring-size', '256K'];
const COUNT = 200;
/** How long more is sent than a line takes, and what has to have come back by then; it goes on otherwise. */
const FLOOD_MS = 400;
const FLOOD_RECEIVED = 10;

/** Does what the command does, which takes long to start. */
async function impair(nic: Attached, words: string | null): Promise<void> {
  using client = await ControlClient.connect(controlSocket(attachmentOf(nic).id));
  await client.ask({ order: 'impair', words: words?.split(' ') ?? null }, 10_000 * SLOW);
}

/** Sends datagrams; returns how many came back, and the reading at rest afterwards, which must balance. */
async function pass(t: Test, nic: Attached, udp: OwnUdp, count = COUNT): Promise<{ received: number; stats: Stats }> {
  const before = udp.received;
  await exchange(udp, udp.sent + count);
  const stats = await atRest(nic);
  await delay(10 * SLOW);
  udp.take();
  const sums = frameAccounting(stats);
  t.equal(sums.out, sums.in, 'the frame accounting balances');
  t.equal(stats.refused.backlog + stats.refused.invalid, 0, 'and nothing is put down to something else');
  // A neighbour's frame may pass between the two readings.
  const counts = (): { kernel: object; ours: object } => {
    const ours = look(nic);
    const { tx, rx } = kernelCounters(nic.netns, nic.iface);
    return { kernel: { tx, rx }, ours: { tx: ours.tx.packets, rx: ours.rx.packets } };
  };
  let both = counts();
  for (let tries = 0; tries < 5 && JSON.stringify(both.kernel) !== JSON.stringify(both.ours); tries++) {
    await delay(20 * SLOW);
    both = counts();
  }
  t.same(both.kernel, both.ours, 'TX is what was sent, RX what came back');
  return { received: udp.received - before, stats };
}

/** Without it, rules do the same. */
const hasNetem = !withoutQdisc('netem');

t.test('impaired', { skip: cannotLoop() }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ARGUMENTS);
  const udp = new OwnUdp(t, nic.netns, ADDRESSES[0], 200);
  // The neighbour is known, because a lost ARP packet would lose everything.
  okIn(nic.netns, 'ping', ['-q', '-c', '1', '-W', String(2 * SLOW), ADDRESSES[0]]);
  let last = (await atRest(nic)).impair;

  await t.test('delay', async (t) => {
    t.match(
      cliOk(['impair', nic.iface, '--netns', nic.netns, 'delay', '150ms']),
      hasNetem ? /^vnet0 is impaired: delay 150ms$/m : /^vnet0 is impaired: delay 150ms \(by rules/m,
    );
    t.equal(look(nic).impairedBy, hasNetem ? 'netem' : 'faults');
    const output = okIn(nic.netns, 'ping', ['-c', '1', '-W', String(2 * SLOW), ADDRESSES[0]]);
    const took = Number(/time=([\d.]+)/.exec(output)?.[1] ?? NaN);
    t.ok(took >= 300, `request and reply are delayed by 150 ms each: ${took} ms`);
    const { received } = await pass(t, nic, udp);
    t.equal(received, COUNT, 'and nothing is lost');
  });

  await t.test('changes under traffic', async (t) => {
    const before = look(nic).impair;
    const from = udp.received;
    // From no impairment to one, to another, to one that is refused, and back to none, each time with frames in flight.
    const steps: (() => Promise<unknown>)[] = [
      () => impair(nic, null),
      () => impair(nic, 'delay 80ms'),
      () => impair(nic, 'delay 90ms rate 1gbit distribution normal').catch((error: unknown) => error),
      () => impair(nic, 'delay 100ms 1ms distribution normal'),
      () => impair(nic, 'delay 20ms'),
      () => impair(nic, null),
    ];
    for (const step of steps) {
      const done = step();
      await exchange(udp, udp.sent + COUNT / 4);
      await done;
    }
    const stats = await atRest(nic);
    t.ok(
      await udp.takeUntil(from + (steps.length * COUNT) / 4, WAIT_MS),
      `${udp.received - from} came back: none is lost`,
    );
    t.same(stats.impair, before, 'and none is counted as lost or duplicated');
    await impair(nic, 'delay 30ms');
    const words = ['seed 1 delay 40ms', 'delay 0ms reorder 25%', 'delay 20ms reorder 0% gap 5'];
    const refusals = await Promise.all(
      words.map((each) =>
        impair(nic, each).then(
          () => null,
          (error: Error) => error.message,
        ),
      ),
    );
    t.match(refusals.slice(1), [/needs a delay/, /needs a reorder of more than 0%/]);
    const takesSeed = !hasNetem || kernelIsAtLeast('6.6');
    if (!takesSeed) t.match(refusals[0], /seed: came with Linux 6\.6/);
    t.equal(
      attachmentOf(nic).impairment?.words?.join(' '),
      takesSeed ? 'delay 40ms seed 1' : 'delay 30ms',
      'what is refused leaves the old one',
    );
    t.equal((await pass(t, nic, udp)).received, COUNT, 'in the kernel, too');
  });

  await t.test(
    'the kernel does what tc would have it do, and takes back what is not said',
    { skip: !hasNetem },
    async (t) => {
      const inPlace = (): string =>
        ok('nsenter', [
          `--net=${HOST_PEER_NETNS}`,
          '--',
          'tc',
          'qdisc',
          'show',
          'dev',
          attachmentOf(nic).peer?.name ?? '',
        ]);
      await impair(
        nic,
        'delay 15ms 1ms 25% distribution normal loss gemodel 1% 10% 70% 0.1% ecn duplicate 2% corrupt 1% reorder 10% gap 5 rate 10mbit 20 slot 1ms 2ms packets 3',
      );
      const shown = inPlace();
      for (const part of [
        'limit ',
        'delay 15ms  1ms 25%',
        'loss gemodel p 1% r 10% 1-h 70% 1-k 0.1%',
        'duplicate 2%',
        'reorder 10%',
        'corrupt 1%',
        'rate 10Mbit packetoverhead 20',
        'ecn',
        'slot 1ms 2ms packets 3',
        'gap 5',
      ])
        t.match(shown, part);
      await impair(nic, 'delay 1ms');
      t.match(inPlace(), /delay 1ms\s*$/m);
    },
  );

  await t.test('loss in bursts', async (t) => {
    const before = look(nic).impair.lost;
    await impair(nic, 'loss 30% 50%');
    const { received, stats } = await pass(t, nic, udp, 5 * COUNT);
    const lost = 1 - received / (5 * COUNT);
    t.ok(lost > 0.2 && lost < 0.4, `${lost * 100} % are lost`);
    t.equal(stats.impair.lost - before, 5 * COUNT - received, 'and counted');
    last = stats.impair;
  });

  await t.test('loss', async (t) => {
    await impair(nic, 'loss 30%');
    const { received, stats } = await pass(t, nic, udp);
    t.ok(received < COUNT && received > 0, `${received} of ${COUNT} came back`);
    t.equal(stats.impair.lost - last.lost, COUNT - received, 'the others are counted as lost');
    last = stats.impair;
  });

  await t.test('duplicate', async (t) => {
    await impair(nic, 'duplicate 30%');
    const { received, stats } = await pass(t, nic, udp);
    t.ok(received > COUNT, `${received} for ${COUNT} came back`);
    t.same(
      { lost: stats.impair.lost - last.lost, duplicated: stats.impair.duplicated - last.duplicated },
      { lost: 0, duplicated: received - COUNT },
      'counted as duplicated',
    );
    last = stats.impair;
  });

  // By rules, frames wait in the poller, and are refused when they are due.
  await t.test('frames that go with the link', { skip: !hasNetem }, async (t) => {
    await impair(nic, 'delay 30s duplicate 50%');
    const from = udp.sent;
    await exchange(udp, from + COUNT);
    const before = look(nic).impair;
    okIn(nic.netns, 'ip', ['link', 'set', nic.iface, 'down']);
    const after = (await atRest(nic)).impair;
    t.ok(
      before.duplicated > last.duplicated && after.duplicated >= before.duplicated,
      `${before.duplicated}, then ${after.duplicated} duplicated`,
    );
    t.ok(after.lost > last.lost, `${after.lost - last.lost} lost with the link`);
    okIn(nic.netns, 'ip', ['link', 'set', nic.iface, 'up']);
    await impair(nic, 'delay 0ms');
    udp.take();
    t.equal((await pass(t, nic, udp)).received, COUNT, 'and all is well again');
    last = look(nic).impair;
  });

  await t.test('a rate with a short queue', async (t) => {
    // Slower than an emulated machine sends.
    await impair(nic, 'rate 500kbit limit 20');
    const { received, stats } = await pass(t, nic, udp);
    t.equal(received, COUNT, 'what it has no space for waits in the ring: all came back');
    if (hasNetem) t.ok(stats.reinject.retries > 0);
    t.same({ ...stats.impair, waiting: 0 }, last, 'none is lost or duplicated');
  });

  await t.test('a crash', async (t) => {
    const { pid, id } = attachmentOf(nic);
    process.kill(pid, 'SIGKILL');
    for (const end = Date.now() + WAIT_MS; look(nic).state !== 'crashed' && Date.now() < end;) await delay(5);
    cliOk(['attach', nic.iface, '--netns', nic.netns, '--daemon', ...ARGUMENTS]);
    t.equal(attachmentOf(nic).id, id, 'it is adopted');
    t.match(attachmentOf(nic).impairment?.words, [/rate/, /500kbit/, /limit/, /20/], 'the impairment is still there');
    t.equal((await pass(t, nic, udp)).received, COUNT);
  });

  await t.test('cleared', async (t) => {
    await impair(nic, null);
    const { received, stats } = await pass(t, nic, udp);
    t.equal(received, COUNT, 'all came back');
    t.same(stats.impair, last, 'what was counted stays');
  });
});

t.test('each named wire is what its line in the docs says', { skip: cannotLoop() }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ['--addr', '10.77.0.1/24']);
  okIn(nic.netns, 'ping', ['-q', '-c', '1', '-W', String(2 * SLOW), ADDRESSES[0]]);
  const docs = fs.readFileSync(path.join(ROOT, 'docs/cli.md'), 'utf8');
  // A bad line, or a full queue, loses pings as it does other frames: all of a few, now and then.
  const pings = async (args: string[]): Promise<number[]> => {
    for (let tries = 0; tries < 5; tries++) {
      const ping = Background.start(t, nic.netns, 'ping', ['-W', '10', ...args, ADDRESSES[0]]);
      await ping.ended;
      const times = [...ping.output.matchAll(/time=([\d.]+)/g)].map(([, ms]) => Number(ms));
      if (times.length > 0) return times;
    }
    return [];
  };
  for (const [name, { words }] of Object.entries(PROFILES)) {
    await t.test(name, async (t) => {
      const { delay: late, rate } = netemOptionsOf(checkedWords(name), 1);
      const [, idle = '', loaded = ''] =
        new RegExp(`^\\| \`${name}\` \\| \`${words}\` \\|.*\\| (\\d+) ms \\| (\\d+) ms \\|$`, 'm').exec(docs) ?? [];
      const jitter = (2 * late.jitter) / 1e6;
      // Other processes may use the processor; an unlimited queue takes seconds.
      const slack = 50 * SLOW;
      await impair(nic, name);
      const slowest = Number(idle) + jitter + slack / 5;
      // What the kernel still sends for an earlier flow takes long on a slow line.
      const alone: number[] = [];
      for (let tries = 0; tries < 4 && !(Math.min(...alone) <= slowest); tries++)
        alone.push(...(await pings(['-c', '3', '-i', '0.01'])));
      const quickest = Math.min(...alone);
      t.ok(quickest >= Number(idle) - jitter && quickest <= slowest, `idle: ${alone.join(', ')} ms for ${idle}`);

      // A flow of TCP, with pings beside it.
      const flow = OwnTcpFlow.start(t, nic.netns, ADDRESSES[0]);
      await delay(Math.min(1500, 4 * Number(idle)));
      const busy = await pings(['-c', '3', '-i', '0.2']);
      const passed = flow.stop();
      t.ok(
        Math.min(...busy) <= Number(loaded) + jitter + slack,
        `under load: ${busy.join(', ')} ms for at most ${loaded}`,
      );
      t.ok(
        passed.bytes > 0 && passed.bytes / passed.seconds <= rate.bytes * 1.1,
        `TCP: ${Math.round((passed.bytes * 8) / passed.seconds / 1000)} kbit/s`,
      );

      // More datagrams than the line takes.
      const bytes = rate.bytes < 1e6 ? 200 : 1400;
      const udp = new OwnUdp(t, nic.netns, ADDRESSES[0], bytes);
      const before = await atRest(nic);
      const perMs = (3 * rate.bytes) / (bytes + 42) / 1000;
      const begun = performance.now();
      let first: { at: number; received: number } | undefined;
      const speed = (now: number): number =>
        ((udp.received - (first?.received ?? NaN)) * (bytes + 42)) / ((now - (first?.at ?? NaN)) / 1000);
      const isFast = (bytesPerSecond: number): boolean => bytesPerSecond > rate.bytes * 0.4 || rate.bytes > 1e6;
      // On a busy host, emulated machines stand still for longer than that.
      const isEnough = (now: number): boolean =>
        now >= begun + FLOOD_MS && ((udp.received >= FLOOD_RECEIVED && isFast(speed(now))) || now >= begun + WAIT_MS);
      for (let now = begun; !isEnough(now); now = performance.now()) {
        udp.offer(Math.floor((now - begun) * perMs) - udp.sent);
        udp.take();
        if (udp.received > 0) first ??= { at: performance.now(), received: udp.received };
        await delay(1);
      }
      const throughput = speed(performance.now());
      t.ok(
        throughput < rate.bytes * 1.6 && isFast(throughput),
        `UDP: ${Math.round((throughput * 8) / 1000)} kbit/s of ${(rate.bytes * 8) / 1000}`,
      );
      const after = await atRest(nic);
      udp.take();
      const missing = udp.sent - udp.received;
      const lost = after.impair.lost - before.impair.lost;
      const sent = after.tx.packets - before.tx.packets;
      t.equal(lost, sent - (after.rx.packets - before.rx.packets), 'what did not come back is counted as lost');
      // The kernel may have sent frames of its own meanwhile, such as the reset of the flow.
      const others = sent - udp.sent;
      t.ok(
        (missing > 0 || rate.bytes > 1e6) && lost >= missing && lost <= missing + others,
        `what found no place is counted as lost: ${lost} for ${missing} and ${others} of others`,
      );
    });
  }
  await t.test('a weak signal loses what it says', async (t) => {
    await impair(nic, 'lossy-wifi rate 1gbit');
    const udp = new OwnUdp(t, nic.netns, ADDRESSES[0], 100);
    await exchange(udp, 2000);
    await atRest(nic);
    udp.take();
    const lost = 1 - udp.received / udp.sent;
    t.ok(lost > 0.015 && lost < 0.05, `${(lost * 100).toFixed(1)} % of ${udp.sent}`);
  });
  await t.test('an impairment that somebody removes is put back', { skip: !hasNetem }, async (t) => {
    await impair(nic, 'delay 5ms');
    const { id, peer } = attachmentOf(nic);
    ok('nsenter', [`--net=${HOST_PEER_NETNS}`, '--', 'tc', 'qdisc', 'del', 'dev', peer?.name ?? '', 'root']);
    const log = (): string => fs.readFileSync(logFile(id), 'utf8');
    t.ok(await eventually(() => log().includes('somebody removed the impairment of vnet0: put back')), 'the log');
    t.match(ok('nsenter', [`--net=${HOST_PEER_NETNS}`, '--', 'tc', 'qdisc']), /netem .* delay 5ms/);
  });
  const sums = frameAccounting(await atRest(nic));
  t.equal(sums.out, sums.in, 'the frame accounting balances');
});
