// SPDX-License-Identifier: MIT
/**
 * Fault injection for tests: VNET_BPF_TEST_KILL_AT=<step> ends the process with SIGKILL when it reaches that step of
 * attach or detach. VNET_BPF_TEST_STEPS=1 prints the steps. With VNET_BPF_TEST_FAULTS=1 a controller accepts the order
 * {"order":"fault","part":"..."}, for parts that cannot be reached from outside.
 */
import { usageError } from '../errors';
import type { OrderHandler } from './socket';

export function step(name: string): void {
  if (process.env['VNET_BPF_TEST_STEPS']) process.stderr.write(`step ${name}\n`);
  if (process.env['VNET_BPF_TEST_KILL_AT'] === name) process.kill(process.pid, 'SIGKILL');
}

export function faultOrders(faults: Readonly<Record<string, () => void>>): Readonly<Record<string, OrderHandler>> {
  if (!process.env['VNET_BPF_TEST_FAULTS']) return {};
  const fault: OrderHandler = ({ part }) => {
    const fail = faults[String(part)];
    if (!fail) throw usageError(`fault "${String(part)}"`, 'there is none of that name', Object.keys(faults).join(', '));
    fail();
  };
  return { fault };
}

/** Throws an error that nothing catches, once the order has been answered. */
export function failLater(): void {
  setTimeout(() => {
    throw new Error('a fault that a test asked for');
  }, 10);
}
