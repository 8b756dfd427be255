// SPDX-License-Identifier: MIT
/** The debugger: a page pauses the loop and steers; the other pages see the frame that is held. */
import type { ComponentChildren, Ref } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

import { printable } from '../../printable';
import type { DebuggerAction, DebuggerSeen } from '../debugger-protocol';
import type { Refusal } from '../protocol';
import { count } from './format';
import { HeldDetail, type Run } from './held-frame';
import { canInject, ErrorBox, InjectForm } from './inject';
import type { Model } from './model';
import { withoutSuperpackets } from './superpacket';
import { useModel, type ViewProps } from './view';

/** The most frames that one click passes. */
const PASS_MAX = 1_000_000;
const PASS_FIRST = 10;

interface Steering {
  error: Refusal | null;
  run: Run;
  /** Whether this page has asked for something, and the control that it used may be gone. */
  acted: { current: boolean };
}

/**
 * Has actions done one after the other. If one is refused, those that were asked for meanwhile are not sent: a frame
 * must not pass without the edit that was typed before.
 */
function useSteering(model: Model): Steering {
  const [error, setError] = useState<Refusal | null>(null);
  const underWay = useRef<Promise<Refusal | null> | null>(null);
  /** The frame that has been passed or dropped last: a second click does not mean the next one. */
  const decided = useRef(0);
  const acted = useRef(false);
  const run = (action: DebuggerAction): void => {
    if (action.kind === 'pause') decided.current = 0;
    if (action.kind === 'pass' || action.kind === 'drop') {
      if (action.frame === decided.current) return;
      decided.current = action.frame;
    }
    acted.current = true;
    const before = underWay.current ?? Promise.resolve(null);
    const mine = before.then((refusal) => refusal ?? model.do(action));
    underWay.current = mine;
    void mine.then((refusal) => {
      if (refusal && decided.current > 0) decided.current = 0;
      if (underWay.current !== mine) return;
      underWay.current = null;
      setError(refusal);
    });
  };
  return { error, run, acted };
}

interface ActProps {
  /** Stays where it is, and keeps the focus, while there is nothing to do. */
  able?: boolean;
  main?: boolean;
  onClick: () => void;
  children: ComponentChildren;
  button?: Ref<HTMLButtonElement>;
}

function Act({ able = true, main = false, onClick, children, button }: ActProps) {
  return (
    <button
      type="button"
      class={main ? 'main' : undefined}
      aria-disabled={!able}
      {...(button && { ref: button })}
      onClick={() => able && onClick()}
    >
      {children}
    </button>
  );
}

/** Pausing, and what the loop is paused with. */
function PauseForm({ run, able, button }: { run: Run; able: boolean; button: Ref<HTMLButtonElement> }) {
  const [filter, setFilter] = useState('');
  const submit = (event: Event): void => {
    event.preventDefault();
    run({ kind: 'pause', filter: filter.trim() });
  };
  return (
    <form class="tools" onSubmit={submit}>
      <label class="filter">
        Hold only
        <input
          type="text"
          value={filter}
          placeholder="icmp; without a filter all frames are held"
          spellcheck={false}
          autocomplete="off"
          disabled={!able}
          onInput={(event) => setFilter(event.currentTarget.value)}
        />
      </label>
      <button type="submit" class="main" disabled={!able} ref={button}>
        Pause the loop
      </button>
    </form>
  );
}

const countsOf = ({ counts: { passed, dropped, injected } }: DebuggerSeen): string =>
  `${count(passed)} passed, ${count(dropped)} dropped${injected > 0 ? `, ${count(injected)} injected` : ''}`;

/** What the filter holds, and has not held; '' without one. */
const filterOf = ({ counts, filter }: DebuggerSeen): string =>
  filter === '' ? '' : `holds only ${filter}; ${count(counts.unseen)} others passed`;

function Hint({ children }: { children: string }) {
  return (
    <span class="hint" title={printable(children)}>
      {printable(children)}
    </span>
  );
}

/** The state of a pause, and what can be done with it as a whole. */
function PausedTools({ debug, run, able, mine, button }: { debug: DebuggerSeen; run: Run; able: boolean; mine: boolean; button: Ref<HTMLButtonElement> }) {
  return (
    <div class="tools">
      <span class="steers">{mine ? `You steer (${debug.you})` : debug.steering === null ? 'No page steers' : `${debug.steering} steers`}</span>
      <Hint>{[mine ? '' : countsOf(debug), filterOf(debug)].filter((text) => text !== '').join('; ')}</Hint>
      {mine && (
        <>
          <Act able={able} onClick={() => run({ kind: 'let-go' })}>
            Let go
          </Act>
          <Act able={able} onClick={() => run({ kind: 'resume' })}>
            Resume the loop
          </Act>
        </>
      )}
      {debug.steering === null && (
        <Act able={able} main button={button} onClick={() => run({ kind: 'pause', filter: debug.filter })}>
          Take control
        </Act>
      )}
    </div>
  );
} // prettier-ignore

