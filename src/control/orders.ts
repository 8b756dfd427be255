// SPDX-License-Identifier: MIT
/**
 * The orders that other processes may give to a running interface: another hook, faults, an impairment, a loss of the
 * carrier, those of the debugger, a recording. Frames are in base64.
 */
import * as path from 'node:path';

import type { SharedWords } from '../datapath/shared-memory';
import { usageError, VnetError } from '../errors';
import { type FaultsWish, writtenWish } from '../faults/source';
import { type OnHookError, wrongFrame } from '../hooks/contract';
import type { FaultsReport } from '../hooks/fault-hook';
import type { FunctionLink } from '../hooks/function-host';
import type { SteppedFrame } from '../hooks/worker';
import { checkedWords } from '../impair/words';
import { CONTROL } from '../layout';
import type { ControlSession, Order, OrderHandler } from './socket';

/** A hook that is asked for. With `onError` null the interface's setting decides. */
export interface HookWish {
  file: string;
  onError: OnHookError | null;
}

/** The same for a hook that is a function of this program; called for each thread that is to call it. */
export interface FunctionWish extends HookWish {
  connect: () => FunctionLink;
}

/** What is to judge the frames. */
export type JudgeWish = HookWish | FunctionWish | { faults: FaultsWish };
export type JudgeKind = 'hook' | 'faults' | 'impairment';

/** A running interface, as far as these orders need it. */
export interface Commanded {
  readonly attachment: { readonly iface: string };
  readonly log: { write(text: string): void };
  readonly loop: {
    inject(frame: Uint8Array): Promise<void>;
    pause(): Promise<void>;
    peek(): Promise<SteppedFrame | null>;
    step(verdict: 'pass' | 'drop' | Uint8Array): Promise<boolean>;
    resume(): Promise<void>;
    cut(ms: number): Promise<void>;
    faultsReport(): Promise<FaultsReport | null>;
  };
  /**
   * Replaces the hook or the faults, or removes them (null) and leaves a setting for the next hook. Returns a warning
   * for the user, or null.
   */
  use(kind: JudgeKind, wish: JudgeWish | null, onHookError?: OnHookError | null): Promise<string | null>;
  impair(words: string[] | null): Promise<void>;
  readonly carrier: {
    /** Takes the carrier away for `forMs` milliseconds; null: until restore(). */
    lose(forMs: number | null): void;
    restore(): void;
  };
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

const wrongArgument = (name: string, why: string): VnetError =>
  usageError(`argument "${name}" of an order`, why, 'the command of the same name gives it rightly');

/** Reads a frame in base64. Throws USAGE. */
function frameOf(text: unknown): Uint8Array {
  if (typeof text !== 'string') throw wrongArgument('frame', 'is no text');
  const frame = Buffer.from(text, 'base64');
  const wrong = wrongFrame(frame);
  if (wrong !== null) throw usageError('a frame', wrong, 'a frame begins with its Ethernet header, of 14 bytes');
  return frame;
}

function fileOf(file: unknown): string {
  if (typeof file !== 'string' || !path.isAbsolute(file) || file.includes('\0'))
    throw wrongArgument('file', 'is not the whole path of a file');
  return file;
}

function onErrorOf(onError: unknown): OnHookError | null {
  if (onError !== null && onError !== 'pass' && onError !== 'drop' && onError !== 'detach')
    throw wrongArgument('onError', 'is neither pass, drop nor detach');
  return onError;
}

/** Reads faults: a document, or a module and a seed. Throws USAGE. */
function faultsOf(document: unknown, file: unknown, seed: unknown): FaultsWish {
  if (typeof document === 'string') return writtenWish(document);
  if (seed !== null && !(typeof seed === 'number' && Number.isSafeInteger(seed) && seed >= 0))
    throw wrongArgument('seed', 'is not a whole number');
  return { file: fileOf(file), seed };
}

/** The longest loss of the carrier that ends by itself, in milliseconds: an hour, as any time of a rule. */
export const CARRIER_LOSS_MAX_MS = 3_600_000;

/** Reads a time in milliseconds, of an hour at most. Throws USAGE. */
function timeOf(name: string, ms: unknown): number {
  if (typeof ms === 'number' && ms >= 0 && ms <= CARRIER_LOSS_MAX_MS) return ms;
  throw wrongArgument(name, `is not a time of at most ${CARRIER_LOSS_MAX_MS} milliseconds`);
}

function textsOf(words: unknown): string[] {
  if (!Array.isArray(words)) throw wrongArgument('words', 'is no list');
  return words.map(String);
}

/** What may pause a loop, as `by` of the order names it, and what ends that. */
const DEBUGGERS = {
  step: 'vnet-bpf step has paused it: end that, or let it resume the loop',
  page: 'a page of vnet-bpf web has paused it: resume the loop there, or close that page',
} as const;

export function loopOrders(controller: Commanded): Readonly<Record<string, OrderHandler>> {
  /** The connection that has paused the loop. */
  let debugger_: ControlSession | null = null;
  let by: keyof typeof DEBUGGERS = 'step';

  const pause = async (order: Order, session: ControlSession): Promise<void> => {
    if (debugger_)
      throw new VnetError(
        'BUSY',
        `the loop of ${controller.attachment.iface}`,
        'somebody is stepping through it already',
        { hint: DEBUGGERS[by] },
      );
    debugger_ = session;
    by = order['by'] === 'page' ? 'page' : 'step';
    // A debugger that goes away must not leave the loop paused.
    session.onClose(() => void resume(session));
    await controller.loop.pause();
    controller.log.write(`a debugger has paused the loop of ${controller.attachment.iface}`);
  };

  const resume = async (session: ControlSession): Promise<void> => {
    if (debugger_ !== session) return;
    debugger_ = null;
    await controller.loop.resume();
    controller.log.write(`the debugger has ended: ${controller.attachment.iface} loops again`);
  };

  const stepping = (session: ControlSession): void => {
    if (debugger_ !== session)
      throw new VnetError('STATE', `the loop of ${controller.attachment.iface}`, 'is not paused by you', {
        hint: 'vnet-bpf step pauses it',
      });
  };

  return {
    hook: ({ file, onError: asked }) => {
      const onError = onErrorOf(asked ?? null);
      return controller.use('hook', file === null ? null : { file: fileOf(file), onError }, onError);
    },
    faults: ({ document, file, seed }) =>
      controller.use('faults', document === null && file === null ? null : { faults: faultsOf(document, file, seed) }),
    'faults-report': () => controller.loop.faultsReport(),
    impair: ({ words }) => controller.impair(words === null ? null : checkedWords(textsOf(words))),
    carrier: ({ direction, forMs }) => {
      if (direction === 'down') return controller.carrier.lose(forMs === null ? null : timeOf('forMs', forMs));
      if (direction === 'up') return controller.carrier.restore();
      throw wrongArgument('direction', 'is neither down nor up');
    },
    cut: ({ ms }) => controller.loop.cut(timeOf('ms', ms)),
    inject: ({ frame }) => controller.loop.inject(frameOf(frame)),
    pause,
    peek: async (_order, session) => {
      stepping(session);
      const frame = await controller.loop.peek();
      return frame && { bytes: base64(frame.bytes), superpacket: frame.superpacket };
    },
    step: async ({ verdict, frame }, session) => {
      stepping(session);
      if (verdict !== 'replace' && verdict !== 'drop' && verdict !== 'pass')
        throw wrongArgument('verdict', 'is neither pass, drop nor replace');
      await controller.loop.step(verdict === 'replace' ? frameOf(frame) : verdict);
    },
    resume: (_order, session) => resume(session),
  };
}

// The orders of a recorder. A recording lives as long as its connection: when that closes, the recording ends.

export interface RecordingRequest {
  /** Bytes of the trace ring: a power of two, and whole pages. */
  bufferBytes: number;
  /** Bytes of each frame that are recorded. */
  snapLen: number;
}

/** What other recorders have missed before: the counters are never reset. */
export interface RecordingAnswer {
  missed: number;
  notesMissed: number;
}

/** A recording in progress. */
export interface Ongoing {
  stopTracing(): void;
  pause(isPaused: boolean): void;
  end(): Promise<void>;
}

export class RecorderOrders {
  private current: { session: ControlSession; recording: Promise<Ongoing> } | null = null;

