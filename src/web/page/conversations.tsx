// SPDX-License-Identifier: MIT
/** The conversations that have been seen: a list, and the ladder of the one that is selected. */
import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';

import { bytes, count } from './format';
import { FramesRefused, FrameTools } from './frame-tools';
import { Ladder } from './ladder';
import type { Flow } from './steps';
import { useFrames, useModel, usePaused, type ViewProps } from './view';

/** What was lost and sent again, in words; empty if nothing was. */
export function trouble({ again, late, lost }: Flow): string {
  const counts = [
    [lost, 'lost'],
    [again, again === 1 ? 'retransmission' : 'retransmissions'],
    [late, 'out of order'],
  ] as const;
  return counts.flatMap(([number, what]) => (number > 0 ? [`${count(number)} ${what}`] : [])).join(', ');
}

function FlowOption({ flow, selected, onSelect }: { flow: Flow; selected: boolean; onSelect: () => void }) {
  const { id, protocol, client, server, turn, state, frames, bytes: size } = flow;
  const wrong = trouble(flow);
  return (
    <div role="option" id={`flow-${id}`} class="flow" aria-selected={selected} onClick={onSelect}>
      <span class="ends" title={`${client} > ${server}`}>
        <b>{protocol}</b> {client} <span aria-hidden="true">→</span>
        <span class="unseen">to</span> {server}
        {turn > 1 && ` #${turn}`}
      </span>
      <span class="about">
        {`${count(frames)} frame${frames === 1 ? '' : 's'}, ${bytes(size)}${state === '' ? '' : `, ${state}`}`}
        {wrong !== '' && <span class="wrong">{wrong}</span>}
      </span>
    </div>
  );
}

interface ListProps {
  flows: readonly Flow[];
  selected: Flow | null;
  onSelect: (flow: Flow) => void;
}

function FlowList({ flows, selected, onSelect }: ListProps) {
  const list = useRef<HTMLDivElement>(null);
  const id = selected?.id;
  useLayoutEffect(() => {
    list.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: 'nearest' });
  }, [id]);
  const index = flows.findIndex((flow) => flow.id === id);
  const move = (event: KeyboardEvent): void => {
    const steps: Record<string, number> = { ArrowUp: -1, ArrowDown: 1, Home: -flows.length, End: flows.length };
    const step = steps[event.key];
    if (step === undefined || flows.length === 0) return;
    event.preventDefault();
    onSelect(flows[Math.min(flows.length - 1, Math.max(0, index + step))] as Flow);
  };
  return (
    <div
      class="flows"
      role="listbox"
      tabIndex={0}
      aria-label="Conversations"
      aria-activedescendant={index < 0 ? undefined : `flow-${id ?? 0}`}
      ref={list}
      onKeyDown={move}
    >
      {flows.map((flow) => (
        <FlowOption key={flow.id} flow={flow} selected={flow.id === id} onSelect={() => onSelect(flow)} />
      ))}
    </div>
  );
}

export function ConversationsPanel({ model, paused, tabs, pause }: ViewProps) {
  useModel(model);
  useFrames(model);
  const [chosen, setChosen] = useState<number | null>(null);
  const frames = usePaused(model.frames, paused);
  // Readings come between frames, and change no conversation.
  const current = useMemo(() => model.flows.list, [model.frames]);
  const flows = usePaused(current, paused);
  // Without a choice the oldest is shown: it stays where it is while others come.
  const selected = flows.find(({ id }) => id === chosen) ?? flows.at(-1) ?? null;
  return (
    <>
      <div class="bar">
        {tabs}
        <FrameTools model={model} frames={frames} onFilter={() => setChosen(null)} />
        {pause}
      </div>
      <div id="view" class="view conversations" role="tabpanel" aria-labelledby="tab-conversations">
        <FramesRefused model={model} />
        {selected ? (
          <div class="conversation">
            <FlowList flows={flows} selected={selected} onSelect={({ id }) => setChosen(id)} />
            <Ladder key={selected.id} flow={selected} trouble={trouble(selected)} />
          </div>
        ) : (
          <p class="empty">No conversation has been seen since this view was opened.</p>
        )}
      </div>
    </>
  );
}
