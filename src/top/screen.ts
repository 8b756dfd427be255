// SPDX-License-Identifier: MIT
/** The whole screen as lines: a head, the interfaces or one in detail, the keys. */
import type { Change, Row } from './board';
import { card, CARD_LINES } from './card';
import { detail } from './detail';
import { sorted } from './sort';
import { apart, clip, part, type Line } from './text';
import type { View } from './view';

export interface Size {
  width: number;
  height: number;
}

export interface Scene {
  rows: readonly Row[];
  view: View;
  seconds: number;
  /** The newest of those that came or went, for a while. */
  news: Change | null;
  time: Date;
}

export const KEYS = 'q quit  s sort  p pause  up/down choose  enter detail';

/** Exactly as many lines as the terminal has, none longer than it is wide. */
export function screen(scene: Scene, { width, height }: Size): Line[] {
  const rows = sorted(scene.rows, scene.view.order);
  const room = Math.max(0, height - 2);
  const body = rows.length === 0 ? [[], [part('  nothing is attached; vnet-bpf attach vnet0 does it')]] : interfaces(rows, scene.view, room);
  const filled = [...body.slice(0, room), ...Array.from({ length: Math.max(0, room - body.length) }, (): Line => [])];
  return [head(scene, width), ...filled, foot(scene, width)].slice(0, height).map((line) => clip(line, width));
}

function head({ rows, view, seconds, time }: Scene, width: number): Line {
  const count = `${rows.length} interface${rows.length === 1 ? '' : 's'}`;
  const left = `vnet-bpf top  ${count}, every ${seconds} s, by ${view.order}`;
  const clock = time.toTimeString().slice(0, 8);
  return [part(apart(left, view.paused ? `PAUSED  ${clock}` : clock, width), 'title')];
}

function foot({ news, view }: Scene, width: number): Line {
  const keys = view.detail ? KEYS.replace('enter detail', 'enter back') : KEYS;
  return [part(apart(keys, news === null ? '' : `${news.name} ${news.what}`, width), 'faint')];
}

function interfaces(rows: readonly Row[], view: View, room: number): Line[] {
  const at = Math.max(0, rows.findIndex(({ id }) => id === view.chosen));
  if (view.detail) return detail(rows[at] as Row);
  const fit = Math.max(1, Math.floor(room / CARD_LINES));
  const first = Math.min(Math.max(0, rows.length - fit), Math.max(0, at - fit + 1));
  const lines = rows.slice(first, first + fit).flatMap((row, i) => card(row, first + i === at));
  const [above, below] = [first, Math.max(0, rows.length - first - fit)];
  if (above + below === 0) return lines;
  return [...lines, [part(`  ${above} more above, ${below} more below`, 'faint')]];
}
