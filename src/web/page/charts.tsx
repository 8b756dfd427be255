// SPDX-License-Identifier: MIT
/** The charts: figures over the last five minutes, on one time axis. */
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';

import { printable } from '../../printable';
import { short } from './format';
import type { Figure, History } from './history';
import type { Model } from './model';
import { useFrames, type ViewProps } from './view';

interface Series {
  figure: Figure;
  name: string;
  /** A colour of page.css. */
  colour: string;
}

interface Chart {
  title: string;
  unit: string;
  series: readonly Series[];
  /** The largest value that it can have; without it, the scale follows the values. */
  max?: number;
  /** Whether it has values only while frames are recorded, which the user has to ask for. */
  needsFrames?: boolean;
}

const CHARTS: readonly Chart[] = [
  {
    title: 'Frames', unit: '/s',
    series: [{ figure: 'sent', name: 'sent', colour: '--sent' }, { figure: 'returned', name: 'returned', colour: '--returned' }],
  },
  {
    title: 'Queue', unit: '%', max: 100,
    series: [{ figure: 'fill', name: 'filled', colour: '--sent' }, { figure: 'usedUp', name: 'budget used', colour: '--poll' }],
  },
  { title: 'Held', unit: 'frames', series: [{ figure: 'held', name: 'waiting', colour: '--held' }] },
  { title: 'Polls', unit: '/s', series: [{ figure: 'polls', name: 'polls', colour: '--poll' }] },
  { title: 'Lost', unit: '/s', series: [{ figure: 'lost', name: 'lost', colour: '--bad' }] },
  {
    title: 'Round trip', unit: 'us', needsFrames: true,
    series: [{ figure: 'p50', name: 'median', colour: '--returned' }, { figure: 'p99', name: 'p99', colour: '--held' }],
  },
]; // prettier-ignore

/** What the time axis can show, in seconds. */
const SPANS = [30, 60, 300] as const;
/** A scale that follows its values shows at least this. */
const LEAST = 4;
/** Milliseconds between two drawings of a chart that moves. */
const DRAW_MS = 200;

interface Size {
  width: number;
  height: number;
}

/** A part of the time axis, in seconds since the epoch; null for the newest. */
type Zoom = { min: number; max: number } | null;

const colourOf = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Red behind the times at which the queue was stopped, and a green line where it woke. */
function drawStops(plot: uPlot, history: History): void {
  const { ctx, bbox } = plot;
  const { times } = history;
  const [stopped, woke] = [history.column('stopped'), history.column('woke')];
  const { min = 0, max = 0 } = plot.scales.x ?? {};
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  const at = (time: number): number => plot.valToPos(time, 'x', true);
  for (let i = 1; i < times.length; i++) {
    const [from, to] = [times[i - 1] as number, times[i] as number];
    if (to < (min ?? 0) || from > (max ?? 0)) continue;
    if (stopped[i] === 1) {
      ctx.fillStyle = colourOf('--stopped-band');
      ctx.fillRect(at(from), bbox.top, Math.max(1, at(to) - at(from)), bbox.height);
    }
    if (woke[i] === 1) {
      ctx.fillStyle = colourOf('--good');
      ctx.fillRect(at(to) - 1, bbox.top, 2, 6 * devicePixelRatio);
    }
  }
  ctx.restore();
}

