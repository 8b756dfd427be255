// SPDX-License-Identifier: MIT
/**
 * wire: joins the interfaces of one process. What one interface transmits the others receive, after a delay and without
 * what is lost on the way; nothing loops any more. Two namespaces become two machines on a bad line:
 *
 *   await attach('eth0', { netns: 'left', addresses: ['10.77.0.1/24'], hook: './wire.ts' });
 *   await attach('eth0', { netns: 'right', addresses: ['10.77.0.2/24'], hook: './wire.ts' });
 */
import { BroadcastChannel } from 'node:worker_threads';

import type { Hook } from 'vnet-bpf/hooks';

const DELAY_MS = Number(process.env['WIRE_DELAY_MS'] ?? 0);
const LOSS_PERCENT = Number(process.env['WIRE_LOSS_PERCENT'] ?? 0);

/** Each interface has a thread that runs this file; the threads receive each other's frames, but not their own. */
const channel = new BroadcastChannel('vnet-bpf wire');

const wire: Hook = {
  frame(frame) {
    if (Math.random() * 100 >= LOSS_PERCENT) channel.postMessage(frame.copy());
    return 'drop';
  },
  start(nic) {
    channel.onmessage = (message) => {
      const { data: frame } = message as { data: Uint8Array };
      if (DELAY_MS > 0) nic.after(DELAY_MS, () => nic.inject(frame));
      else nic.inject(frame);
    };
  },
  stop: () => channel.close(),
};

export default wire;
