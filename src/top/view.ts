// SPDX-License-Identifier: MIT
/** What the user has chosen to see, and how keys change it. */
import { nextOrder, type Order } from './sort';

export interface View {
  order: Order;
  paused: boolean;
  /** Identity of the chosen interface, or null: the first. */
  chosen: string | null;
  /** Only the chosen one, with all its counters. */
  detail: boolean;
}

export const FIRST_VIEW: View = { order: 'name', paused: false, chosen: null, detail: false };

/** Keys by their names, as terminal.ts tells them; `ids` are the interfaces in the order shown. */
export function press(view: View, key: string, ids: readonly string[]): View | 'quit' {
  const move = (by: number): View => {
    const at = Math.max(0, ids.indexOf(view.chosen ?? ''));
    return { ...view, chosen: ids[Math.min(ids.length - 1, Math.max(0, at + by))] ?? null };
  };
  switch (key) {
    case 'q':
    case 'Q':
    case 'CTRL_C':
      return 'quit';
    case 's':
      return { ...view, order: nextOrder(view.order) };
    case 'p':
    case ' ':
      return { ...view, paused: !view.paused };
    case 'UP':
      return move(-1);
    case 'DOWN':
      return move(1);
    case 'ENTER':
    case 'RIGHT':
      return { ...move(0), detail: key === 'RIGHT' || !view.detail };
    case 'ESCAPE':
    case 'LEFT':
    case 'BACKSPACE':
      return { ...view, detail: false };
    default:
      return view;
  }
}
