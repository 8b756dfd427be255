// SPDX-License-Identifier: MIT
/**
 * The debuggers of the interfaces that pages watch. A page pauses the loop and steers; the other pages that watch the
 * interface see what it sees. The loop resumes when the page lets it, closes, or watches something else, and when this
 * process ends: the controller resumes a loop whose debugger's connection closes.
 */
import { ControlClient, NoAnswer } from '../control/socket';
import { usageError, VnetError } from '../errors';
import { Turns } from '../native/turns';
import { parseFilter } from '../packet/filter';
import { type Attachment, controlSocket } from '../state/store';
import { remoteLoop } from '../step/debugger';
import { refusalOf } from './actions';
import type { DebuggerAction, DebuggerSeen } from './debugger-protocol';
import { Stepping, typedFrame } from './stepping';

/** Milliseconds for which the loop stays paused while no page steers. */
const LET_GO_MS = 30_000;

/** A page that watches the interface. */
export interface Watcher {
  /** What the others call it. */
  readonly who: string;
  /** Sends a message if the page reads fast enough; returns whether it did. */
  offer(text: string): boolean;
}

const NONE = { filter: '', held: null, repeat: null, counts: { passed: 0, dropped: 0, injected: 0, unseen: 0 } };

const gone = (): VnetError =>
  new VnetError('STATE', 'the controller', 'has ended, or does not answer', {
    hint: 'pause the loop again when the interface is running',
  });

interface Pause {
  client: ControlClient;
  stepping: Stepping;
}

class Debugger {
  private pause: Pause | null = null;
  private steering: Watcher | null = null;
  private ended: DebuggerSeen['ended'] = null;
  private version = 0;
  /** Which version a page has been sent last. */
  private sent = new WeakMap<Watcher, number>();
  private letGo: NodeJS.Timeout | undefined;
  /** Resolves when the loop that was paused last runs again. */
  private resumed: Promise<unknown> = Promise.resolve();
  /** Pauses do not overlap. */
  private readonly turns = new Turns();

  /** `watchers` returns the pages that watch the interface now. */
  constructor(
    private readonly name: string,
    private readonly watchers: () => Watcher[],
  ) {}

  // What pages see.

  private readonly changed = (): void => {
    this.version++;
    this.show();
  };

  /** Tells pages what they have not been told, if they read fast enough. */
  show(): void {
    for (const watcher of this.watchers())
      if (this.sent.get(watcher) !== this.version && watcher.offer(JSON.stringify(this.seenBy(watcher))))
        this.sent.set(watcher, this.version);
  }

  private seenBy({ who }: Watcher): DebuggerSeen {
    return {
      type: 'debugger',
      interface: this.name,
      you: who,
      paused: this.pause !== null,
      steering: this.steering?.who ?? null,
      ...(this.pause?.stepping.seen ?? NONE),
      ended: this.ended,
    };
  }

  // What pages do.

  async act(page: Watcher, action: DebuggerAction, attachment: Attachment): Promise<void> {
    if (action.kind === 'pause') return this.turns.take(() => this.take(page, action.filter, attachment));
    if (this.steering !== page && (this.pause !== null || action.kind !== 'inject')) throw this.notSteering();
    if (action.kind === 'inject') return this.inject(action, attachment);
    const { stepping } = this.pause as Pause;
    switch (action.kind) {
      case 'resume':
        return this.end(null);
      case 'let-go':
        return this.leaveControl();
      case 'pass':
      case 'drop':
        return stepping.decide(action.kind, action.frame, action.count);
      case 'hold':
        return stepping.hold();
      case 'edit':
        return stepping.edit(action.frame, action.field, action.value);
      case 'write':
        return stepping.write(action.frame, action.at, action.bytes);
      case 'undo':
        return stepping.undo(action.frame);
    }
  }

  private notSteering(): VnetError {
    const what = `the debugger of ${this.name}`;
    if (this.pause === null) return new VnetError('STATE', what, 'the loop is not paused', { hint: 'pause it first' });
    return this.steering === null
      ? new VnetError('STATE', what, 'this page does not steer', { hint: 'take the control first' })
      : new VnetError('BUSY', what, `${this.steering.who} steers`, { hint: 'wait until it lets go' });
  }