/** What can be done with the held frame. */
function Verdicts({ debug, run, able, button }: { debug: DebuggerSeen; run: Run; able: boolean; button: Ref<HTMLButtonElement> }) {
  const [many, setMany] = useState(PASS_FIRST);
  const { held, repeat } = debug;
  const canDecide = able && held !== null;
  const frame = held?.number ?? 0;
  return (
    <div class="verdicts" role="group" aria-label="Held frame">
      <Act able={canDecide} button={button} main onClick={() => run({ kind: 'pass', frame, count: 1 })}>
        Step
      </Act>
      <Act able={canDecide} onClick={() => run({ kind: 'drop', frame, count: 1 })}>
        Drop
      </Act>
      <span class="many">
        <Act able={canDecide} onClick={() => run({ kind: 'pass', frame, count: many })}>
          Pass
        </Act>
        <label>
          <span class="unseen">Frames to pass</span>
          <input
            type="number"
            min={1}
            max={PASS_MAX}
            value={many}
            onInput={({ currentTarget: { valueAsNumber } }) =>
              setMany(Math.min(PASS_MAX, Math.max(1, Math.floor(valueAsNumber) || 1)))
            }
          />
        </label>
        frames
      </span>
      {repeat && (
        <Act able={able} onClick={() => run({ kind: 'hold' })}>
          Hold the next frame
        </Act>
      )}
      <Hint>{countsOf(debug)}</Hint>
      <Act able={canDecide && held.edited} onClick={() => run({ kind: 'undo', frame })}>
        Undo edits
      </Act>
      <Act able={canDecide} onClick={() => run({ kind: 'inject', bytes: null, fix: false })}>
        Inject a copy
      </Act>
    </div>
  );
} // prettier-ignore

/** What is held, or why nothing is: said aloud by screen readers as it changes. */
function About({ debug: { held, repeat, steering, interface: name }, model }: { debug: DebuggerSeen; model: Model }) {
  const command = withoutSuperpackets(model.interfaces.find((each) => each.name === name) ?? { name, netns: null });
  const shown = held ? Math.min(held.length, atob(held.bytes).length) : 0;
  return (
    <p class="about" role="status">
      {held ? (
        <>
          <b>Frame {held.number} is held</b>
          {held.edited && <b class="edited">, edited</b>}, {count(held.length)} bytes
          {shown < held.length && `, of which the first ${count(shown)} are shown`}
          {held.superpacket && ', a superpacket'}: {printable(held.summary)}
          {held.superpacket && (
            <span class="advice">
              It cannot be edited, only passed or dropped: the kernel has yet to cut it into frames, and completes
              lengths and checksums then. To edit frames, have the kernel send them one by one, and hold the next:{' '}
              <code>{printable(command)}</code>
            </span>
          )}
        </>
      ) : repeat ? (
        `${repeat.verdict === 'pass' ? 'Passing' : 'Dropping'} frames: ${count(repeat.left)} more, then the next one is held.`
      ) : (
        'No frame waits. The next one is held here.'
      )}
      {steering === null && ' The loop resumes after half a minute unless a page takes the control.'}
    </p>
  );
}

export function DebuggerPanel({ model, tabs }: ViewProps) {
  useModel(model);
  const { error, run, acted } = useSteering(model);
  const { debug, readOnly, status, seen, gone } = model;
  const able = !readOnly && status === 'open' && seen !== null && gone === null;
  const paused = debug?.paused === true;
  const mine = paused && debug.steering === debug.you;
  const first = useRef<HTMLButtonElement>(null);
  // The control that had the focus is gone with the state that it belonged to.
  useEffect(() => {
    if (acted.current && document.activeElement === document.body) first.current?.focus();
    acted.current = false;
  }, [paused, mine]);
  return (
    <>
      <div class="bar">
        {tabs}
        {paused ? (
          <PausedTools debug={debug} run={run} able={able} mine={mine} button={first} />
        ) : (
          <PauseForm run={run} able={able} button={first} />
        )}
      </div>
      <div id="view" class="view debugger" role="tabpanel" aria-labelledby="tab-debugger">
        {readOnly && <p class="read-only">Read-only: this page shows the debugger of others, and pauses nothing.</p>}
        <ErrorBox error={error ?? (paused ? null : (debug?.ended ?? null))} />
        {paused ? (
          <>
            {mine && <Verdicts debug={debug} run={run} able={able} button={first} />}
            <About debug={debug} model={model} />
            {debug.held ? <HeldDetail held={debug.held} run={mine && able ? run : null} /> : <div class="nothing" />}
          </>
        ) : (
          <p class="explained">
            The loop runs. While it is paused, frames wait in the ring, and their senders behind it; one frame after the
            other is held here until you pass it, edit it or drop it. Nothing is lost by waiting. The loop resumes when
            you say so, and when this page is closed or loses its connection.
          </p>
        )}
        {canInject(model) && <InjectForm model={model} />}
      </div>
    </>
  );
}
