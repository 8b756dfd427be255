// SPDX-License-Identifier: MIT
/**
 * Decides which thread polls an interface: the one that polls all interfaces of this process without a hook, or, with a
 * hook, a thread of its own. A change hands the interface over between two polls; meanwhile frames wait in the ring.
 *
 * With `--on-hook-error drop` a hook decides about traffic, and no frame passes that it has not judged. When its thread
 * dies, nothing is polled until it has started again: frames wait in the ring, and behind it in the kernel.
 */
import { setTimeout as delay } from 'node:timers/promises';

import type { BpfMap } from 'libbpf-ts';

import type { JudgeKind, JudgeWish } from '../control/orders';
import { COMMAND, HOLD, impairedWords, STOP, type Impaired } from '../datapath/loop';
import { allOf, PollerThread, type PlainPolled, type Polled } from '../datapath/worker-handle';
import type { PollRequest } from '../datapath/worker-queue';
import { HINTS, VnetError } from '../errors';
import type { OnHookError } from '../hooks/contract';
import type { FaultsReport } from '../hooks/fault-hook';
import type { SteppedFrame } from '../hooks/worker';
import { HookThread, type HookEvents } from '../hooks/worker-handle';
import { BATCH } from '../layout';
import { clock } from '../native/clock';
import { duplicateFd } from '../native/libc';
import { Turns } from '../native/turns';
import { type Choice, choiceOf, isFaults, kindOf, nameOf, onlyQueue, requireFree, requireUp, useIn } from './choice';
import type { FaultLogFiles } from './fault-log-files';

export interface PollingParts {
  interface: string;
  netns: string | null;
  /** The interface's Ethernet address. */
  mac: () => string;
  /** The request for each queue. */
  requests: readonly Omit<PollRequest, 'command'>[];
  /** The impairment between the socket and the interface at the start. */
  impaired: Impaired;
  /** A number that differs between processes, to spread them over the CPUs. */
  spread: number;
  hasPeer: boolean;
  events: Omit<HookEvents, 'stalled'> & { stalled: (queue: number) => void };
  /** What becomes of frames on which a hook fails, until a change says otherwise. */
  onHookError: OnHookError;
  /** Called when another hook or other faults are in place, or none, or when the setting for hooks changes. */
  hookChanged: (choice: Choice | null, onHookError: OnHookError) => void;
  /** Owned; the files stay open for as long as anything polls. */
  faultLog: FaultLogFiles;
  /**
   * Called with the reason why nothing passes, when the thread of a hook that decides about traffic is gone, and with
   * null when it has started again.
   */
  hookDown: (why: string | null) => void;
  /** Finishes a batch that a thread has left unfinished. */
  finishBatches: () => void;
  /** Counts a hook error that the hook's thread can no longer count. */
  countError: () => void;
}

/** A number that differs between attachments. */
export const spreadOf = (attachment: { id: string }): number => parseInt(attachment.id, 16);

/** How long a polling thread may take to hold, in milliseconds. It looks between two polls, which take microseconds. */
const HOLD_MAX_MS = 5000;
/**
 * Delay in milliseconds before a thread that ended soon after its start is started again; doubles up to PAUSE_MAX_MS.
 */
const PAUSE_MS = 100;
const PAUSE_MAX_MS = 5000;
/** Life of a thread in milliseconds after which the next one is started at once. */
const WELL_MS = 10_000;

export class Polling {
  private plain: PlainPolled | undefined;
  private hooked: HookThread | undefined;
  private choice: Choice | null = null;
  /** Kept while there is no hook: the next one must not let frames pass that the user wants dropped. */
  private onHookError: OnHookError;
  private linkDown = false;
  private impaired: Impaired;
  private impairments = 0;
  /** Whether the debugger steps through the frames. */
  private paused = false;
  private outcomes: BpfMap | null = null;
  private stopping = false;
  /** Why the hook that was loaded last has not started; null if it has. */
  private startFailure: string | null = null;
  /** Why the hook's thread is gone, while no other thread may poll in its place; null otherwise. */
  private down: string | null = null;
  private revival: NodeJS.Timeout | undefined;
  private pauseMs = 0;
  private startedAt = 0;
  /** HookThread.deadly of the latest threads that died over a frame: those frames may still be in the ring. */
  private deadly: number[] = [];
  /** Changes run one at a time. */
  private readonly turns = new Turns();

