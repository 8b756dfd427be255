// SPDX-License-Identifier: MIT
/**
 * A hook lets frames wait: they come back when they are due, the accounting balances while they wait, and it says what
 * became of them when the hook is replaced or removed, its thread ends, or its controller is killed.
 */
import t, { type Test } from 'tap';

import { frameAccounting, type Stats } from '../../src/datapath/stats';
import { attachedIn, type Attached, attachmentOf, cannotRun, checkAccounting, cli, cliOk, SLOW } from '../helpers/cli';
import { eventually } from '../helpers/controller';
import { ethernet, from } from '../helpers/frames';
import { hookFile } from '../helpers/hook-file';
import { delay } from '../helpers/loop';
import { quietNetns } from '../helpers/netns';
import { RawSocket } from '../helpers/raw-socket';

t.setTimeout(120_000 * SLOW);

const MAC = '02:00:00:00:0e:09';
/** Frames whose first byte says how many tenths of a second they wait; the second is their number. */
const HOOK = `export default (frame) => (frame.ethernet.type === 0x88b5 ? { delay: frame.bytes[14] * 100 } : 'pass');`;
const waits = (tenths: number, number: number): Buffer =>
  ethernet({ source: MAC, payload: Buffer.from([tenths, number, ...Buffer.alloc(60)]) });
const numberOf = (frame: Buffer): number => frame[15] as number;
/** It waits for as long as a test takes. */
const LONG = 255;

class Loop {
  readonly nic: Attached;
  readonly socket: RawSocket;
  private readonly got: number[] = [];

  constructor(t: Test, hook = HOOK, ...args: string[]) {
    this.nic = attachedIn(t, quietNetns(t), ['--hook', hookFile(t, 'delay.mjs', hook), ...args]);
    this.socket = RawSocket.open(t, this.nic.netns, this.nic.iface);
  }

  send(...frames: [tenths: number, number: number][]): void {
    for (const [tenths, number] of frames) this.socket.send(waits(tenths, number));
  }

  /** Numbers of the frames that have come back. */
  back(): number[] {
    const mine = from(MAC);
    for (const { direction, frame } of this.socket.captured())
      if (direction !== 'outgoing' && mine(frame)) this.got.push(numberOf(frame));
    return this.got;
  }

  command(...args: string[]): string {
    return cliOk([args[0] as string, this.nic.iface, '--netns', this.nic.netns, ...args.slice(1)]);
  }

  stats(): Stats {
    return this.nic.stats();
  }

  async until(holds: () => boolean): Promise<boolean> {
    return eventually(holds, 20_000);
  }
}

t.test('frames come back when they are due, and are counted meanwhile', { skip: cannotRun }, async (t) => {
  const loop = new Loop(t);
  const start = performance.now();
  loop.send([3, 1], [1, 2], [0, 3], [2, 4]);
  t.ok(await loop.until(() => loop.back().length === 1));
  // A frame is back a moment before it is counted.
  const { hooks } = await loop.nic.atRest();
  t.match(hooks, { delayed: 3, dropped: 0, lost: 0 });
  const elapsed = performance.now() - start;
  const least = [100, 200, 300].filter((due) => due > elapsed).length;
  t.ok(hooks.waiting >= least && hooks.waiting <= 3, `${hooks.waiting} wait after ${Math.round(elapsed)} ms`);
  t.ok(frameAccounting(loop.stats()).balanced);
  t.ok(await loop.until(() => loop.back().length === 4));
  t.ok(performance.now() - start >= 300);
  t.same(loop.back(), [3, 2, 4, 1]);
  const after = await loop.nic.atRest();
  checkAccounting(t, loop.nic, after);
  t.equal(after.hooks.waiting, 0);
});

