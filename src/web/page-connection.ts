// SPDX-License-Identifier: MIT
/**
 * One open page: what it watches, what it asks for, and how much it is sent. A page that reads slowly gets fewer
 * readings and frames; what waits for it is bounded.
 */
import type { WebSocket } from 'ws';

import { usageError, VnetError } from '../errors';
import { Turns } from '../native/turns';
import { carryOut, refusalOf } from './actions';
import { isDebuggerAction } from './debugger-messages';
import { FrameBatch } from './frames';
import type { Live, Page } from './live';
import { messageOf } from './messages';
import type { FromPage, FromServer, Refusal } from './protocol';

/** Bytes that may wait for a page before it gets no more readings and frames. */
const WAITING_BYTES = 256 << 10;
/** Bytes at which it is given up: only answers to a page's own messages add up to that. */
const WAITING_BYTES_MAX = 1 << 20;
/** Actions of a page that may wait for the one before. */
const MESSAGES_MAX = 32;

type Do = Extract<FromPage, { type: 'do' }>;

/** Close codes (RFC 6455, 7.4.1 and the registry of IANA). */
const POLICY_VIOLATION = 1008;
const TRY_AGAIN_LATER = 1013;

export class PageConnection implements Page {
  readonly who: string;
  watched: string | null = null;
  batch: FrameBatch | null = null;
  private toldGone = false;
  private answers = true;
  private queued = 0;
  private readonly turns = new Turns();

  /** @param address of the browser; '' if that is on this machine */
  constructor(
    private readonly socket: WebSocket,
    private readonly live: Live,
    address = '',
  ) {
    this.who = live.nextName(address);
    socket.on('message', (data: Buffer, isBinary: boolean) => this.received(isBinary ? '' : data.toString()));
    socket.on('pong', () => (this.answers = true));
    socket.on('error', () => socket.terminate());
    socket.on('close', () => live.delete(this));
    live.add(this);
  }

  // What it gets.

  send(message: FromServer): void {
    this.sendText(JSON.stringify(message));
  }

  private sendText(text: string): void {
    if (this.socket.readyState !== this.socket.OPEN) return;
    if (this.socket.bufferedAmount > WAITING_BYTES_MAX) return this.socket.terminate();
    this.socket.send(text);
  }

  private get isSlow(): boolean {
    return this.socket.bufferedAmount > WAITING_BYTES;
  }

  offer(text: string): boolean {
    if (this.isSlow) return false;
    this.sendText(text);
    return true;
  }

  showReading(text: string | null, why: string): void {
    const { watched } = this;
    if (text !== null) {
      this.toldGone = false;
      if (!this.isSlow) this.sendText(text);
    } else if (watched !== null && !this.toldGone) {
      this.toldGone = true;
      this.send({ type: 'gone', interface: watched, why });
    }
  }

  showFrames(unavailable: Refusal | null): void {
    if (this.watched === null || this.isSlow) return;
    const message = this.batch?.take(this.watched, unavailable);
    if (message) this.send(message);
  }

  check(): void {
    if (!this.answers) return this.socket.terminate();
    this.answers = false;
    this.socket.ping();
  }

  // What it asks for: one action after the other.

  private received(text: string): void {
    const message = messageOf(text);
    if (message === null) return this.socket.close(POLICY_VIOLATION, 'a message that no page sends');
    if (message.type === 'watch') return this.watch(message);
    if (this.queued >= MESSAGES_MAX) return this.socket.close(TRY_AGAIN_LATER, 'too many actions at once');
    this.queued++;
    void this.turns.take(() => this.do(message)).finally(() => this.queued--);
  }

  private async do(message: Do): Promise<void> {
    if (this.socket.readyState !== this.socket.OPEN) return;
    const { id } = message;
    try {
      await this.carryOut(message);
      this.send({ type: 'done', id, error: null });
    } catch (error) {
      this.send({ type: 'done', id, error: refusalOf(error) });
    }
  }

  private async carryOut({ interface: name, action }: Do): Promise<void> {
    if (this.live.readOnly)
      throw usageError(action.kind, 'this page only shows', 'start vnet-bpf web without --read-only');
    const attachment = this.live.interfaces.find(name);
    if (attachment === null)
      throw new VnetError('NOT_ATTACHED', name, 'is not attached', { hint: 'vnet-bpf list shows what is' });
    if (isDebuggerAction(action)) await this.live.debuggers.act(this, name, action, attachment);
    else await carryOut(action, attachment);
  }

  private watch({ interface: name, frames }: Extract<FromPage, { type: 'watch' }>): void {
    const before =
      this.watched !== null && this.batch ? { feed: this.live.feedOf(this.watched), batch: this.batch } : null;
    this.watched = name;
    this.batch = null;
    this.toldGone = false;
    this.live.debuggers.left(this, name);
    if (name !== null && frames !== null) this.addBatch(name, frames.filter);
    // Last, so that a recording goes on if only the filter changes.
    before?.feed.delete(before.batch);
  }

  private addBatch(name: string, filter: string): void {
    try {
      this.batch = new FrameBatch(filter);
      this.live.feedOf(name).add(this.batch);
    } catch (error) {
      this.send({ type: 'frames', interface: name, frames: [], missed: 0, unavailable: refusalOf(error) });
    }
  }

  close(code: number, reason: string): void {
    this.socket.close(code, reason);
  }
}