  constructor(
    private readonly iface: () => string,
    private readonly control: SharedWords,
    private readonly begin: (request: RecordingRequest) => Promise<Ongoing>,
    /** The rules of a set of faults, as recordings name them; null if they are not known. */
    private readonly faultRules: (set: number) => readonly string[] | null,
  ) {}

  readonly orders: Readonly<Record<string, OrderHandler>> = {
    record: (order, session) => this.record(order, session),
    'record-stop': async (_order, session) => {
      if (this.current?.session === session) (await this.current.recording).stopTracing();
    },
    'record-pause': async ({ paused }, session) => {
      if (this.current?.session === session) (await this.current.recording).pause(paused === true);
    },
    'fault-rules': ({ set }) => this.faultRules(Number(set)),
  };

  private async record({ bufferBytes, snapLen }: Order, session: ControlSession): Promise<RecordingAnswer> {
    if (this.current)
      throw new VnetError('BUSY', `interface ${this.iface()}`, 'somebody records it already', {
        hint: 'wait for the other vnet-bpf record, or end it; Wireshark may be one',
      });
    const answer = {
      missed: this.control.get64(CONTROL.traceMissed),
      notesMissed: this.control.get64(CONTROL.traceNotesMissed),
    };
    const mine = { session, recording: this.begin({ bufferBytes: count(bufferBytes), snapLen: count(snapLen) }) };
    this.current = mine;
    session.onClose(() => void this.endOf(mine));
    try {
      await mine.recording;
    } catch (error) {
      await this.endOf(mine);
      throw error;
    }
    return answer;
  }

  private async endOf(mine: NonNullable<RecorderOrders['current']>): Promise<void> {
    const recording = await mine.recording.catch(() => null);
    await recording?.end();
    if (this.current === mine) this.current = null;
  }

  /** Ends the recording in progress, if any; the recorder sees its connection close. */
  async end(): Promise<void> {
    const { current } = this;
    if (!current) return;
    await this.endOf(current);
    current.session.close();
  }
}

/** A positive whole number of at most 31 bits. Throws USAGE for anything else. */
function count(value: unknown): number {
  if (typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= 0x7fffffff) return value;
  throw usageError('a recording', 'the order lacks a number', 'vnet-bpf record gives it');
}

/**
 * With VNET_BPF_TEST_FAULTS=1, the order {"order":"fault","part":"..."} of tests, for parts that cannot be reached from
 * outside.
 */
export const faultOrders = (faults: Readonly<Record<string, () => void>>): Readonly<Record<string, OrderHandler>> =>
  process.env['VNET_BPF_TEST_FAULTS'] ? { fault: ({ part }) => (faults[String(part)] as () => void)() } : {};

/** Throws an error that nothing catches, once the order has been answered. */
export function failLater(): void {
  setTimeout(() => {
    throw new Error('a fault that a test asked for');
  }, 10);
}
