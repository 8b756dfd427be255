// SPDX-License-Identifier: MIT
/** What other processes may ask of a running loop: another hook, and what the debugger needs. Frames are in base64. */
import { usageError, VnetError } from '../errors';
import { wrongFrame, type OnHookError } from '../hooks/contract';
import { checkedWords } from '../impair/words';
import type { ControlSession, Order, OrderHandler } from './control-socket';
import type { Controller } from './controller';

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

function frameOf(text: unknown): Uint8Array {
  const frame = Buffer.from(String(text), 'base64');
  const wrong = wrongFrame(frame);
  if (wrong !== null) throw usageError('a frame', wrong, 'a frame begins with its Ethernet header, of 14 bytes');
  return frame;
}

export function loopOrders(controller: Controller): Readonly<Record<string, OrderHandler>> {
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
    hook: ({ file, onError }) => controller.useHook(file === null ? null : { file: file as string, onError: onError as OnHookError | null }),
    impair: ({ words }) => controller.impair(words === null ? null : checkedWords((words as unknown[]).map(String))),
    inject: ({ frame }) => controller.loop.inject(frameOf(frame)),
    pause,
    peek: async (_order, session) => {
      stepping(session);
      const frame = await controller.loop.peek();
      return frame && { bytes: base64(frame.bytes), superpacket: frame.superpacket };
    },
    step: async ({ verdict, frame }, session) => {
      stepping(session);
      await controller.loop.step(verdict === 'replace' ? frameOf(frame) : verdict === 'drop' ? 'drop' : 'pass');
    },
    resume: (_order, session) => resume(session),
  };
}
