// SPDX-License-Identifier: MIT
/** What other processes may ask of a running loop: another hook, and what the debugger needs. Frames are in base64. */
import * as path from 'node:path';

import { usageError, VnetError } from '../errors';
import { wrongFrame, type OnHookError } from '../hooks/contract';
import type { SteppedFrame } from '../hooks/hook-orders';
import { checkedWords } from '../impair/words';
import type { ControlSession, Order, OrderHandler } from './control-socket';

/** A hook that is asked for; `onError` null: as with the hook before it, `pass` without one. */
export interface HookWish {
  file: string;
  onError: OnHookError | null;
}

/** A running interface, as far as orders go. */
export interface Commanded {
  readonly attachment: { readonly iface: string };
  readonly loop: {
    inject(frame: Uint8Array): Promise<void>;
    pause(): Promise<void>;
    peek(): Promise<SteppedFrame | null>;
    step(verdict: 'pass' | 'drop' | Uint8Array): Promise<boolean>;
    resume(): Promise<void>;
  };
  useHook(hook: HookWish | null): Promise<void>;
  impair(words: string[] | null): Promise<void>;
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

const wrongArgument = (name: string, why: string): VnetError => usageError(`argument "${name}" of an order`, why, 'the command of the same name gives it rightly');

/** Base64 of a frame. */
function frameOf(text: unknown): Uint8Array {
  if (typeof text !== 'string') throw wrongArgument('frame', 'is no text');
  const frame = Buffer.from(text, 'base64');
  const wrong = wrongFrame(frame);
  if (wrong !== null) throw usageError('a frame', wrong, 'a frame begins with its Ethernet header, of 14 bytes');
  return frame;
}

function hookOf(file: unknown, onError: unknown): HookWish {
  if (typeof file !== 'string' || !path.isAbsolute(file) || file.includes('\0')) throw wrongArgument('file', 'is not the whole path of a file');
  if (onError !== null && onError !== 'pass' && onError !== 'drop' && onError !== 'detach') throw wrongArgument('onError', 'is neither pass, drop nor detach');
  return { file, onError };
}

function textsOf(words: unknown): string[] {
  if (!Array.isArray(words)) throw wrongArgument('words', 'is no list');
  return words.map(String);
}

export function loopOrders(controller: Commanded): Readonly<Record<string, OrderHandler>> {
  /** Who has paused the loop. */
  let debugger_: ControlSession | null = null;

  const pause = async (_order: Order, session: ControlSession): Promise<void> => {
    if (debugger_) throw new VnetError('BUSY', `the loop of ${controller.attachment.iface}`, 'somebody is stepping through it already', { hint: 'wait for the other vnet-bpf step, or end it' });
    debugger_ = session;
    // Whoever paused it and went away must not leave it so.
    session.onClose(() => void resume(session));
    await controller.loop.pause();
  };

  const resume = async (session: ControlSession): Promise<void> => {
    if (debugger_ !== session) return;
    debugger_ = null;
    await controller.loop.resume();
  };

  const stepping = (session: ControlSession): void => {
    if (debugger_ !== session) throw new VnetError('STATE', `the loop of ${controller.attachment.iface}`, 'is not paused by you', { hint: 'vnet-bpf step pauses it' });
  };

  return {
    hook: ({ file, onError }) => controller.useHook(file === null ? null : hookOf(file, onError)),
    impair: ({ words }) => controller.impair(words === null ? null : checkedWords(textsOf(words))),
    inject: ({ frame }) => controller.loop.inject(frameOf(frame)),
    pause,
    peek: async (_order, session) => {
      stepping(session);
      const frame = await controller.loop.peek();
      return frame && { bytes: base64(frame.bytes), superpacket: frame.superpacket };
    },
    step: async ({ verdict, frame }, session) => {
      stepping(session);
      if (verdict !== 'replace' && verdict !== 'drop' && verdict !== 'pass') throw wrongArgument('verdict', 'is neither pass, drop nor replace');
      await controller.loop.step(verdict === 'replace' ? frameOf(frame) : verdict);
    },
    resume: (_order, session) => resume(session),
  };
}
