// SPDX-License-Identifier: MIT
/** The loop around poll(): when it sleeps, and that nothing can slip past it while it falls asleep. */
import t from 'tap';

import type { LineQueue } from '../../src/datapath/line-queue';
import { COMMAND, HOLD, type Impaired, impairedWords, PollLoop, STOP } from '../../src/datapath/loop';
import { BusyPoll, Moderation } from '../../src/datapath/pacing';
import { SharedWords } from '../../src/datapath/shared-memory';
import { PollGroup } from '../../src/datapath/worker';
import { CONTROL } from '../../src/layout';
import { DEFAULTS, pollOptionsOf } from '../../src/options/attach-options';
import { fakeClock } from '../helpers/fake-clock';

const RING_READY = 1;
const WAKE = 2;
const BUDGET = 4;

/** Fakes everything around the loop, and records what happens. */
class Stage {
  readonly control = new SharedWords(new SharedArrayBuffer(CONTROL.size), 0, CONTROL.size);
  readonly command = new Int32Array(new SharedArrayBuffer(COMMAND.words * 4));
  readonly events: string[] = [];
  /** Frames in the ring. */
  inRing = 0;
  /** Frames that the next polls leave in the ring, because the socket is blocked. */
  blockedPolls = 0;
  stopped = false;
  /** Runs at each of these moments, once each, in turn. */
  readonly onArm: (() => void)[] = [];
  readonly onSleep: (() => number)[] = [];
  maxPolls = 1000;
  linkDown: boolean[] = [];
  /** The line that the poller had, poll by poll. */
  lines: (LineQueue | null)[] = [];
  busyPollMs: number | null = 0;
  moderated = false;

  stop(): void {
    Atomics.store(this.command, COMMAND.stop, 1);
  }

  get armed(): boolean {
    return this.control.get32(CONTROL.armed) === 1;
  }

  count(name: keyof typeof CONTROL): number {
    return this.control.get64(CONTROL[name]);
  }

  /** Whether the ring has been looked at since it was armed. */
  private asked = false;

  loop(): PollLoop {
    const { stopped } = this;
    return new PollLoop({
      options: pollOptionsOf(DEFAULTS),
      poller: this.poller(),
      gate: { stopped, stalled: 0, unstall: () => {}, roomMoved: () => false },
      ring: {
        isEmpty: () => {
          // The first look after arming is the one that must not be missed.
          if (this.armed && !this.asked) this.onArm.shift()?.();
          this.asked = this.armed;
          return this.inRing === 0;
        },
        consumerPosition: () => 0,
      },
      control: this.control,
      command: this.command,
      busyPoll: new BusyPoll(this.busyPollMs),
      moderation: new Moderation(this.moderated),
      onQueue: () => this.events.push('announce'),
      onStalled: () => this.events.push('stalled'),
    });
  }

  run(): string {
    const group = new PollGroup({
      waiter: {
        wait: () => {
          this.events.push(this.armed ? 'sleep' : 'sleep unarmed');
          const wake = this.onSleep.shift();
          this.asked = false;
          if (wake) return wake();
          this.stop();
          return WAKE;
        },
      },
      bell: new Int32Array(new SharedArrayBuffer(4)),
      onBell: () => undefined,
      onEnded: () => group.quit(),
      onTurn: () => undefined,
    });
    group.add(this.loop());
    group.run();
    return this.events.join(', ');
  }

  /** When frames outside of the ring are due. */
  readonly dues: number[] = [];

  private poller(): ConstructorParameters<typeof PollLoop>[0]['poller'] {
    const { dues } = this;
    const made = {
      get due() {
        return dues[0] ?? Infinity;
      },
      get hasWaiting() {
        return dues.length > 0;
      },
      hasten: (): void => void dues.fill(-Infinity),
      deliver: (): void => {
        this.events.push('deliver');
        dues.shift();
      },
      budget: BUDGET,
      blocked: false,
      linkDown: false,
      impaired: false,
      line: null as LineQueue | null,
      outcomes: null,
      poll: (): number => {
        if (this.maxPolls-- === 0) throw new Error('the loop spins');
        this.linkDown.push(made.linkDown);
        this.lines.push(made.line);
        made.blocked = this.blockedPolls > 0;
        if (made.blocked) this.blockedPolls--;
        const done = made.blocked ? 0 : Math.min(BUDGET, this.inRing);
        this.inRing -= done;
        this.events.push(made.blocked ? 'blocked' : `poll ${done}`);
        return done;
      },
      count: (offset: number) => this.control.set64(offset, this.control.get64(offset) + 1),
    };
    return made;
  }