  constructor(private readonly parts: PollingParts) {
    this.impaired = parts.impaired;
    this.onHookError = parts.onHookError;
  }

  /** Starts to poll; resolves when the interface is polled, to a warning for the user or null. */
  async start(judge: JudgeWish | null): Promise<string | null> {
    if (judge !== null) return this.inTurn(() => this.change(judge));
    this.plain = await this.pollPlain();
    return null;
  }

  /**
   * Replaces the hook or the faults, or removes them (null) and leaves `onHookError`, unless it is null, for the next
   * hook. If the new ones cannot be loaded, nothing changes. Returns a warning for the user, or null. Throws STATE if
   * the other kind is in place.
   */
  use(kind: JudgeKind, wish: JudgeWish | null, onHookError: OnHookError | null): Promise<string | null> {
    return this.inTurn(async () => {
      if (kind !== 'hook' && wish === null && kindOf(this.choice) !== kind) return null;
      requireFree(this.choice, kind, this.parts.interface, this.parts.netns);
      return this.change(wish, onHookError ?? this.onHookError);
    });
  }

  /** What the faults in place have done; null if there are none. */
  faultsReport(): Promise<FaultsReport | null> {
    return this.inTurn(async () =>
      kindOf(this.choice) === 'faults' ? (await this.thread('a rule of faults')).order({ kind: 'report' }) : null,
    );
  }

  inject(frame: Uint8Array): Promise<void> {
    return this.inTurn(async () => {
      await (await this.thread('an injected frame')).order({ kind: 'inject', frame });
    });
  }

  /** Drops all frames for that many milliseconds, unseen by the hook or the faults. */
  cut(ms: number): Promise<void> {
    return this.inTurn(async () => {
      await (await this.thread('a cut')).order({ kind: 'cut', ms });
    });
  }

  /** Lets frames wait in the ring until resume(). */
  pause(): Promise<void> {
    return this.inTurn(async () => {
      await (await this.thread('step')).order({ kind: 'pause' });
      this.paused = true;
    });
  }

  /** The next frame in the ring, while paused; null if there is none. */
  peek(): Promise<SteppedFrame | null> {
    return this.inTurn(async () => (await this.thread('step')).order({ kind: 'peek' }));
  }

  /**
   * Deals with the frame of peek(): 'pass' leaves it to the hook, bytes take its place. False if there is none.
   */
  step(verdict: 'pass' | 'drop' | Uint8Array): Promise<boolean> {
    return this.inTurn(async () => (await this.thread('step')).order({ kind: 'step', verdict }));
  }

  resume(): Promise<void> {
    return this.inTurn(async () => {
      this.paused = false;
      await this.hooked?.order({ kind: 'resume' });
      if (this.choice === null) await this.change(null);
    });
  }

  setLinkDown(down: boolean): void {
    this.linkDown = down;
    (this.hooked ?? this.plain)?.command(COMMAND.linkDown, down ? 1 : 0);
  }

  /** Tells the poller about the impairment between the socket and the interface. */
  private tellImpaired(polled: Polled | undefined): void {
    for (const [word, value] of impairedWords(this.impaired, ++this.impairments)) polled?.command(word, value);
  }

