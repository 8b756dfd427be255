// SPDX-License-Identifier: MIT
/** The library: attach(), its options, and Nic, the object for a looping interface. */
import { EventEmitter } from 'node:events';
import * as path from 'node:path';

import type { Controller } from '../controller/controller';
import { CARRIER_LOSS_MAX_MS, type JudgeWish } from '../control/orders';
import { readStats, type Stats } from '../datapath/stats';
import { usageError, type VnetError } from '../errors';
import { readFaults, type RulesInput } from '../faults/document';
import type { Fault } from '../faults/log';
import { readLog } from '../faults/log-writer';
import { type FaultsWish, readWish, wishOf } from '../faults/source';
import { type HookExport, isHookExport, wrongFrame } from '../hooks/contract';
import type { FaultsReport } from '../hooks/fault-hook';
import { checkedWords } from '../impair/words';
import { attachAll } from '../lifecycle/attach';
import { parseListenAddress } from '../metrics/address';
import { ATTACH_OPTIONS, type AttachOptions, type LibraryOptions } from '../options/attach-options';
import { hookFile, readLibraryOptions, requireKind } from '../options/read-options';
import { inLibrary, ON_HOOK_ERROR, oneOf, type OnHookError } from '../options/values';
import { faultLogFiles } from '../state/store';

/** The options of attach(); each is an option of `vnet-bpf attach`, with the same default. */
export interface NicOptions extends LibraryOptions {
  /**
   * Address and port at which metrics are served for Prometheus: `127.0.0.1:9100`; port 0 takes any free port, see
   * `Nic.metrics`.
   */
  metrics?: string;
  /** Detaches the interface when aborted. */
  signal?: AbortSignal;
}

/** Checks everything that can be checked without the kernel. Throws a USAGE error. */
export const toAttachOptions = (iface: string, options: NicOptions): AttachOptions =>
  readLibraryOptions(iface, options);

/**
 * How often refusals are looked for, in milliseconds: nothing announces them, so counters are read while there are
 * listeners.
 */
const INTERVAL_MS = 500;

export class RefusalWatch {
  private timer: NodeJS.Timeout | undefined;
  private seen: Record<string, number> = {};

  constructor(
    private readonly read: () => Record<string, number>,
    private readonly tell: (reason: string, frames: number) => void,
  ) {}

  start(): void {
    if (this.timer) return;
    this.seen = { ...this.read() };
    this.timer = setInterval(() => this.look(), INTERVAL_MS).unref();
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private look(): void {
    const now = this.read();
    const before = this.seen;
    this.seen = { ...now };
    for (const [reason, count] of Object.entries(now)) {
      const frames = count - (before[reason] ?? 0);
      if (frames > 0) this.tell(reason, frames);
    }
  }
}

export interface NicEvents {
  /** The queue stopped, `times` times since the last event. */
  stopped: [{ times: number }];
  /** The queue woke, `times` times since the last event. */
  woken: [{ times: number }];
  /**
   * Frames were refused; the reason is a name in `stats().refused`. Checked twice a second while there are listeners.
   */
  refused: [{ reason: string; frames: number }];
  /** The interface was set up or down. */
  link: [{ up: boolean }];
  /** A hook threw an error or gave a wrong answer: the file, the line and the error, or several errors added up. */
  hookError: [string];
  /** The interface is lost: it was deleted, or the poller died. It is detached after this event. */
  error: [VnetError];
  /** Nothing of the interface is left: detach() was called, here or by `vnet-bpf detach`. The last event. */
  detached: [];
}

/**
 * A looping interface, made by attach(). It loops until detach(), which `await using` calls. A process that ends
 * without detaching leaves the interface behind as after a crash: `vnet-bpf detach` removes it, attach() takes it over.
 */
export class Nic extends EventEmitter<NicEvents> implements AsyncDisposable {
  private readonly refusals: RefusalWatch;
  private last: Stats | undefined;
  private seen = { stops: 0, wakes: 0 };

