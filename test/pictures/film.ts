// SPDX-License-Identifier: MIT
/**
 * A session at a terminal as an animated SVG: commands are typed, lines appear when they appeared, and the screen
 * scrolls. CSS alone moves it; a reader who prefers reduced motion sees the last screen.
 */
import { inBothSchemes, px, type Scheme, svgDocument } from './palette';
import { runsOf } from './styled-text';
import { CELL, drawnLines, MARGIN, sizeOf, TERMINAL_STYLE, yOf } from './terminal';

/** Where the cursor was at a time: the line counts from the beginning of the session. */
export interface Moment {
  ms: number;
  line: number;
  column: number;
}

export interface Session {
  title: string;
  /** Of the terminal, in characters. */
  width: number;
  height: number;
  /** All lines, those that have scrolled away included, with escape sequences for colours. */
  text: string;
  moments: readonly Moment[];
}

/** No line makes the reader wait longer than this; in the recording one may, on a busy machine. */
const WAIT_MAX_MS = 1500;
/** Nor does a letter that is typed. */
const LETTER_MAX_MS = 45;
/** For reading the last screen, before it begins again. */
const END_MS = 5000;

/** The same moments without long waits. */
function withoutWaits(moments: readonly Moment[]): Moment[] {
  let left = 0;
  return moments.map((moment, i) => {
    const before = moments[i - 1] ?? moment;
    const isTyped = moment.line === before.line && moment.column === before.column + 1;
    left += Math.max(0, moment.ms - before.ms - (isTyped ? LETTER_MAX_MS : WAIT_MAX_MS));
    return { ...moment, ms: moment.ms - left };
  });
}

interface Typed {
  line: number;
  from: Moment;
  to: Moment;
}

/** Lines in which the cursor moved to the right step by step: a command being typed. */
function typedLines(moments: readonly Moment[]): Typed[] {
  const lines = new Map<number, Moment[]>();
  for (const moment of moments) lines.set(moment.line, [...(lines.get(moment.line) ?? []), moment]);
  return [...lines].flatMap(([line, all]) => {
    const [from, to] = [all[0], all.at(-1)];
    return from && to && all.length > 3 && to.column > from.column ? [{ line, from, to }] : [];
  });
}

/** Hundredths of a percent: a few milliseconds. */
const percent = (ms: number, total: number): string => String(Math.round((ms / total) * 10_000) / 100);

type Frames = [ms: number, rule: string][];

/** `@keyframes`, each of which holds until the next; equal neighbours are one. */
function keyframes(name: string, frames: Frames, total: number): string {
  const changes = frames.filter(([, rule], i) => rule !== frames[i - 1]?.[1]);
  return `@keyframes ${name}{${changes.map(([ms, rule]) => `${percent(ms, total)}%{${rule}}`).join('')}}`;
}

const down = (rows: number): string => `transform:translateY(${px(rows * CELL.height)}px)`;

export function film({ title, width, height, text, moments }: Session): string {
  const lines = runsOf(text.replace(/\n+$/, ''));
  const size = sizeOf(width, height);
  const times = withoutWaits(moments);
  const begin = times[0]?.ms ?? 0;
  const at = (moment: Moment): number => moment.ms - begin;
  const total = Math.max(...times.map(at), 0) + END_MS;
  const bottom = (line: number): number => Math.max(0, line + 1 - height);
  const last = Math.max(0, lines.length - height);
  const scroll: Frames = times.map((moment) => [at(moment), down(-Math.min(bottom(moment.line), last))]);
  // What has not been printed yet is behind a curtain, which begins below the line of the cursor.
  const curtain: Frames = times.map((moment) => [at(moment), down(moment.line + 1)]);
  const typed = typedLines(times);
  const covers = typed.map(({ from, to }, i): string => {
    const steps = to.column - from.column;
    const moved = `transform:translateX(${px(steps * CELL.width)}px)`;
    const [start, end] = [percent(at(from), total), percent(at(to), total)];
    return (
      `@keyframes c${i}{0%,${start}%{transform:none;visibility:visible;animation-timing-function:steps(${steps})}` +
      `${end}%{${moved};visibility:visible;animation-timing-function:step-end}` +
      `${percent(at(to) + 1, total)}%,100%{${moved};visibility:hidden}}\n.c${i}{animation:c${i} ${total}ms infinite}`
    );
  });
  const style = [
    TERMINAL_STYLE,
    inBothSchemes(({ paper, ink }: Scheme) => `.cover{fill:${paper}}.cursor{fill:${ink}}`),
    keyframes('scroll', scroll, total),
    keyframes('curtain', curtain, total),
    // Without animations it shows the last screen.
    `.scroll{${down(-last)};animation:scroll ${total}ms step-end infinite}`,
    `.curtain{${down(lines.length)};animation:curtain ${total}ms step-end infinite}`,
    `.typed{visibility:hidden}`,
    ...covers,
    `@media (prefers-reduced-motion:reduce){.scroll,.curtain,.typed{animation:none!important}}`,
  ].join('\n');
  const { x, y } = MARGIN;
  const inner = { width: size.width - 2 * x, height: height * CELL.height };
  // A letter may stick out of its cell.
  const [edge, wide] = [x - 4, px(inner.width + 8)];
  return svgDocument({ ...size, title, style }, [
    `<clipPath id="screen"><rect x="${edge}" y="${y}" width="${wide}" height="${px(inner.height)}"/></clipPath>`,
    `<g clip-path="url(#screen)"><g class="scroll">`,
    ...drawnLines(lines),
    ...typed.map(({ line, from }, i) => {
      const left = x + from.column * CELL.width;
      return (
        `<g class="typed c${i}"><rect class="cover" x="${px(left)}" y="${px(yOf(line))}" width="${px(inner.width)}" height="${CELL.height}"/>` +
        `<rect class="cursor" x="${px(left)}" y="${px(yOf(line) + 1)}" width="${px(CELL.width)}" height="${CELL.height - 2}"/></g>`
      );
    }),
    `<rect class="cover curtain" x="${edge}" y="${y}" width="${wide}" height="${px(lines.length * CELL.height)}"/>`,
    '</g></g>',
  ]);
}
