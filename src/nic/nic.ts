// SPDX-License-Identifier: MIT
/** A looping interface, as a program has it. */
import { EventEmitter } from 'node:events';

import type { Controller } from '../controller/controller';
import { readStats, type Stats } from '../datapath/stats';
import type { VnetError } from '../errors';
import { ON_HOOK_ERROR, type OnHookError } from '../controller/options';
import { wrongFrame } from '../hooks/contract';
import { checkedWords } from '../impair/words';
import { inLibrary, oneOf } from '../options/place';
import { hookFile, requireKind } from '../options/read-options';
import { RefusalWatch } from './refusal-watch';

export interface NicEvents {
  /** The queue stopped, so many times since the last event. */
  stopped: [{ times: number }];
  /** The queue woke, so many times since the last event. */
  woken: [{ times: number }];
  /** Frames were refused, and why: a name in `stats().refused`. Looked for twice a second while somebody listens. */
  refused: [{ reason: string; frames: number }];
  /** Somebody set the interface up or down. */
  link: [{ up: boolean }];
  /** A hook threw an error or gave a wrong answer: the file, the line and what, or several added up. */
  hookError: [string];
  /** The interface is lost: somebody deleted it, or the poller died. It is detached after this. */
  error: [VnetError];
  /** Nothing is left of it: detach() was called, here or by `vnet-bpf detach`. The last event. */
  detached: [];
}

/**
 * Made by attach(). It loops until detach(), which `await using` calls by itself; a process that ends without leaves the
 * interface behind as after a crash: `vnet-bpf detach` removes it, attach() takes it over.
 */
export class Nic extends EventEmitter<NicEvents> implements AsyncDisposable {
  private readonly refusals: RefusalWatch;
  private last: Stats | undefined;
  private seen = { stops: 0, wakes: 0 };

  /** @internal */
  constructor(private readonly controller: Controller) {
    super();
    this.refusals = new RefusalWatch(() => this.stats().refused, (reason, frames) => this.emit('refused', { reason, frames }));
    this.seen = controller.queueReading();
    controller.on('queue', () => this.queueChanged());
    controller.on('hookError', (text) => this.emit('hookError', text));
    controller.on('link', (up) => this.emit('link', { up }));
    controller.on('gone', (error) => void this.lost(error));
    controller.once('detached', () => this.ended());
    (this as EventEmitter).on('newListener', (event) => event === 'refused' && this.refusals.start());
  }

  /** The interface's name; it may have been renamed. */
  get name(): string {
    return this.controller.attachment.iface;
  }

  /** Names the attachment in `/run/vnet-bpf`. */
  get id(): string {
    return this.controller.attachment.id;
  }

  /** Where its metrics are served, if they were asked for. */
  get metrics(): string | null {
    return this.controller.attachment.metrics;
  }

  /** The counters of `vnet-bpf stats --json`; those from before once detach() was called. */
  stats(): Stats {
    if (!this.controller.isClosing) this.last = readStats(this.controller.attachment);
    return this.last as Stats;
  }

  /**
   * Lets the interface receive a frame of 14 to 65,576 bytes, checksums included; resolves when it is queued. Counted in
   * `hooks.injected`. Without a hook this moves the interface to a thread of its own.
   */
  async inject(frame: Uint8Array): Promise<void> {
    const wrong = wrongFrame(frame);
    if (wrong !== null) throw new RangeError(`cannot inject: ${wrong}`);
    await this.controller.loop.inject(new Uint8Array(frame));
  }

  /**
   * Puts a hook in the place of the one before while traffic flows, or none. What becomes of a frame over which it fails
   * stays as it was unless given. Rejects, and leaves everything, if it cannot be loaded.
   */
  async hook(file: string | URL | null, onError?: OnHookError): Promise<void> {
    if (onError !== undefined) oneOf(onError, ON_HOOK_ERROR, inLibrary('onError', onError, (good) => `'${good}'`));
    await this.controller.useHook(file === null ? null : { file: hookFile(file), onError: onError ?? null });
  }

  /**
   * Delays, loses, duplicates, reorders, corrupts or slows down what comes back, as `vnet-bpf impair` with the same
   * words: `'delay 20ms loss 1%'`; null takes that away. Rejects with UNSUPPORTED where the kernel has no netem.
   */
  async impair(words: string | null): Promise<void> {
    if (words !== null) requireKind('what impair() is given', words, 'string');
    await this.controller.impair(words === null ? null : checkedWords(words));
  }

  /** Ends the loop and removes everything that was made; resolves when nothing is left. Idempotent. */
  async detach(): Promise<void> {
    this.stats();
    await this.controller.detach();
  }

  private ended(): void {
    this.refusals.stop();
    this.emit('detached');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.detach();
  }

  private queueChanged(): void {
    const { stops, wakes } = this.controller.queueReading();
    const stopped = stops - this.seen.stops;
    const woken = wakes - this.seen.wakes;
    this.seen = { stops, wakes };
    if (stopped > 0) this.emit('stopped', { times: stopped });
    if (woken > 0) this.emit('woken', { times: woken });
  }

  private async lost(error: VnetError): Promise<void> {
    // Without a listener Node would end the process, which then could not clean up.
    if (this.listenerCount('error') > 0) this.emit('error', error);
    await this.detach();
  }
}
