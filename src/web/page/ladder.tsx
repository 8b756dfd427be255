// SPDX-License-Identifier: MIT
/**
 * The ladder of a conversation: a table with a row for each frame, in which an arrow goes from the line of one end to
 * that of the other. Whoever does not see the arrows reads the same in the cells.
 */
import { useLayoutEffect, useMemo, useRef } from 'preact/hooks';

import { printable } from '../../printable';
import { count, timeOfDay } from './format';
import type { Flow, Step } from './steps';

/** A pause between two frames that is shown as such, in milliseconds. */
const PAUSE_MS = 50;
/** The last row counts as in sight if less than this is below it, in pixels. */
const NEAR_PX = 30;

/** Milliseconds with all digits that are known: 12,345.678. */
const milliseconds = (ms: number): string =>
  ms.toLocaleString('en', { minimumFractionDigits: 3, maximumFractionDigits: 3 });

const longPause = (ms: number): string => (ms < 10_000 ? `${ms.toFixed(0)} ms` : `${(ms / 1000).toFixed(0)} s`);

/** From the left to the right; style sheets turn it round. A frame that is lost ends on its way. */
function Arrow({ step: { kind } }: { step: Step }) {
  const end = kind === 'dropped' ? '62%' : kind === 'unknown' ? '88%' : '100%';
  return (
    <svg class="arrow" width="100%" height="12" aria-hidden="true">
      <line x1="0" y1="6" x2={end} y2="6" />
      <svg x={end} y="6" overflow="visible">
        {kind === 'dropped' ? (
          <path class="cross" d="M-6-5L5 5M-6 5L5-5" />
        ) : (
          <path class="head" d="M0 0L-9-4.5V4.5Z" />
        )}
      </svg>
    </svg>
  );
}

function Row({ step, began }: { step: Step; began: number }) {
  const { time, side, kind, label, facts, notes, took, number } = step;
  const marks = [kind, side, ...new Set(notes.map((note) => `has-${note.kind}`))].join(' ');
  return (
    <tr class={marks} id={`step-${number}`}>
      <td class="time">{milliseconds(time - began)}</td>
      <td class="lane">
        <span class="unseen">{side === 'client' ? 'client to server: ' : 'server to client: '}</span>
        <span class="label">
          <b>{label}</b> <span class="facts">{facts}</span>
        </span>
        <Arrow step={step} />
      </td>
      <td class="notes">
        {notes.map(({ kind: tone, text }) => (
          <span key={text} class={`note ${tone}`}>
            {printable(text)}
          </span>
        ))}
        {took !== null && kind !== 'delayed' && (
          <span class="note took">{`arrives after ${milliseconds(took)} ms`}</span>
        )}
      </td>
    </tr>
  );
}

const Between = ({ text }: { text: string }) => (
  <tr class="between">
    <td class="time" />
    <td class="lane">{text}</td>
    <td class="notes" />
  </tr>
);

/** The rows, with the pauses between them. */
function rowsOf({ first, last, forgotten, began }: Flow) {
  const rows = [];
  let before: Step | null = null;
  for (const step of [...first, ...last]) {
    if (forgotten > 0 && step === last[0])
      rows.push(<Between key="forgotten" text={`${count(forgotten)} frames that are no longer kept`} />);
    else if (before && step.time - before.time >= PAUSE_MS)
      rows.push(<Between key={`before-${step.number}`} text={longPause(step.time - before.time)} />);
    rows.push(<Row key={step.number} step={step} began={began} />);
    before = step;
  }
  return rows;
}

export function Ladder({ flow, trouble }: { flow: Flow; trouble: string }) {
  const { protocol, client, server, turn, state, frames, began, revision } = flow;
  const scroller = useRef<HTMLDivElement>(null);
  /** Whether the last frame is in sight, and stays so as others come. At first the beginning is. */
  const follows = useRef(false);
  useLayoutEffect(() => {
    if (scroller.current && follows.current) scroller.current.scrollTop = scroller.current.scrollHeight;
  }, [revision]);
  const measure = (): void => {
    const { scrollTop = 0, clientHeight = 0, scrollHeight = 0 } = scroller.current ?? {};
    follows.current = scrollHeight > clientHeight && scrollHeight - scrollTop - clientHeight < NEAR_PX;
  };
  const rows = useMemo(() => rowsOf(flow), [flow.id, revision]);
  const name = `${protocol} ${client} to ${server}${turn > 1 ? ` #${turn}` : ''}`;
  return (
    <div class="ladder" role="region" aria-label={`Frames of ${name}`} tabIndex={0} ref={scroller} onScroll={measure}>
      <table>
        <caption>
          <b>{protocol}</b>, began at {timeOfDay(began)}, {count(frames)} frame{frames === 1 ? '' : 's'}
          {state !== '' && `, ${state}`}
          {trouble !== '' && <span class="wrong">{trouble}</span>}
        </caption>
        <thead>
          <tr>
            <th scope="col" class="time">
              ms
            </th>
            <th scope="col" class="lane">
              <span class="ends">
                <span>{client}</span>
                <span class="unseen"> and </span>
                <span>{server}</span>
              </span>
            </th>
            <th scope="col" class="notes">
              What became of it
            </th>
          </tr>
        </thead>
        <tbody>{rows}</tbody>
      </table>
    </div>
  );
}