  /** A record arrives as `tx` submits it: it wakes the poller only if that is armed. */
  arrive(frames: number): number {
    this.inRing += frames;
    if (!this.armed) return 0;
    this.control.set32(CONTROL.armed, 0);
    return RING_READY;
  }
}

t.test('polls again at once while the budget is used up, and sleeps when it is not', async (t) => {
  const stage = new Stage();
  stage.inRing = 10;
  t.equal(stage.run(), 'poll 4, poll 4, poll 2, sleep');
  t.equal(stage.count('sleeps'), 1);
  t.notOk(stage.armed, 'it leaves the wake-up disarmed');
});

t.test('a record wakes it', async (t) => {
  const stage = new Stage();
  stage.onSleep.push(
    () => stage.arrive(3),
    () => stage.arrive(1),
  );
  t.equal(stage.run(), 'poll 0, sleep, poll 3, sleep, poll 1, sleep');
  t.equal(stage.count('wakeups'), 2);
  t.equal(stage.count('lostWakeups'), 0);
});

t.test('a record that comes between the last poll and the sleep is not slept over', async (t) => {
  const stage = new Stage();
  stage.onArm.push(() => void stage.arrive(1));
  t.equal(stage.run(), 'poll 0, poll 1, sleep', 'armed first, then looked');
  t.equal(stage.count('sleeps'), 1);
});

t.test('a time-out with nothing in the ring is no wake-up', async (t) => {
  const stage = new Stage();
  stage.onSleep.push(() => 0);
  t.equal(stage.run(), 'poll 0, sleep, sleep', 'it stays armed');
  t.equal(stage.count('sleeps'), 1);
  t.equal(stage.count('wakeups'), 0);
  t.equal(stage.count('lostWakeups'), 0);
});

t.test('a record that nobody announced is found by time-out, and counted as a lost wake-up', async (t) => {
  const stage = new Stage();
  stage.onSleep.push(() => {
    stage.inRing = 2;
    return 0;
  });
  t.equal(stage.run(), 'poll 0, sleep, poll 2, sleep');
  t.equal(stage.count('lostWakeups'), 1);
});

t.test('one that was announced while the time-out struck is not', async (t) => {
  const stage = new Stage();
  stage.onSleep.push(() => {
    stage.arrive(2);
    return 0;
  });
  t.equal(stage.run(), 'poll 0, sleep, poll 2, sleep');
  t.equal(stage.count('lostWakeups'), 0);
});

t.test('with busy polling it goes on for a while after the last frame, and then sleeps', async (t) => {
  const stage = new Stage();
  stage.busyPollMs = 5;
  stage.maxPolls = 1_000_000;
  stage.inRing = 1;
  const start = performance.now();
  const events = stage.run();
  t.ok(performance.now() - start >= 5, 'as long as it was told');
  t.match(events, /^poll 1, poll 0, poll 0, .*poll 0, sleep$/);
  t.equal(stage.count('sleeps'), 1);
});

t.test('the stop command ends it, and what is in the ring is delivered first', async (t) => {
  const stage = new Stage();
  stage.onSleep.push(() => {
    stage.arrive(6);
    stage.stop();
    return WAKE;
  });
  t.equal(stage.run(), 'poll 0, sleep, poll 4, poll 2');
  t.equal(stage.inRing, 0);
});

t.test('a stop command that comes while it falls asleep is not slept over', async (t) => {
  const stage = new Stage();
  stage.onArm.push(() => stage.stop());
  t.equal(stage.run(), 'poll 0');
});

t.test('a socket that takes nothing is left alone for a while, longer each time, without arming', async (t) => {
  const stage = new Stage();
  stage.inRing = 1;
  stage.blockedPolls = 5;
  const start = performance.now();
  t.equal(stage.run(), `${'blocked, '.repeat(5)}poll 1, sleep`);
  t.ok(performance.now() - start >= 1 + 2 + 4 + 8 + 16 - 2, 'it waited in between');
});

t.test('an end with a blocked socket comes all the same', async (t) => {
  const stage = new Stage();
  stage.inRing = 1;
  stage.blockedPolls = 900;
  stage.stop();
  const events = stage.run();
  t.equal(stage.inRing, 1, 'the frame stays in the ring');
  t.ok((events.match(/blocked/g) ?? []).length < 300, 'and it does not spin until its time is up');
});

t.test('the poller is told when the link goes down', async (t) => {
  const stage = new Stage();
  stage.onSleep.push(() => {
    Atomics.store(stage.command, COMMAND.linkDown, 1);
    return stage.arrive(1);
  });
  stage.run();
  t.same(stage.linkDown, [false, true]);
});