  /** @internal */
  constructor(private readonly controller: Controller) {
    super();
    this.refusals = new RefusalWatch(
      () => this.stats().refused,
      (reason, frames) => this.emit('refused', { reason, frames }),
    );
    this.seen = controller.queueReading();
    controller.on('queue', () => this.queueChanged());
    controller.on('hookError', (text) => this.emit('hookError', text));
    controller.on('link', (up) => this.emit('link', { up }));
    controller.on('gone', (error) => void this.lost(error));
    controller.once('detached', () => this.ended());
    (this as EventEmitter).on('newListener', (event) => event === 'refused' && this.refusals.start());
  }

  /** @internal Warnings to show when the interface is ready. */
  warnings(): string[] {
    return this.controller.warnings();
  }

  /** The interface's current name, which changes if it is renamed. */
  get name(): string {
    return this.controller.attachment.iface;
  }

  /** Identity of the attachment in `/run/vnet-bpf`. */
  get id(): string {
    return this.controller.attachment.id;
  }

  /** URL of its metrics; null if they are not served. */
  get metrics(): string | null {
    return this.controller.attachment.metrics;
  }

  /** The counters of `vnet-bpf stats --json`; once detach() was called, those from before. */
  stats(): Stats {
    if (!this.controller.isClosing) this.last = readStats(this.controller.attachment);
    return this.last as Stats;
  }

  /**
   * Makes the interface receive a frame of 14 to 65,576 bytes, checksums included; resolves when the frame is queued.
   * Counted in `hooks.injected`. Without a hook this moves the interface to a thread of its own.
   */
  async inject(frame: Uint8Array): Promise<void> {
    const wrong = wrongFrame(frame);
    if (wrong !== null) throw new RangeError(`cannot inject: ${wrong}`);
    await this.controller.loop.inject(new Uint8Array(frame));
  }

  /**
   * Replaces the hook while traffic flows; null removes it. Without `onError`, what happens to a frame on which the
   * hook fails stays as it was, also while there is none. Rejects, and changes nothing, if the hook cannot be loaded.
   *
   * A function, or an object with functions, is called in this thread, and each frame waits for its answer: that is for
   * tests, with some thousand frames per second. Nothing may block this thread meanwhile, as execFileSync() does.
   */
  async hook(hook: string | URL | HookExport | null, onError?: OnHookError): Promise<void> {
    if (onError !== undefined)
      oneOf(
        onError,
        ON_HOOK_ERROR,
        inLibrary('onError', onError, (good) => `'${good}'`),
      );
    await this.controller.use('hook', hook === null ? null : hookWish(hook, onError ?? null), onError);
  }

  /**
   * Drops all frames for `ms` milliseconds, at most an hour, from now on; resolves at once. Neither a hook nor faults see
   * them. Counted in `hooks.dropped`. Without a hook this moves the interface to a thread of its own.
   */
  async cut(ms: number): Promise<void> {
    requireTime('cut', ms, 'cut(2000)');
    await this.controller.loop.cut(ms);
  }

  /**
   * Delays, loses, duplicates, reorders, corrupts or slows down what comes back, with the words of `vnet-bpf impair`:
   * `'delay 20ms loss 1%'`; null removes the impairment. Rejects with UNSUPPORTED if the kernel has no netem.
   */
  async impair(words: string | null): Promise<void> {
    if (words !== null) requireKind('what impair() is given', words, 'string');
    await this.controller.impair(words === null ? null : checkedWords(words));
  }

  /**
   * Puts faults in place while traffic flows; null removes them. `rules` are rules in words, such as
   * `'udp port 53 nth 2: drop'`, rules as data, or the name of a file. Connections and frames count from then on. If a
   * rule is wrong, or if there is a hook, it rejects and changes nothing.
   */
  async faults(rules: RulesInput | null, { seed }: { seed?: number } = {}): Promise<void> {
    await this.controller.use('faults', rules === null ? null : { faults: wishFrom(rules, seed) });
  }

