// SPDX-License-Identifier: MIT
/** The loop as a drawing: its parts with their figures, and frames as dots that move through it. */
import type { ComponentChildren, RefObject } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';

import type { Stats } from '../../datapath/stats';
import { fillOf, type Rates } from '../../top/readings';
import type { StatsSeen } from '../protocol';
import { bytes, count, percent, perSecond, short } from './format';
import { type Box, layoutOf, type LoopLayout, pointOn } from './layout';
import type { Model } from './model';
import { DOTS_AT_ONCE, framesPerDot, lossesByPart, Motion } from './motion';

/** Cells in which the queue is drawn. */
const CELLS = 40;
/** For how long the queue is green after it has woken, in milliseconds. */
const WOKEN_MS = 1500;
/** Space between lines of text, and of text from the edge of its box. */
const LINE = 17;
const INSET = 11;

interface PartProps {
  box: Box;
  name: string;
  lines: readonly string[];
  kind?: string;
  children?: ComponentChildren;
}

const Lines = ({ x, y, lines }: { x: number; y: number; lines: readonly string[] }) => (
  <>
    {lines.map((line, i) => (
      <text key={i} class="figure" x={x} y={y + LINE * i}>
        {line}
      </text>
    ))}
  </>
);

/** A part of the loop: a box with a name and figures. */
function Part({ box, name, lines, kind = '', children }: PartProps) {
  return (
    <g class={`part ${kind}`}>
      <rect x={box.x} y={box.y} width={box.width} height={box.height} rx={8} />
      <text class="name" x={box.x + INSET} y={box.y + 21}>
        {name}
      </text>
      <Lines x={box.x + INSET} y={box.y + 21 + LINE} lines={lines} />
      {children}
    </g>
  );
}

interface LossesProps {
  x: number;
  y: number;
  losses: [string, number][];
  rows: number;
  /** The end of the lines at `x`, where they would not fit to the right of it. */
  end?: boolean;
}

/** Losses beside the place where frames fall out. */
function Losses({ x, y, losses, rows, end = false }: LossesProps) {
  const shown = losses.length > rows ? losses.slice(0, rows - 1) : losses;
  const rest = losses.slice(shown.length).reduce((all, [, frames]) => all + frames, 0);
  const lines = rest > 0 ? [...shown, ['other reasons', rest] as const] : shown;
  return (
    <g class="losses">
      {lines.map(([reason, frames], i) => (
        <text key={reason} x={x} y={y + i * 16} text-anchor={end ? 'end' : 'start'}>
          <tspan class="number">{short(frames)}</tspan> {reason}
        </text>
      ))}
    </g>
  );
}

type QueueState = 'running' | 'stopped' | 'woken';

function Ring({ layout: { ring }, stats, state }: { layout: LoopLayout; stats: Stats | null; state: QueueState }) {
  const inner = { x: ring.x + INSET, width: ring.width - 2 * INSET, y: ring.y + 29, height: 16 };
  const step = inner.width / CELLS;
  const fill = stats ? fillOf(stats) : 0;
  const filled = fill === 0 ? 0 : Math.max(1, Math.round(fill * CELLS));
  const low = stats ? stats.queue.lowWatermarkBytes / stats.queue.capacityBytes : 0.5;
  const lowX = inner.x + inner.width * (1 - low);
  return (
    <g class={`part ring ${state}`}>
      <rect x={ring.x} y={ring.y} width={ring.width} height={ring.height} rx={8} />
      <text class="name" x={ring.x + INSET} y={ring.y + 21}>
        Ring
      </text>
      <text class="figure" x={ring.x + INSET + 38} y={ring.y + 21}>
        {stats && `${percent(fill)} of ${bytes(stats.queue.capacityBytes)}`}
      </text>
      <text class="word" x={ring.x + ring.width - INSET} y={ring.y + 21} text-anchor="end">
        {state === 'running' ? '' : state === 'stopped' ? 'stopped' : 'woken'}
      </text>
      {Array.from({ length: CELLS }, (_, i) => (
        <rect
          key={i}
          class={CELLS - i <= filled ? 'cell filled' : 'cell'}
          x={inner.x + i * step + 0.5}
          y={inner.y}
          width={step - 1}
          height={inner.height}
          rx={1.5}
        />
      ))}
      <path
        class="mark"
        d={`M${inner.x} ${inner.y - 3}v${inner.height + 6}M${lowX} ${inner.y - 3}v${inner.height + 6}`}
      />
      <text class="small" x={inner.x} y={ring.y + 57}>
        full: stops
      </text>
      <text class="small" x={lowX} y={ring.y + 57} text-anchor="middle">
        {`${percent(low)}: wakes`}
      </text>
    </g>
  );
}

