// SPDX-License-Identifier: MIT
/** A flat-out sender and its receiver, for as long as a test acts on the loop. */
import type { Test } from 'tap';

import type { FloodOptions, FloodReceived, FloodSent } from './flood-tool';
import { startTool, type ToolProcess } from './tool-process';
import { freePort } from './traffic';

export type { FloodReceived, FloodSent } from './flood-tool';

export interface Flood {
  sender: ToolProcess<FloodSent>;
  receiver: ToolProcess<FloodReceived>;
}

/** Starts the receiver, waits until it listens, and starts the sender. */
export async function startFlood(t: Test, netns: string, options: Omit<FloodOptions, 'port'>): Promise<Flood> {
  const all = { ...options, port: freePort() };
  const receiver = startTool<FloodReceived>(t, netns, 'flood-tool', 'receive', all);
  await receiver.ready;
  return { sender: startTool<FloodSent>(t, netns, 'flood-tool', 'send', all), receiver };
}

/** Starts only a receiver; returns it and the port on which it listens. */
export async function startFloodReceiver(
  t: Test,
  netns: string,
  options: Omit<FloodOptions, 'port'>,
): Promise<{ receiver: ToolProcess<FloodReceived>; port: number }> {
  const port = freePort();
  const receiver = startTool<FloodReceived>(t, netns, 'flood-tool', 'receive', { ...options, port });
  await receiver.ready;
  return { receiver, port };
}

/** Asserts that no datagram was lost, repeated, overtaken or damaged. */
export function checkReceived(t: Test, received: FloodReceived, sent: number): void {
  const { overflow, missing, repeated, overtaken, damaged } = received;
  t.equal(overflow, 0, 'the receiving socket had space for all');
  t.equal(received.received, sent, `all ${sent} were received`);
  t.same(
    { missing, repeated, overtaken, damaged },
    { missing: 0, repeated: 0, overtaken: 0, damaged: 0 },
    'each once, in order and whole',
  );
}