t.test('whoever ends a sleep because a record came, the wake-up counts', async (t) => {
  const stage = new Stage();
  const loop = stage.loop();
  t.equal(loop.turn(0), Infinity, 'it sleeps');
  stage.arrive(1);
  loop.nudge();
  t.equal(loop.state, 'awake');
  t.equal(stage.count('wakeups'), 1);
  loop.turn(1);
  t.equal(loop.turn(2), Infinity, 'it sleeps again');
  loop.nudge();
  t.equal(loop.state, 'awake', 'without a record it is awake, too');
  t.equal(stage.count('wakeups'), 1, 'but no frame woke it');
});

t.test('held, it leaves frames in the ring and says so, also if it sleeps; then it goes on', async (t) => {
  const stage = new Stage();
  const loop = stage.loop();
  t.equal(loop.turn(0), Infinity, 'it sleeps');
  Atomics.store(stage.command, COMMAND.hold, HOLD.asked);
  t.ok(loop.turn(1) < 10, 'it looks again soon');
  t.equal(Atomics.load(stage.command, COMMAND.hold), HOLD.done);
  stage.arrive(1);
  loop.turn(2);
  t.equal(stage.inRing, 1);
  Atomics.store(stage.command, COMMAND.hold, 0);
  loop.turn(3);
  t.equal(stage.inRing, 0);
  Atomics.store(stage.command, COMMAND.hold, HOLD.asked);
  stage.stop();
  loop.turn(4);
  t.equal(loop.state, 'ended', 'a stop command is obeyed all the same');
});

t.test('a frame that waits outside of the ring ends a sleep and a rest when it is due', async (t) => {
  const time = fakeClock(t);
  const stage = new Stage();
  const { now } = time;
  stage.dues.push(now + 1000);
  const loop = stage.loop();
  t.equal(loop.turn(now), Infinity);
  t.equal(loop.state, 'asleep');
  t.equal(loop.turn(now + 500), Infinity);
  t.same(stage.events, ['poll 0'], 'not before');
  stage.dues[0] = now + 600;
  loop.turn(now + 600);
  t.same(stage.events, ['poll 0', 'poll 0']);
  t.equal(stage.count('wakeups'), 0, 'no record has woken it');
  stage.dues[0] = Infinity;
  stage.blockedPolls = 1;
  stage.arrive(1);
  const pause = loop.turn(now + 601);
  t.ok(pause > 0);
  stage.dues[0] = time.now + pause / 2;
  const polls = stage.events.length;
  loop.turn((stage.dues[0] as number) - 0.01);
  t.equal(stage.events.length, polls, 'it rests');
  loop.turn(stage.dues[0] as number);
  t.equal(stage.events.length, polls + 1);
});

t.test(
  'at its end, what waits outside of the ring leaves without further wait; what is in the ring is left to the next thread',
  async (t) => {
    const stage = new Stage();
    stage.dues.push(1e9, 1e9);
    stage.inRing = 3;
    Atomics.store(stage.command, COMMAND.stop, STOP.leave);
    t.equal(stage.run(), 'deliver, deliver');
    t.equal(stage.inRing, 3);
  },
);

t.test('an impairment and the queue of its line reach the poller, and a change of the queue alone does', async (t) => {
  const stage = new Stage();
  const told = (impaired: Impaired, serial: number) => (): number => {
    for (const [word, value] of impairedWords(impaired, serial)) Atomics.store(stage.command, word, value);
    return stage.arrive(1);
  };
  const line = (queueMs: number): Impaired => ({ line: { bytesPerSecond: 1e6, queueMs } });
  stage.onSleep.push(told({ line: null }, 1), told(line(50), 2), told(line(Infinity), 3), told(null, 4));
  stage.inRing = 1;
  stage.run();
  const lines = stage.lines.filter((seen, i) => i === 0 || seen !== stage.lines[i - 1]);
  t.same(
    lines.map((seen) => seen?.parameters ?? null),
    [null, { bytesPerSecond: 1e6, queueMs: 50 }, { bytesPerSecond: 1e6, queueMs: Infinity }, null],
  );
});

t.test('stops are announced, at the latest before it sleeps', async (t) => {
  const stage = new Stage();
  stage.onSleep.push(
    () => {
      stage.control.set64(CONTROL.stops, 1);
      return stage.arrive(1);
    },
    () => {
      stage.control.set64(CONTROL.stops, 5);
      return stage.arrive(1);
    },
  );
  const events = stage.run();
  t.equal(events.match(/announce/g)?.length, 2, events);
  t.match(
    events,
    /announce, sleep$|announce, poll 1, announce, sleep$/,
    'the last news does not wait for the next frame',
  );
});