const path = (points: readonly (readonly [number, number])[]): string =>
  points.map(([x, y], i) => `${i === 0 ? 'M' : 'L'}${x} ${y}`).join('');

function Wires({ layout: { application, tx, ring, waiting, poller, socket, rx, paths } }: { layout: LoopLayout }) {
  const y = tx.y + tx.height / 2;
  const below = rx.y + rx.height / 2;
  const arrow = (from: number, to: number, at: number): string => `M${from} ${at}H${to}`;
  return (
    <g class="wires">
      <path d={arrow(application.x + application.width, tx.x - 3, y)} marker-end="url(#arrow)" />
      <path d={arrow(tx.x + tx.width, ring.x - 3, y)} marker-end="url(#arrow)" />
      <path d={arrow(ring.x + ring.width, poller.x - 3, y)} marker-end="url(#arrow)" />
      <path d={arrow(poller.x, socket.x + socket.width + 3, below)} marker-end="url(#arrow)" />
      <path d={arrow(socket.x, rx.x + rx.width + 3, below)} marker-end="url(#arrow)" />
      <path d={arrow(rx.x, application.x + application.width + 3, below)} marker-end="url(#arrow)" />
      <path class="aside" d={path(paths.held)} />
      <path class="aside" d={`M${waiting.x + 26} ${waiting.y}V${ring.y + ring.height + 3}`} marker-end="url(#arrow)" />
    </g>
  );
}

/** The dots. They are moved here and not by preact, which has nothing to compare in them. */
function Dots({ motion, layout }: { motion: Motion; layout: LoopLayout }) {
  const group = useRef<SVGGElement>(null);
  useEffect(() => {
    const circles = [...(group.current?.children ?? [])];
    let due = 0;
    const draw = (now: number): void => {
      circles.forEach((circle, i) => {
        const dot = motion.dots[i];
        const share = dot ? (now - dot.start) / dot.travel : -1;
        if (!dot || share < 0 || share >= 1) {
          if (circle.getAttribute('class') !== 'off') circle.setAttribute('class', 'off');
          return;
        }
        const [x, y] = pointOn(layout.paths[dot.path], share);
        circle.setAttribute('class', dot.path);
        circle.setAttribute('cx', x.toFixed(1));
        circle.setAttribute('cy', y.toFixed(1));
      });
      due = requestAnimationFrame(draw);
    };
    due = requestAnimationFrame(draw);
    return () => cancelAnimationFrame(due);
  }, [motion, layout]);
  return (
    <g class="dots" ref={group}>
      {Array.from({ length: DOTS_AT_ONCE }, (_, i) => (
        <circle key={i} r={3.5} class="off" />
      ))}
    </g>
  );
}

/** Whether the poller has slept between the last two readings, and whether it has polled. */
function sleepOf(seen: StatsSeen | null, before: StatsSeen | null): string {
  if (!seen || !before) return '';
  const slept = seen.stats.poll.sleeps > before.stats.poll.sleeps;
  if (seen.stats.poll.polls === before.stats.poll.polls) return 'asleep';
  return slept ? 'sleeps, wakes' : 'awake';
}

/** The same in words, for those who do not see the drawing. */
function inWords(stats: Stats, rates: Rates | null): string {
  const { queue, held } = stats;
  const losses = Object.values(lossesByPart(stats)).flat();
  return [
    `${short(rates?.txPackets ?? 0)} frames a second are sent, ${short(rates?.rxPackets ?? 0)} come back.`,
    `The queue is ${queue.stopped ? 'stopped' : 'running'} and ${percent(fillOf(stats))} full;`,
    `it has stopped ${count(queue.stops)} times and woken ${count(queue.wakes)} times.`,
    `${count(held.now)} frames wait for space.`,
    losses.length === 0 ? 'No frame was lost.' : `Lost: ${losses.map(([reason, n]) => `${reason} ${count(n)}`).join(', ')}.`,
  ].join(' '); // prettier-ignore
}

function useWidth(): [RefObject<HTMLDivElement | null>, number] {
  const element = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(900);
  useLayoutEffect(() => {
    if (!element.current) return;
    const observer = new ResizeObserver(
      ([entry]) => entry && setWidth(Math.max(700, Math.floor(entry.contentRect.width))),
    );
    observer.observe(element.current);
    return () => observer.disconnect();
  }, []);
  return [element, width];
}

/** Stopped while the queue is stopped or has stopped since the last reading; woken for a moment after it has woken. */
function queueState({ seen, before }: Model, wokenAt: { time: number }): QueueState {
  if (!seen) return 'running';
  const [now, then] = [seen.stats.queue, before?.stats.queue];
  if (now.stopped) return 'stopped';
  if (then && now.wakes > then.wakes) wokenAt.time = seen.time;
  return seen.time - wokenAt.time < WOKEN_MS ? 'woken' : 'running';
}

