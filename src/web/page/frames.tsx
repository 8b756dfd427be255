// SPDX-License-Identifier: MIT
/** The frames that have passed: a list, and the headers of the one that is selected beside its bytes. */
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';

import { printable } from '../../printable';
import type { FrameSeen } from '../protocol';
import { bytesOf, decode, type DecodedHeader, type Field, hexOf } from './fields';
import { count, timeOfDay } from './format';
import { FramesRefused, FrameTools } from './frame-tools';
import { InjectCopy } from './inject';
import type { Model } from './model';
import { outcomeWords } from './outcome';
import { useFrames, useModel, usePaused, type ViewProps } from './view';

/** Height of a row in pixels, as in page.css: only rows in sight are in the document. */
const ROW_PX = 24;
/** Rows before and after those in sight. */
const MARGIN = 8;
/** Bytes in a line. */
const BYTES = 16;

interface ListProps {
  frames: readonly FrameSeen[];
  selected: FrameSeen | null;
  /** Null selects none. */
  onSelect: (frame: FrameSeen | null) => void;
}

function FrameRow({
  frame,
  selected,
  top,
  place,
  of,
  onSelect,
}: {
  frame: FrameSeen;
  selected: boolean;
  top: number;
  place: number;
  of: number;
  onSelect: (frame: FrameSeen) => void;
}) {
  return (
    <div
      role="option"
      id={`frame-${frame.number}`}
      class={`frame ${frame.kind}`}
      aria-selected={selected}
      aria-posinset={place}
      aria-setsize={of}
      style={{ top: `${top}px` }}
      onClick={() => onSelect(frame)}
    >
      <span class="number">{frame.number}</span>
      <span class="time">{timeOfDay(frame.time)}</span>
      <span class="summary">{printable(frame.summary)}</span>
      <span class="length">{count(frame.length)}</span>
      <span class="outcome">{printable(outcomeWords(frame.outcome))}</span>
    </div>
  ); // prettier-ignore
}

