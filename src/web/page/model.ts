// SPDX-License-Identifier: MIT
/** What the page knows: the messages of the server, as far as they are kept, and what it asks of the server. */
import type { Rates } from '../../top/readings';
import type { DebuggerSeen } from '../debugger-protocol';
import type { Action, FrameSeen, FromPage, FromServer, Refusal, StatsSeen, Watchable } from '../protocol';
import { Flows } from './flows';
import { History, MovingRates } from './history';

/** Frames kept. */
export const FRAMES_KEPT = 2000;
/** Milliseconds for which frames are recorded after a view that shows them has closed. */
const RELEASE_MS = 200;
/** The span of the rates that are shown as numbers, in milliseconds. */
const SHOWN_SPAN_MS = 1000;

const NOT_SENT: Refusal = {
  message: 'The connection to the server is lost.',
  hint: 'Try again when the page is connected.',
};

export type Status = 'connecting' | 'open' | 'lost' | 'refused';

export class Model {
  status: Status = 'connecting';
  version = '';
  readOnly = false;
  interfaces: readonly Watchable[] = [];
  watched: string | null = null;
  /** The newest reading of the interface that is watched. */
  seen: StatsSeen | null = null;
  /** The one before. */
  before: StatsSeen | null = null;
  rates: Rates | null = null;
  history = new History();
  private moving = new MovingRates(SHOWN_SPAN_MS);
  /** Why the interface that is watched cannot be read. */
  gone: string | null = null;

  /** The debugger of the interface that is watched; null if no page has used it. */
  debug: DebuggerSeen | null = null;

  frames: FrameSeen[] = [];
  flows = new Flows();
  /** Frames that the server has left out. */
  missed = 0;
  /** Why there are no frames. */
  unavailable: Refusal | null = null;
  /** The filter in use; null while frames are not asked for. */
  private filter: string | null = null;
  /** The filter that is used whenever frames are asked for. */
  wantedFilter = '';
  /** Whether charts have the round trip measured. */
  measures = false;
  /** Views that show frames. */
  private viewers = 0;
  /** The filter of the frames that are kept. */
  private keptFilter = '';
  /** Frames numbered so far: the server counts from 1 again whenever it is asked anew. */
  private numbered = 0;

  private readonly pending = new Map<number, (refusal: Refusal | null) => void>();
  private lastId = 0;
  private readonly listeners = new Set<() => void>();

  constructor(private readonly send: (message: FromPage) => boolean) {}

  /** Calls a function after each change, until the function that is returned is called. */
  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private changed(): void {
    for (const listener of this.listeners) listener();
  }

  opened(): void {
    this.status = 'open';
    this.changed();
  }

  closed(opened: boolean): void {
    // A server that is there and does not accept the token closes the connection before it is open.
    this.status = opened || this.status === 'open' || this.status === 'lost' ? 'lost' : 'refused';
    this.debug = null; // the loop resumes when the page that steers is gone
    for (const answer of this.pending.values()) answer(NOT_SENT);
    this.pending.clear();
    this.changed();
  }

  received(message: FromServer): void {
    switch (message.type) {
      case 'hello':
        this.version = message.version;
        this.readOnly = message.readOnly;
        this.setInterfaces(message.interfaces);
        this.watch();
        break;
      case 'interfaces':
        this.setInterfaces(message.interfaces);
        break;
      case 'stats':
        if (message.interface === this.watched) this.addReading(message);
        break;
      case 'frames':
        if (message.interface === this.watched) this.addFrames(message);
        break;
      case 'debugger':
        if (message.interface === this.watched) this.debug = message;
        break;
      case 'gone':
        if (message.interface === this.watched) this.gone = message.why;
        break;
      case 'done':
        this.pending.get(message.id)?.(message.error);
        this.pending.delete(message.id);
        break;
    }
    this.changed();
  }

  /** The first interface is watched until another one is chosen. */
  private setInterfaces(interfaces: readonly Watchable[]): void {
    this.interfaces = interfaces;
    if (this.watched === null && interfaces[0]) this.choose(interfaces[0].name);
  }

  /** What can be chosen, by name: the interface that is watched stays among them when it is gone. */
  get choices(): { name: string; gone: boolean }[] {
    const { watched } = this;
    const there = this.interfaces.map(({ name }) => ({ name, gone: false }));
    if (watched === null || there.some(({ name }) => name === watched)) return there;
    return [{ name: watched, gone: true }, ...there];
  }

  private addReading(seen: StatsSeen): void {
    this.gone = null;
    this.before = this.seen;
    this.seen = seen;
    this.rates = this.moving.add(seen.time, seen.stats);
    this.history.add(seen);
  }

  private addFrames({ frames, missed, unavailable }: FromServer & { type: 'frames' }): void {
    this.unavailable = unavailable;
    this.missed += missed;
    const numbered = frames.map((frame) => ({ ...frame, number: ++this.numbered }));
    for (const frame of numbered) this.flows.add(frame);
    // A new list: what is shown while the page is paused stays as it is.
    this.frames = [...this.frames, ...numbered].slice(-FRAMES_KEPT);
  }

  choose(name: string): void {
    if (name === this.watched) return;
    this.watched = name;
    this.seen = this.before = this.rates = this.gone = this.debug = null;
    this.history = new History();
    this.moving = new MovingRates(SHOWN_SPAN_MS);
    this.clearFrames();
    this.watch();
    this.changed();
  }

  clearFrames(): void {
    this.frames = [];
    this.flows = new Flows();
    this.numbered = 0;
    this.missed = 0;
    this.unavailable = null;
    this.changed();
  }

  /** Asks for frames that match a filter, or for no more frames. */
  askForFrames(filter: string | null): void {
    if (filter === this.filter) return;
    if (filter !== null && filter !== this.keptFilter) this.clearFrames();
    this.keptFilter = filter ?? this.keptFilter;
    this.filter = filter;
    this.watch();
  }

  /** Has frames recorded until the function that is returned is called; another view may take over at once. */
  showFrames(): () => void {
    this.viewers++;
    this.askForFrames(this.wantedFilter);
    return () => {
      this.viewers--;
      setTimeout(() => this.viewers === 0 && this.askForFrames(null), RELEASE_MS);
    };
  }

  setFilter(filter: string): void {
    this.wantedFilter = filter;
    if (this.filter !== null) this.askForFrames(filter);
  }

  /** Has the round trip measured while charts are shown, or no longer. */
  measure(measures: boolean): void {
    this.measures = measures;
    this.changed();
  }

  private watch(): void {
    const frames = this.filter === null ? null : { filter: this.filter };
    this.send({ type: 'watch', interface: this.watched, frames });
  }

  /** Has the server do something; returns why it did not, or null. */
  do(action: Action): Promise<Refusal | null> {
    const id = ++this.lastId;
    if (this.watched === null || !this.send({ type: 'do', id, interface: this.watched, action }))
      return Promise.resolve(NOT_SENT);
    return new Promise((resolve) => this.pending.set(id, resolve));
  }
}
