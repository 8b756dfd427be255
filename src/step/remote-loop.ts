// SPDX-License-Identifier: MIT
/** The loop of another process, through its control socket. */
import type { ControlClient } from '../controller/control-socket';
import type { SteppedLoop } from './stepper';

export function remoteLoop(client: ControlClient): SteppedLoop {
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
  return {
    peek: async () => {
      const frame = (await client.ask({ order: 'peek' })) as { bytes: string; superpacket: boolean } | null;
      return frame && { ...frame, bytes: Buffer.from(frame.bytes, 'base64') };
    },
    step: async (verdict) => {
      const order = typeof verdict === 'string' ? { verdict } : { verdict: 'replace', frame: base64(verdict) };
      await client.ask({ order: 'step', ...order });
    },
    inject: async (frame) => {
      await client.ask({ order: 'inject', frame: base64(frame) });
    },
  };
}