  /**
   * Runs `body` while polling is stopped and frames wait in the ring. `body` returns the impairment that is in place
   * afterwards.
   */
  whileStopped(body: () => Impaired): Promise<void> {
    return this.inTurn(async () => {
      const { hooked, plain } = this;
      const pauses = hooked && !this.paused;
      if (pauses) await hooked.order({ kind: 'pause' });
      try {
        if (plain) await this.hold(plain);
        this.impaired = body();
      } finally {
        this.tellImpaired(hooked ?? plain);
        plain?.command(COMMAND.hold, 0);
        if (pauses) await hooked.order({ kind: 'resume' });
      }
    });
  }

  private async hold(plain: PlainPolled): Promise<void> {
    plain.command(COMMAND.hold, HOLD.asked);
    for (const until = clock.now() + HOLD_MAX_MS; !plain.isHeld() && !this.stopping; await delay(1)) {
      if (clock.now() > until)
        throw new VnetError(
          'BUSY',
          `interface ${this.parts.interface}`,
          `its thread has not answered for ${HOLD_MAX_MS / 1000} s`,
          { hint: HINTS.doctor },
        );
    }
  }

  /**
   * Makes the poller report the outcome of each frame to a recorder, through `outcomes`, a map of createOutcomes() that
   * is borrowed; null ends it.
   */
  setOutcomes(outcomes: BpfMap | null): Promise<void> {
    return this.inTurn(() => {
      if (outcomes) onlyQueue(this.parts, 'a recording');
      this.outcomes = outcomes;
      this.tell(this.hooked ?? this.plain);
      return Promise.resolve();
    });
  }

  /** Gives the poller the map of outcomes, as a descriptor of its own, which the poller closes. */
  private tell(polled: Polled | undefined): void {
    polled?.tell(this.outcomes ? duplicateFd(this.outcomes.fd) : 0);
  }

  /**
   * Ends the loop after it has delivered what is in the ring. It does not wait for its turn, because a hook may hang.
   */
  async stop(): Promise<void> {
    this.stopping = true;
    clearTimeout(this.revival);
    await (this.hooked ?? this.plain)?.stop(STOP.deliver);
    this.parts.faultLog.close();
  }

  private async change(wish: JudgeWish | null, onHookError = this.onHookError): Promise<string | null> {
    if (wish === null) {
      await this.leaveThread(onHookError);
      return null;
    }
    const choice = choiceOf(wish, onHookError);
    this.startFailure = null;
    if (this.hooked) this.startFailure = await useIn(this.hooked, choice, this.parts.faultLog);
    else await this.enterThread(choice);
    this.choose(choice, isFaults(choice) ? onHookError : choice.onError);
    this.isUp();
    return this.startFailure;
  }

  /** The interface's own thread, started if need be; without a hook it passes all frames. */
  private async thread(what: string): Promise<HookThread> {
    requireUp(this.choice, this.down, this.parts.interface, this.parts.netns);
    return this.hooked ?? (await this.enterThread(null, what));
  }

  /**
   * Starts a thread for the interface, with a hook or faults if there is a choice. It takes the interface over from the
   * current poller only once they are loaded.
   */
  private async enterThread(choice: Choice | null, what?: string): Promise<HookThread> {
    const { interface: name, netns, mac, spread, hasPeer, events, finishBatches } = this.parts;
    const request = onlyQueue(this.parts, what ?? choice);
    const died = (error: Error): void =>
      void this.inTurn(() => this.threadDied(thread, error)).catch((cause: unknown) => events.died(cause as VnetError));
    const thread: HookThread = new HookThread(
      { interface: name, netns, mac: mac(), spread, hasPeer },
      { ...events, stalled: () => events.stalled(0), died },
    );
    const wasPlain = this.plain !== undefined;
    try {
      if (choice) this.startFailure = await useIn(thread, choice, this.parts.faultLog);
      await this.plain?.stop(STOP.leave);
      this.plain = undefined;
      await thread.poll(request, { linkDown: this.linkDown, impaired: this.impaired }, this.deadly);
      if (this.outcomes) this.tell(thread);
      this.startedAt = clock.now();
      thread.endsWhenStuck = this.choice?.onError === 'drop';
      return (this.hooked = thread);
    } catch (error) {
      await thread.stop();
      if (wasPlain && !this.plain) {
        finishBatches();
        this.plain = await this.pollPlain();
      }
      throw error;
    }
  }