  /** The faults that have happened since they were put in place; of very many, the latest. */
  async faultLog(): Promise<Fault[]> {
    await this.controller.loop.faultsReport(); // writes what waits
    return readLog(faultLogFiles(this.id)).map((line) => JSON.parse(line) as Fault);
  }

  /** What the faults in place are, and how often each rule has matched; null if there are none. */
  async faultsReport(): Promise<FaultsReport | null> {
    return this.controller.loop.faultsReport();
  }

  /**
   * Takes the carrier away (`'down'`), as pulling out the cable does, or restores it (`'up'`). With `forMs` it comes back
   * after that many milliseconds, at most an hour. Applications see NO-CARRIER, and frames that they send meanwhile are
   * refused (`down`). Rejects with UNSUPPORTED for a dummy.
   */
  // A failure is a rejection, as with the other methods.
  // eslint-disable-next-line @typescript-eslint/require-await
  async carrier(direction: 'down' | 'up', { forMs }: { forMs?: number } = {}): Promise<void> {
    requireKind('direction', direction, 'string');
    oneOf(direction, ['down', 'up'], inLibrary('direction', direction, String));
    const example = "carrier('down', { forMs: 2000 })";
    if (forMs !== undefined) requireTime('forMs', forMs, example);
    if (forMs !== undefined && direction === 'up') throw usageError('forMs', 'goes with down', example);
    if (direction === 'up') this.controller.carrier.restore();
    else this.controller.carrier.lose(forMs ?? null);
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

/** Throws USAGE for what is no time in milliseconds, or longer than an hour. */
function requireTime(name: string, ms: unknown, example: string): void {
  requireKind(name, ms, 'number');
  if (!((ms as number) >= 0 && (ms as number) <= CARRIER_LOSS_MAX_MS))
    throw usageError(`${name} ${String(ms)}`, `is not a time of at most ${CARRIER_LOSS_MAX_MS} milliseconds`, example);
}

/** A hook of this program is checked; one in a file is checked when it is loaded. Throws USAGE or HOOK. */
function hookWish(hook: string | URL | HookExport, onError: OnHookError | null): JudgeWish {
  if (!isHookExport(hook)) return { file: hookFile(hook), onError };
  // Most programs have no hook of their own.
  const { FunctionHook, FUNCTION_FILE } = require('../hooks/function-host') as typeof import('../hooks/function-host');
  const functions = new FunctionHook(hook);
  return { file: FUNCTION_FILE, onError, connect: () => functions.connect() };
}

/** Reads rules and a seed as passed to the library. Throws USAGE or HOOK. */
function wishFrom(rules: RulesInput, given: number | undefined): FaultsWish {
  if (given !== undefined) requireKind('seed', given, 'number');
  const seed =
    given === undefined
      ? null
      : ATTACH_OPTIONS.seed.read(
          String(given),
          inLibrary('seed', given, (good) => good),
        );
  const absolute = (file: string): string => path.resolve(file);
  return typeof rules === 'string' ? readWish(rules, seed, absolute) : wishOf(readFaults(rules), seed, absolute);
}

// attach() of the library.

/**
 * Makes an interface whose transmitted frames come back as received ones. Needs root, and Linux 6.1 or later. Resolves
 * when the interface is up and has its addresses.
 *
 * @param iface the interface's name, such as `vnet0`
 * @throws VnetError with a stable `code`; nothing is left behind then
 */
export async function attach(iface: string, options: NicOptions = {}): Promise<Nic> {
  const checked = toAttachOptions(iface, options);
  const { signal, metrics } = options;
  const metricsAt = metrics === undefined ? null : parseListenAddress(metrics, inLibrary('metrics', metrics, String));
  signal?.throwIfAborted();
  const controllers: Controller[] = [];
  await attachAll([iface], checked, metricsAt, controllers);
  const nic = new Nic(controllers[0] as Controller);
  const abort = (): void => void nic.detach();
  signal?.addEventListener('abort', abort, { once: true });
  nic.once('detached', () => signal?.removeEventListener('abort', abort));
  if (!signal?.aborted) return nic;
  await nic.detach();
  throw signal.reason;
}