function optionsOf(
  chart: Chart,
  history: () => History,
  size: Size,
  onZoom: (zoom: Zoom) => void,
  onCursor: (at: number | null) => void,
): uPlot.Options {
  const axis: uPlot.Axis = {
    stroke: colourOf('--muted'),
    font: '11px system-ui, sans-serif',
    grid: { stroke: colourOf('--line'), width: 1 },
    ticks: { show: false },
  };
  return {
    ...size,
    pxAlign: true,
    // The last time below the axis has to fit.
    padding: [8, 28, 0, 0],
    legend: { show: false },
    cursor: {
      sync: { key: 'page', setSeries: false },
      drag: { x: true, y: false, setScale: false },
      points: { size: 6 },
      bind: { dblclick: () => () => (onZoom(null), null) },
    },
    scales: {
      x: { time: true },
      y: { range: (_, __, max) => [0, chart.max ?? Math.max(LEAST, (max ?? 0) * 1.1)] },
    },
    axes: [
      { ...axis, size: 24, space: 70, values: [[1, '{HH}:{mm}:{ss}', null, null, null, null, null, null, 1]] },
      { ...axis, size: 46, space: 30, values: (_, splits) => splits.map((value) => short(value)) },
    ],
    series: [
      {},
      ...chart.series.map(({ name, colour }): uPlot.Series => ({
        label: name,
        stroke: colourOf(colour),
        width: 1.5,
        points: { show: false },
      })),
    ],
    hooks: {
      drawClear: [(plot) => drawStops(plot, history())],
      setSelect: [
        (plot) => {
          const { left, width } = plot.select;
          if (width > 4) onZoom({ min: plot.posToVal(left, 'x'), max: plot.posToVal(left + width, 'x') });
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
      setCursor: [(plot) => onCursor(plot.cursor.idx ?? null)],
    },
  }; // prettier-ignore
}

interface ChartProps {
  chart: Chart;
  history: History;
  zoom: Zoom;
  span: number;
  onZoom: (zoom: Zoom) => void;
  /** Changes with the colours of the page. */
  theme: string;
  /** What is said in place of the chart while it has no values. */
  none: ComponentChildren;
  /** What can be set, beside the title. */
  setting: ComponentChildren;
}

function ChartView({ chart, history, zoom, span, onZoom, theme, none, setting }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const shown = useRef(history);
  shown.current = history;
  const [at, setAt] = useState<number | null>(null);
  const draw = (): void => {
    const { times } = shown.current;
    const newest = times.at(-1) ?? 0;
    const data = [times, ...chart.series.map(({ figure }) => shown.current.column(figure))];
    plot.current?.batch(() => {
      plot.current?.setData(data as uPlot.AlignedData, false);
      plot.current?.setScale('x', zoom ?? { min: newest - span, max: newest });
    });
  };
  useEffect(() => {
    const element = place.current;
    if (!element) return;
    const size = (): Size => ({ width: element.clientWidth, height: element.clientHeight });
    plot.current = new uPlot(
      optionsOf(chart, () => shown.current, size(), onZoom, setAt),
      [[]],
      element,
    );
    const observer = new ResizeObserver(() => plot.current?.setSize(size()));
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [theme]);
  useEffect(draw);
  const isEmpty = chart.series.every(({ figure }) => history.column(figure).every((value) => value === null));
  const values = chart.series.map(({ figure }) => history.column(figure)[at ?? history.length - 1] ?? null);
  return (
    <figure>
      <figcaption>
        <b>{chart.title}</b> <span class="unit">{chart.unit}</span> {setting}
        <span class="values">
          {chart.series.map(({ name, colour }, i) => (
            <span key={name} class={`value ${colour.slice(2)}`}>
              {name} <b>{values[i] === null || values[i] === undefined ? '–' : short(values[i])}</b>
            </span>
          ))}
        </span>
      </figcaption>
      <div class="plot" ref={place} aria-hidden="true" />
      {isEmpty && none && <p class="none">{none}</p>}
    </figure>
  );
}

/** The name of the colours in use, which changes with the setting of the system. */
function useTheme(): string {
  const dark = useRef(matchMedia('(prefers-color-scheme: dark)'));
  const [theme, setTheme] = useState(dark.current.matches ? 'dark' : 'light');
  useEffect(() => {
    const query = dark.current;
    const change = (): void => setTheme(query.matches ? 'dark' : 'light');
    query.addEventListener('change', change);
    return () => query.removeEventListener('change', change);
  }, []);
  return theme;
}

/** The model's history, drawn a few times a second; while paused, as it was. */
function useShownHistory(model: Model, paused: boolean): History {
  const [, setTurn] = useState(0);
  const kept = useRef<History | null>(null);
  if (!paused) kept.current = null;
  else kept.current ??= model.history.copy();
  useEffect(() => {
    if (paused) return;
    const timer = setInterval(() => setTurn((turn) => turn + 1), DRAW_MS);
    return () => clearInterval(timer);
  }, [paused]);
  return kept.current ?? model.history;
}

export function ChartsPanel({ model, paused, tabs, pause }: ViewProps) {
  const [span, setSpan] = useState<number>(60);
  const [zoom, setZoom] = useState<Zoom>(null);
  const theme = useTheme();
  const history = useShownHistory(model, paused);
  const { measures, unavailable } = model;
  useFrames(model, measures);
  const measure = (
    <button type="button" class="small" aria-pressed={measures} onClick={() => model.measure(!measures)}>
      Measure
    </button>
  );
  const none = measures
    ? (unavailable && printable(unavailable.message)) || 'no frame has come back yet'
    : '“Measure” records frames meanwhile';
  return (
    <>
      <div class="bar">
        {tabs}
        <div role="group" aria-label="Time shown" class="choice" title="drag in a chart to zoom in">
          {SPANS.map((seconds) => (
            <button
              key={seconds}
              type="button"
              aria-pressed={zoom === null && span === seconds}
              onClick={() => {
                setSpan(seconds);
                setZoom(null);
              }}
            >
              {seconds < 60 ? `${seconds} s` : `${seconds / 60} min`}
            </button>
          ))}
        </div>
        <span class="key">
          <span class="band" /> queue stopped <span class="tick" /> woken
        </span>
        {zoom !== null && <span class="hint">zoomed</span>}
        {pause}
      </div>
      <div id="view" class="view grid" role="tabpanel" aria-labelledby="tab-charts">
        {CHARTS.map((chart) => (
          <ChartView
            key={chart.title}
            {...{ chart, history, zoom, span, theme }}
            onZoom={setZoom}
            none={chart.needsFrames && none}
            setting={chart.needsFrames && measure}
          />
        ))}
      </div>
    </>
  ); // prettier-ignore
}