export function LoopPanel({ model }: { model: Model }) {
  const { seen, before, rates, watched } = model;
  const [element, width] = useWidth();
  const [layout, setLayout] = useState(() => layoutOf(width));
  useLayoutEffect(() => setLayout(layoutOf(width)), [width]);
  const motion = useRef(new Motion());
  const wokenAt = useRef({ time: -Infinity });
  const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
  const scale = useRef(1);
  const perDot = (scale.current = framesPerDot(Math.max(rates?.txPackets ?? 0, rates?.rxPackets ?? 0), scale.current));
  useEffect(() => {
    motion.current.clear();
    wokenAt.current.time = -Infinity;
  }, [watched]);
  useEffect(() => {
    if (!seen || still) return;
    // A hidden page draws nothing, and would begin with a heap of dots.
    if (document.hidden) motion.current.clear();
    motion.current.add(seen.stats, perDot, performance.now());
  }, [seen]);

  const stats = seen?.stats ?? null;
  const state = queueState(model, wokenAt.current);
  const losses = stats ? lossesByPart(stats) : { tx: [], hook: [], behind: [] };
  const rate = (value: number | undefined): string => (value === undefined ? '' : perSecond(value, ''));
  const bits = (value: number | undefined): string => (value === undefined ? '' : perSecond(value, 'bit'));
  const { application, tx, waiting, poller, socket, rx } = layout;
  return (
    <section class="panel loop" aria-labelledby="loop-title">
      <div class="bar">
        <h2 id="loop-title">The loop</h2>
        <span class="hint">
          {!still && (perDot === 1 ? 'a dot is a frame' : `a dot stands for ${count(perDot)} frames`)}
        </span>
        <span class="counts">
          stopped <b>{stats ? count(stats.queue.stops) : 0}</b> times, woken{' '}
          <b>{stats ? count(stats.queue.wakes) : 0}</b>
        </span>
      </div>
      <div ref={element}>
        <svg
          width={layout.width}
          height={layout.height}
          viewBox={`0 0 ${layout.width} ${layout.height}`}
          aria-hidden="true"
        >
          <defs>
            <marker id="arrow" viewBox="0 0 8 8" refX={5} refY={4} markerWidth={7} markerHeight={7} orient="auto">
              <path d="M0 0.5L7 4L0 7.5Z" />
            </marker>
          </defs>
          <Wires layout={layout} />
          {/* Before the parts, behind which frames pass. */}
          {!still && <Dots motion={motion.current} layout={layout} />}
          <Part box={application} name="Application" lines={['sends', rate(rates?.txPackets), bits(rates?.txBits)]}>
            <Lines
              x={application.x + INSET}
              y={rx.y + 21}
              lines={['receives', rate(rates?.rxPackets), bits(rates?.rxBits)]}
            />
          </Part>
          <Part box={tx} name="TC program" lines={['tx', stats ? `${short(stats.tx.packets)} frames` : '']} />
          <Ring layout={layout} stats={stats} state={state} />
          <Part
            box={waiting}
            name="Waiting room"
            kind={stats && stats.held.now > 0 ? 'busy' : ''}
            lines={[stats ? `${short(stats.held.now)} held, ${short(stats.held.total)} in all` : '']}
          />
          <Part
            box={poller}
            name="Poller"
            lines={[
              `${short(rates?.polls ?? 0)} polls/s`,
              'budget used up',
              `in ${percent(rates?.budgetUsedUp ?? 0)} of them`,
            ]}
          >
            <Lines
              x={poller.x + INSET}
              y={rx.y + 21}
              lines={[
                sleepOf(seen, before),
                `${short(stats?.poll.sleeps ?? 0)} sleeps`,
                `${short(stats?.poll.wakeups ?? 0)} wake-ups`,
              ]}
            />
          </Part>
          <Part
            box={socket}
            name="AF_PACKET"
            lines={[`${short(stats?.reinject.retries ?? 0)} retries`, `${short(stats?.reinject.errors ?? 0)} errors`]}
          />
          <Part
            box={rx}
            name="RX"
            lines={[stats ? `${short(stats.rx.packets)} frames` : '', `${short(stats?.poll.merged ?? 0)} merged`]}
          />
          <Losses x={tx.x + 26} y={tx.y + tx.height + 20} losses={losses.tx} rows={4} />
          <Losses x={poller.x + poller.width} y={poller.y + poller.height + 20} losses={losses.hook} rows={2} end />
          <Losses x={socket.x + 26} y={socket.y + socket.height + 20} losses={losses.behind} rows={2} />
        </svg>
      </div>
      <p class="unseen">{stats && inWords(stats, rates)}</p>
      <p class="unseen" role="status">
        {stats && (state === 'stopped' ? 'The queue is stopped.' : 'The queue runs.')}
      </p>
    </section>
  );
}