t.test('another hook leaves them waiting; none, and detach, let them go', { skip: cannotRun }, async (t) => {
  const loop = new Loop(t);
  loop.send([10, 1], [LONG, 2], [LONG, 3]);
  t.ok(await loop.until(() => loop.stats().hooks.waiting === 3));
  loop.command('hook', hookFile(t, 'pass.mjs', `export default () => 'pass';`));
  loop.send([LONG, 4]);
  t.ok(
    await loop.until(() => loop.back().length === 2),
    'the new hook lets its frame pass, and one of the old has come when it was due',
  );
  t.same(loop.back(), [4, 1]);
  const meanwhile = await loop.nic.atRest();
  t.equal(meanwhile.hooks.waiting, 2);
  t.ok(frameAccounting(meanwhile).balanced);
  loop.command('hook', '--none');
  t.ok(await loop.until(() => loop.back().length === 4));
  t.same(loop.back(), [4, 1, 2, 3]);
  const after = await loop.nic.atRest();
  t.match(after.hooks, { delayed: 3, waiting: 0, lost: 0 });
  checkAccounting(t, loop.nic, after);

  loop.command('hook', hookFile(t, 'delay.mjs', HOOK));
  loop.send([LONG, 5]);
  t.ok(await loop.until(() => loop.stats().hooks.waiting === 1));
  loop.command('detach');
  // The first look after an interface is gone tells that.
  t.ok(await loop.until(() => loop.back().length === 5), 'also at the end');
});

t.test('those that wait when the thread ends are lost, and counted', { skip: cannotRun }, async (t) => {
  const loop = new Loop(
    t,
    `${HOOK.replace('export default', 'const judge =')} export default (frame) => (frame.ethernet.type === 0x88b5 && frame.bytes[15] === 99 ? process.exit() : judge(frame));`,
    '--on-hook-error',
    'drop',
  );
  loop.send([LONG, 1], [LONG, 2]);
  t.ok(await loop.until(() => loop.stats().hooks.waiting === 2));
  loop.send([0, 99]);
  t.ok(await loop.until(() => loop.stats().hooks.lost === 2));
  loop.send([0, 3]);
  t.ok(await loop.until(() => loop.back().includes(3)), 'the next thread goes on');
  const stats = await loop.nic.atRest();
  t.match(stats.hooks, { waiting: 0, lost: 2, dropped: 1 });
  t.ok(frameAccounting(stats).balanced);
});

t.test(
  'those that wait when the controller is killed are lost, and counted by the next one',
  { skip: cannotRun },
  async (t) => {
    const loop = new Loop(t);
    loop.send([LONG, 1], [LONG, 2], [0, 3]);
    t.ok(await loop.until(() => loop.stats().hooks.waiting === 2 && loop.back().length === 1));
    process.kill(attachmentOf(loop.nic).pid, 'SIGKILL');
    t.ok(await loop.until(() => loop.stats().state === 'crashed'));
    t.ok(frameAccounting(loop.stats()).balanced, 'before anybody has looked');
    loop.send([LONG, 4]);
    t.equal(cli(['attach', loop.nic.iface, '--netns', loop.nic.netns, '--daemon']).status, 0);
    t.ok(await loop.until(() => loop.back().includes(4)));
    const stats = await loop.nic.atRest();
    t.match(stats.hooks, { delayed: 2, waiting: 0, lost: 2 });
    t.ok(frameAccounting(stats).balanced);
  },
);

t.test(
  'what does not fit into the memory waits in the ring and in the kernel, and all of it comes back',
  { skip: cannotRun },
  async (t) => {
    const loop = new Loop(t, HOOK, '--ring-size', '1M');
    const frame = ethernet({ source: MAC, payload: Buffer.from([40, 1, ...Buffer.alloc(1400)]) });
    const COUNT = 40_000;
    let sent = 0;
    let most = 0;
    for (const end = performance.now() + 30_000 * SLOW; sent < COUNT && performance.now() < end;) {
      if (loop.socket.trySend(frame) === 0) sent++;
      else await delay(1);
      if (sent % 1000 !== 0) continue;
      loop.back();
      most = Math.max(most, loop.stats().hooks.waiting);
    }
    t.equal(sent, COUNT);
    t.ok(most > 0 && most <= 32768, `at most ${most} waited in the memory of 64 MiB, one in 2 KiB`);
    t.ok(await loop.until(() => loop.stats().rx.packets === COUNT));
    const stats = await loop.nic.atRest();
    t.match(stats.hooks, { delayed: COUNT, waiting: 0, lost: 0 });
    checkAccounting(t, loop.nic, stats);
  },
);