  private async leaveThread(onHookError = this.onHookError): Promise<void> {
    this.choose(null, onHookError);
    this.isUp();
    if (this.plain) return;
    await this.hooked?.stop(STOP.leave);
    this.hooked = undefined;
    this.deadly = [];
    // A hook that did not return was ended with its thread, perhaps in the middle of a batch.
    this.parts.finishBatches();
    this.plain = await this.pollPlain();
    this.setLinkDown(this.linkDown);
  }

  /** Handles the end of a hook's thread: the hook terminated it, used up its memory, or does not return. */
  private async threadDied(thread: HookThread, { message }: Error): Promise<void> {
    if (this.hooked !== thread || this.stopping) return;
    const { countError, events, finishBatches } = this.parts;
    const what = `${nameOf(this.choice)}: ${message}`;
    countError();
    if (this.choice?.onError !== 'drop') {
      events.error(`${what}; the loop goes on without it: all frames pass unjudged`);
      return this.leaveThread();
    }
    const { deadly } = thread;
    if (deadly !== 0) this.deadly = [...this.deadly, deadly].slice(-BATCH.max);
    await thread.stop();
    this.hooked = undefined;
    finishBatches();
    const overFrame = deadly === 0 ? '' : ', and the frame that it was judging is dropped';
    events.error(`${what}; nothing passes until it has started again${overFrame}`);
    this.pauseMs = clock.now() - this.startedAt > WELL_MS ? 0 : this.nextPause();
    this.isDown(message);
  }

  private nextPause(): number {
    return Math.min(Math.max(PAUSE_MS, this.pauseMs * 2), PAUSE_MAX_MS);
  }

  private isDown(why: string): void {
    if (this.down !== why) this.parts.hookDown(why);
    this.down = why;
    this.revival = setTimeout(() => void this.inTurn(() => this.revive()), this.pauseMs);
  }

  private isUp(): void {
    clearTimeout(this.revival);
    if (this.down !== null) this.parts.hookDown(null);
    this.down = null;
  }

  private async revive(): Promise<void> {
    const { choice, stopping, down } = this;
    if (down === null || choice === null || stopping) return;
    try {
      await this.enterThread(choiceOf(choice, this.onHookError));
      this.isUp();
      this.parts.events.log(`${nameOf(choice)} has started again`);
    } catch (error) {
      const { message } = error as Error;
      if (message !== down) this.parts.events.error(`${message}; nothing passes until it has started again`);
      this.pauseMs = this.nextPause();
      this.isDown(message);
    }
  }

  private choose(choice: Choice | null, onHookError: OnHookError): void {
    const changes = onHookError !== this.onHookError || JSON.stringify(choice) !== JSON.stringify(this.choice);
    this.choice = choice;
    this.onHookError = onHookError;
    if (changes) this.parts.hookChanged(choice, onHookError);
    if (this.hooked) this.hooked.endsWhenStuck = choice?.onError === 'drop';
  }

  private async pollPlain(): Promise<PlainPolled> {
    const { requests, spread, events } = this.parts;
    const conditions = { linkDown: this.linkDown, impaired: this.impaired };
    const begun = await Promise.allSettled(
      requests.map((request) =>
        PollerThread.poll(request, conditions, spread, { ...events, stalled: () => events.stalled(request.queue) }),
      ),
    );
    const queues = begun.filter((result) => result.status === 'fulfilled').map(({ value }) => value);
    const failed = begun.find((result) => result.status === 'rejected');
    const polled = allOf(queues);
    if (failed) {
      await polled.stop(STOP.leave);
      throw failed.reason;
    }
    if (this.outcomes) this.tell(polled);
    return polled;
  }

  private inTurn<T>(body: () => Promise<T>): Promise<T> {
    return this.turns.take(body);
  }
}
