// SPDX-License-Identifier: MIT
/**
 * What pages see, ten times a second: readings of the interfaces that they watch, and frames. While no page is open,
 * nothing runs, and while none watches an interface, nothing of it is read.
 */
import type { Attachment } from '../state/store';
import { refusalOf } from './actions';
import { Debuggers, type Watcher } from './debugger';
import { type FrameBatch, FrameFeed } from './frames';
import { Interfaces, readingOf } from './interfaces';
import type { FromServer, Refusal } from './protocol';

const TICK_MS = 100;
/** Ticks between two looks at which interfaces there are. */
const LOOK_TICKS = 10;
/** Ticks between two checks whether a page is still there: 10 s. */
const CHECK_TICKS = 100;

const GONE = 'it is not attached, or not in sight of this server';

/** An open page. */
export interface Page extends Watcher {
  /** The name of the interface that it watches; null: none. */
  readonly watched: string | null;
  /** The frames that it is to be sent; null if it wants none. */
  readonly batch: FrameBatch | null;
  send(message: FromServer): void;
  /** Sends a reading, or once that there is none. */
  showReading(text: string | null, why: string): void;
  showFrames(unavailable: Refusal | null): void;
  /** Ends the connection if the page has not answered since the last check. */
  check(): void;
}

export class Live implements AsyncDisposable {
  readonly interfaces: Interfaces;
  readonly debuggers = new Debuggers((name) => [...this.pages].filter(({ watched }) => watched === name));
  private readonly pages = new Set<Page>();
  private readonly feeds = new Map<string, FrameFeed>();
  /** Feeds whose recording is about to end. */
  private readonly ending = new Set<Promise<void>>();
  private timer: NodeJS.Timeout | undefined;
  private ticks = 0;
  private opened = 0;

  constructor(
    look: () => Attachment[],
    private readonly version: string,
    readonly readOnly: boolean,
  ) {
    this.interfaces = new Interfaces(look);
  }

  get count(): number {
    return this.pages.size;
  }

  /** What a page is called that opens now, from an address; '' if that is this machine. */
  nextName(address: string): string {
    return `page ${++this.opened}${address === '' ? '' : ` (${address})`}`;
  }

  /** A page has opened. */
  add(page: Page): void {
    this.pages.add(page);
    this.interfaces.refresh();
    const { version, readOnly } = this;
    page.send({ type: 'hello', version, readOnly, interfaces: this.interfaces.watchable });
    this.timer ??= setInterval(() => this.tick(), TICK_MS);
  }

  delete(page: Page): void {
    this.pages.delete(page);
    this.debuggers.left(page, null);
    this.feeds.forEach((feed) => page.batch && feed.delete(page.batch));
    if (this.pages.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
    this.forgetFeeds(new Set());
  }

  /** The feed of an interface; one is made for a page that wants frames. */
  feedOf(name: string): FrameFeed {
    const feed = this.feeds.get(name) ?? new FrameFeed(Promise.all(this.ending));
    this.feeds.set(name, feed);
    return feed;
  }

  private tick(): void {
    const ticks = this.ticks++;
    if (ticks % CHECK_TICKS === 0) this.pages.forEach((page) => page.check());
    if (ticks % LOOK_TICKS === 0 && this.interfaces.refresh()) {
      const { watchable } = this.interfaces;
      this.pages.forEach((page) => page.send({ type: 'interfaces', interfaces: watchable }));
    }
    const watched = new Map<string, Page[]>();
    for (const page of this.pages)
      if (page.watched !== null) watched.set(page.watched, [...(watched.get(page.watched) ?? []), page]);
    this.forgetFeeds(watched);
    for (const [name, pages] of watched) this.show(name, pages);
  }

  private show(name: string, pages: readonly Page[]): void {
    const feed = this.feeds.get(name);
    const [text, why] = this.read(name, feed);
    for (const page of pages) {
      page.showReading(text, why);
      page.showFrames(feed?.unavailable ?? null);
    }
    this.debuggers.show(name);
  }

  /** A reading as a message; null, and why there is none. A lack of memory or descriptors passes. */
  private read(name: string, feed: FrameFeed | undefined): [string | null, string] {
    try {
      const attachment = this.interfaces.find(name);
      if (attachment) feed?.keepGoing(attachment);
      const reading = attachment && readingOf(name, attachment, feed?.latency ?? null);
      return [reading && JSON.stringify(reading), GONE];
    } catch (error) {
      return [null, refusalOf(error).message];
    }
  }

  private forgetFeeds(kept: ReadonlyMap<string, unknown> | ReadonlySet<string>): void {
    for (const [name, feed] of this.feeds) {
      if (kept.has(name)) continue;
      this.feeds.delete(name);
      const end = feed.close();
      this.ending.add(end);
      void end.finally(() => this.ending.delete(end));
    }
  }

  /** Ends everything; resolves when no recording and no paused loop is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const page of this.pages) this.delete(page);
    await this.debuggers[Symbol.asyncDispose]();
    await Promise.all(this.ending);
  }
}
