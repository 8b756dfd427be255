// SPDX-License-Identifier: MIT
/** Where the parts of the loop are drawn, and the paths of frames between them, for a drawing of a given width. */

export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

export type Point = readonly [x: number, y: number];

/** Where frames go. `sent`: from the application into the ring; the rest is named after what happens to them. */
export type PathName = 'sent' | 'returned' | 'held' | 'released' | 'refused' | 'hook' | 'behind';

export interface LoopLayout {
  width: number;
  height: number;
  application: Box;
  tx: Box;
  ring: Box;
  waiting: Box;
  poller: Box;
  socket: Box;
  rx: Box;
  paths: Readonly<Record<PathName, readonly Point[]>>;
}

export const HEIGHT = 244;
const PAD = 1;
const ROW = 62;
const TOP = 4;
const BOTTOM = 142;

export function layoutOf(width: number): LoopLayout {
  const narrow = width < 860;
  const end = narrow ? 120 : 132;
  const gap = narrow ? 25 : 44;
  const tall = BOTTOM + ROW - TOP;
  const application = { x: PAD, y: TOP, width: end, height: tall };
  const poller = { x: width - PAD - end, y: TOP, width: end, height: tall };
  const [left, right] = [PAD + end + gap, poller.x - gap];
  const part = narrow ? 118 : 136;
  const tx = { x: left, y: TOP, width: part, height: ROW };
  const ring = { x: left + part + gap, y: TOP, width: right - left - part - gap, height: ROW };
  const waiting = { x: ring.x, y: TOP + ROW + 18, width: Math.min(190, ring.width * 0.6), height: 44 };
  const rx = { x: left, y: BOTTOM, width: part, height: ROW };
  const socket = { x: right - part, y: BOTTOM, width: part, height: ROW };
  const [y, below] = [TOP + ROW / 2, BOTTOM + ROW / 2];
  const fallX = tx.x + 14;
  return {
    width,
    height: HEIGHT,
    application, tx, ring, waiting, poller, socket, rx,
    paths: {
      sent: [[application.x + end, y], [ring.x, y]],
      returned: [[ring.x + ring.width, y], [poller.x + end / 2, y], [poller.x + end / 2, below], [application.x + end, below]],
      held: [[tx.x + part, y + 16], [tx.x + part + gap / 2, y + 16], [tx.x + part + gap / 2, waiting.y + 22], [waiting.x, waiting.y + 22]],
      released: [[waiting.x + 26, waiting.y], [waiting.x + 26, ring.y + ROW]],
      refused: [[fallX, TOP + ROW], [fallX, TOP + ROW + 40]],
      hook: [[poller.x + 14, TOP + tall], [poller.x + 14, TOP + tall + 36]],
      behind: [[socket.x + 14, BOTTOM + ROW], [socket.x + 14, BOTTOM + ROW + 36]],
    },
  }; // prettier-ignore
}

/** The point at a share of a path's length, from 0 to 1. */
export function pointOn(path: readonly Point[], share: number): Point {
  const lengths = path.slice(1).map(([x, y], i) => Math.hypot(x - (path[i]?.[0] ?? x), y - (path[i]?.[1] ?? y)));
  let rest = share * lengths.reduce((a, b) => a + b, 0);
  for (const [i, length] of lengths.entries()) {
    const [from, to] = [path[i] as Point, path[i + 1] as Point];
    if (rest <= length && length > 0) {
      const part = rest / length;
      return [from[0] + (to[0] - from[0]) * part, from[1] + (to[1] - from[1]) * part];
    }
    rest -= length;
  }
  return path.at(-1) ?? [0, 0];
}
