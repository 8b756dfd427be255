// SPDX-License-Identifier: MIT
/** The orders that interfaces can have on the screen. */
import { nameOf, type Row } from './board';
import { sumOf } from './rates';

export const ORDERS = ['name', 'tx', 'rx', 'queue', 'drops'] as const;
export type Order = (typeof ORDERS)[number];

export const nextOrder = (order: Order): Order => ORDERS[(ORDERS.indexOf(order) + 1) % ORDERS.length] as Order;

/** 0 to 1: of bytes or of frames, whichever is nearer to the limit. */
export function fillOf({ queue }: Row['stats']): number {
  const packets = queue.capacityPackets === null ? 0 : queue.packets / queue.capacityPackets;
  return Math.min(1, Math.max(queue.usedBytes / queue.capacityBytes, packets));
}

const MEASURES: Readonly<Record<Exclude<Order, 'name'>, (row: Row) => number>> = {
  tx: ({ rates }) => rates?.txPackets ?? 0,
  rx: ({ rates }) => rates?.rxPackets ?? 0,
  queue: ({ stats }) => fillOf(stats),
  drops: ({ rates }) => (rates ? sumOf(rates.drops) : 0),
};

/** The largest first; equal ones by name, so that they do not jump about. */
export function sorted(rows: readonly Row[], order: Order): Row[] {
  const byName = (a: Row, b: Row): number => nameOf(a.stats).localeCompare(nameOf(b.stats), 'en', { numeric: true });
  if (order === 'name') return [...rows].sort(byName);
  const measure = MEASURES[order];
  return [...rows].sort((a, b) => measure(b) - measure(a) || byName(a, b));
}
