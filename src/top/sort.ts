// SPDX-License-Identifier: MIT
/** The orders that interfaces can have on the screen. */
import { nameOf, type Row } from './board';
import { MEASURES } from './standing';

export const ORDERS = ['name', ...MEASURES] as const;
export type Order = (typeof ORDERS)[number];

export const nextOrder = (order: Order): Order => ORDERS[(ORDERS.indexOf(order) + 1) % ORDERS.length] as Order;

/** The largest first, by what the row has stood at for a while; equal ones by name, then by identity. */
export function sorted(rows: readonly Row[], order: Order): Row[] {
  const byName = (a: Row, b: Row): number => nameOf(a.stats).localeCompare(nameOf(b.stats), 'en', { numeric: true }) || (a.id < b.id ? -1 : 1);
  if (order === 'name') return [...rows].sort(byName);
  return [...rows].sort((a, b) => b.standing[order].shown - a.standing[order].shown || byName(a, b));
}