function FrameList({ frames, selected, onSelect }: ListProps) {
  const list = useRef<HTMLDivElement>(null);
  const [sight, setSight] = useState({ top: 0, height: 300 });
  /** Whether the newest frame is in sight, and stays so as others come. */
  const follows = useRef(true);
  const measure = (): void => {
    const { scrollTop = 0, clientHeight = 300, scrollHeight = 0 } = list.current ?? {};
    follows.current = scrollHeight - scrollTop - clientHeight < ROW_PX;
    setSight({ top: scrollTop, height: clientHeight });
  };
  useLayoutEffect(() => {
    const element = list.current;
    if (!element) return;
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  useLayoutEffect(() => {
    if (list.current && follows.current && !selected) list.current.scrollTop = list.current.scrollHeight;
  }, [frames]);
  // The list becomes smaller as a frame is selected, and the frame stays in sight.
  const index = selected ? frames.findIndex(({ number }) => number === selected.number) : -1;
  useLayoutEffect(() => {
    const [top, element] = [index * ROW_PX, list.current];
    if (!element || index < 0) return;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top + ROW_PX > element.scrollTop + element.clientHeight)
      element.scrollTop = top + ROW_PX - element.clientHeight;
  }, [selected, sight.height]);
  const move = (event: KeyboardEvent): void => {
    if (event.key === 'Escape') onSelect(null);
    const page = Math.floor(sight.height / ROW_PX);
    const steps: Record<string, number> = { ArrowUp: -1, ArrowDown: 1, PageUp: -page, PageDown: page, Home: -frames.length, End: frames.length };
    const step = steps[event.key];
    if (step === undefined || frames.length === 0) return;
    event.preventDefault();
    const next = Math.min(frames.length - 1, Math.max(0, (index < 0 ? frames.length : index) + step));
    onSelect(frames[next] as FrameSeen);
  }; // prettier-ignore
  const first = Math.max(0, Math.floor(sight.top / ROW_PX) - MARGIN);
  const shown = frames.slice(first, first + Math.ceil(sight.height / ROW_PX) + 2 * MARGIN);
  return (
    <div
      class="list"
      role="listbox"
      tabIndex={0}
      aria-label="Frames"
      aria-activedescendant={index < 0 ? undefined : `frame-${frames[index]?.number ?? 0}`}
      ref={list}
      onScroll={measure}
      onKeyDown={move}
    >
      <div class="rows" role="none" style={{ height: `${frames.length * ROW_PX}px` }}>
        {shown.map((frame, i) => (
          <FrameRow
            key={frame.number}
            frame={frame}
            selected={frame.number === selected?.number}
            top={(first + i) * ROW_PX}
            place={first + i + 1}
            of={frames.length}
            onSelect={onSelect}
          />
        ))}
      </div>
    </div>
  );
}

function Headers({
  headers,
  marked,
  onMark,
}: {
  headers: DecodedHeader[];
  marked: Field | null;
  onMark: (field: Field) => void;
}) {
  return (
    <div class="headers" role="group" aria-label="Headers" tabIndex={0}>
      {headers.map(({ name, from, fields }) => (
        <div key={from}>
          <h3>{name}</h3>
          {fields.map((field) => (
            <button
              key={field.name + field.from}
              type="button"
              class="field"
              aria-pressed={field === marked}
              onClick={() => onMark(field)}
            >
              <span>{field.name}</span> <b>{field.value}</b>
            </button>
          ))}
        </div>
      ))}
    </div>
  ); // prettier-ignore
}

const charOf = (byte: number): string => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.');

export function Bytes({
  bytes,
  headers,
  marked,
  onMark,
}: {
  bytes: Uint8Array;
  headers: DecodedHeader[];
  marked: Field | null;
  /** `offset`: the byte that was chosen. */
  onMark: (field: Field, offset: number) => void;
}) {
  const fields = headers.flatMap((header) => header.fields);
  const at = (offset: number): Field | undefined => fields.find(({ from, to }) => from <= offset && offset < to);
  const classOf = (offset: number): string | undefined =>
    marked && marked.from <= offset && offset < marked.to ? 'marked' : undefined;
  const lines = Array.from({ length: Math.ceil(bytes.length / BYTES) }, (_, i) => i * BYTES);
  return (
    <div class="bytes" role="group" aria-label="Bytes" tabIndex={0}>
      {lines.map((line) => {
        const part = [...bytes.subarray(line, line + BYTES)];
        return (
          <div key={line} class="line">
            <span class="offset">{line.toString(16).padStart(4, '0')}</span>
            <span class="hex">
              {part.map((byte, i) => (
                <span key={i} class={classOf(line + i)} onClick={() => onMark(at(line + i) as Field, line + i)}>
                  {hexOf(byte)}
                </span>
              ))}
            </span>
            <span class="text" aria-hidden="true">
              {part.map((byte, i) => (
                <span key={i} class={classOf(line + i)}>
                  {charOf(byte)}
                </span>
              ))}
            </span>
          </div>
        );
      })}
    </div>
  ); // prettier-ignore
}

function Detail({ model, frame }: { model: Model; frame: FrameSeen }) {
  const bytes = useMemo(() => bytesOf(frame.bytes), [frame]);
  const headers = useMemo(() => decode(bytes), [bytes]);
  const [marked, setMarked] = useState<Field | null>(null);
  useEffect(() => setMarked(null), [frame]);
  return (
    <div class="detail">
      <div class="about">
        <b>Frame {frame.number}</b>: {printable(frame.summary)}. {printable(outcomeWords(frame.outcome))}
        {frame.length > bytes.length && ` (the first ${bytes.length} of ${count(frame.length)} bytes)`}
        <InjectCopy key={frame.number} model={model} frame={frame} />
      </div>
      <Headers headers={headers} marked={marked} onMark={setMarked} />
      <Bytes bytes={bytes} headers={headers} marked={marked} onMark={setMarked} />
    </div>
  );
}

export function FramesPanel({ model, paused, tabs, pause }: ViewProps) {
  useModel(model);
  useFrames(model);
  const [selected, setSelected] = useState<FrameSeen | null>(null);
  const frames = usePaused(model.frames, paused);
  return (
    <>
      <div class="bar">
        {tabs}
        <FrameTools model={model} frames={frames} onFilter={() => setSelected(null)} />
        {pause}
      </div>
      <div id="view" class="view frames" role="tabpanel" aria-labelledby="tab-frames">
        <FramesRefused model={model} />
        <div class="titles" aria-hidden="true">
          <span class="number">No.</span>
          <span class="time">Time</span>
          <span class="summary">Summary</span>
          <span class="length">Bytes</span>
          <span class="outcome">Outcome</span>
        </div>
        <FrameList frames={frames} selected={selected} onSelect={setSelected} />
        {selected ? (
          <Detail model={model} frame={selected} />
        ) : (
          <p class="empty">
            {frames.length === 0
              ? 'No frame has passed since this view was opened.'
              : 'Select a frame to see its headers and bytes.'}
          </p>
        )}
      </div>
    </>
  );
}