  /** Pauses the loop, or gives the control to a page while no other has it. */
  private async take(page: Watcher, filter: string, attachment: Attachment): Promise<void> {
    if (filter.trim() !== '') parseFilter(filter);
    if (this.steering !== null && this.steering !== page) throw this.notSteering();
    if (this.pause === null) await this.begin(attachment);
    const { pause } = this;
    if (pause === null) throw this.notSteering();
    clearTimeout(this.letGo);
    this.steering = page;
    pause.stepping.setFilter(filter);
    pause.stepping.start();
    this.changed();
    // It may have left while the loop was being paused.
    if (!this.watchers().includes(page)) this.end(null);
  }

  private async begin(attachment: Attachment): Promise<void> {
    await this.resumed;
    const client = await ControlClient.connect(controlSocket(attachment.id));
    try {
      await client.ask({ order: 'pause', by: 'page' });
    } catch (error) {
      client.close();
      throw error;
    }
    const failed = (error: unknown): void => {
      if (this.pause === pause) this.end(error instanceof NoAnswer ? gone() : error);
    };
    const pause: Pause = { client, stepping: new Stepping(remoteLoop(client), this.changed, failed) };
    this.pause = pause;
    this.ended = null;
    client.onGone(() => failed(gone()));
  }

  private async inject({ bytes, fix }: Extract<DebuggerAction, { kind: 'inject' }>, { id }: Attachment): Promise<void> {
    const frame = bytes === null ? null : typedFrame(bytes, fix);
    if (this.pause) return this.pause.stepping.inject(frame);
    if (frame === null) throw this.notSteering();
    using client = await ControlClient.connect(controlSocket(id));
    await remoteLoop(client).inject(frame);
  }

  private leaveControl(): void {
    this.steering = null;
    this.letGo = setTimeout(() => this.end(null), LET_GO_MS);
    this.changed();
  }

  /** A page has gone, or watches something else. */
  left(page: Watcher): void {
    this.sent.delete(page);
    if (this.pause && (this.steering === page || (this.steering === null && this.watchers().length === 0)))
      this.end(null);
  }

  /** Resumes the loop; `error` says why, if no page has asked for it. */
  private end(error: unknown): void {
    const { pause } = this;
    if (pause === null) return;
    clearTimeout(this.letGo);
    this.pause = this.steering = null;
    this.ended = error === null ? null : refusalOf(error);
    pause.stepping[Symbol.dispose]();
    this.resumed = pause.client
      .ask({ order: 'resume' })
      .catch(() => undefined) // then the controller is gone, or sees the connection close
      .finally(() => pause.client.close());
    this.changed();
  }

  /** Resumes the loop; resolves when that is done. */
  async close(): Promise<void> {
    this.end(null);
    await this.resumed;
  }
}

/** The debuggers of all interfaces, by their names. */
export class Debuggers implements AsyncDisposable {
  private readonly all = new Map<string, Debugger>();

  /** `watching` returns the pages that watch an interface now. */
  constructor(private readonly watching: (name: string) => Watcher[]) {}

  /** Does what a page asks for, which watches that interface. Throws a VnetError if it cannot be done. */
  async act(page: Watcher, name: string, action: DebuggerAction, attachment: Attachment): Promise<void> {
    if (!this.watching(name).includes(page))
      throw usageError(action.kind, `this page does not watch ${name}`, 'choose the interface at the top of the page');
    const known = this.all.get(name) ?? new Debugger(name, () => this.watching(name));
    this.all.set(name, known);
    await known.act(page, action, attachment);
  }

  /** Tells the pages that watch an interface what is new. */
  show(name: string): void {
    this.all.get(name)?.show();
  }

  /** A page no longer watches any interface but that one; null: none. */
  left(page: Watcher, watched: string | null): void {
    for (const [name, each] of this.all) if (name !== watched) each.left(page);
  }

  /** Resumes all loops. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.all.values()].map((each) => each.close()));
  }
}
