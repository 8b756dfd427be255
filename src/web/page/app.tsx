// SPDX-License-Identifier: MIT
/** The page: its head, the loop, the tabs below it, and the controls beside them. */
import type { RefObject } from 'preact';
import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';

import { ChartsPanel } from './charts';
import { Controls } from './controls';
import { ConversationsPanel } from './conversations';
import { DebuggerPanel } from './debugger';
import { FramesPanel } from './frames';
import { LoopPanel } from './loop';
import type { Model } from './model';
import { useModel } from './view';

/** What is said about the interface: running, stopped queue, and so on. */
function stateOf(model: Model): { words: string; kind: 'good' | 'bad' | 'held' | 'quiet' } {
  const { seen, gone, status, debug } = model;
  if (status === 'refused') return { words: 'not connected', kind: 'bad' };
  if (status !== 'open') return { words: status === 'lost' ? 'connection lost' : 'connecting', kind: 'quiet' };
  if (gone !== null) return { words: 'gone', kind: 'bad' };
  if (!seen) return { words: 'no reading yet', kind: 'quiet' };
  if (debug?.paused) {
    const others = debug.steering !== null && debug.steering !== debug.you;
    return { words: others ? `paused by ${debug.steering}` : 'loop paused', kind: 'held' };
  }
  if (seen.stats.queue.stopped) return { words: 'queue stopped', kind: 'bad' };
  if (seen.carrier === 'down') return { words: 'carrier down', kind: 'bad' };
  return { words: seen.stats.state, kind: seen.stats.state === 'running' ? 'good' : 'bad' };
}

/** A sentence across the page when there is nothing to show, or when it is old. */
function Notice({ model }: { model: Model }) {
  const { status, gone, watched, interfaces, seen } = model;
  const others = interfaces.some(({ name }) => name !== watched);
  const notice =
    status === 'refused'
      ? 'The server does not accept this page. Open the address that vnet-bpf web has printed, with everything after the #.'
      : status === 'lost'
        ? 'The connection to the server is lost. The page shows the last reading and connects again by itself.'
        : gone !== null
          ? `${watched ?? ''}: ${gone}. The page goes on when it is attached again${others ? '; the list at the top has the other interfaces' : ''}.`
          : status === 'open' && seen?.stats.state === 'crashed'
            ? `${watched ?? ''}: the process that loops it has ended. The page goes on when it is attached again.`
            : status === 'open' && interfaces.length === 0
              ? 'No interface is attached. Attach one, and it appears here: vnet-bpf attach vnet0 --daemon'
              : null;
  return (
    <div class="notice" role="status" hidden={notice === null}>
      {notice}
    </div>
  );
}

function Head({ model }: { model: Model }) {
  const { choices, watched, seen, version } = model;
  const state = stateOf(model);
  return (
    <header>
      <h1>vnet-bpf</h1>
      <label class="pick">
        <span class="unseen">Interface</span>
        <select value={watched ?? ''} onChange={(event) => model.choose(event.currentTarget.value)}>
          {choices.length === 0 && <option value="">no interface</option>}
          {choices.map(({ name, gone }) => (
            <option key={name} value={name}>
              {gone ? `${name} (gone)` : name}
            </option>
          ))}
        </select>
      </label>
      <span class={`state ${state.kind}`}>{state.words}</span>
      <span class="facts">
        {seen && `${seen.stats.backend}, ${seen.stats.attach}, carrier ${seen.carrier}`}
        {seen?.hook && `, hook ${seen.hook}`}
        {seen?.faults && ', faults'}
        {seen?.impairment && ', impaired'}
      </span>
      <span class="version">{version && `version ${version}`}</span>
    </header>
  );
}

const TABS = {
  charts: { title: 'Charts', view: ChartsPanel },
  frames: { title: 'Frames', view: FramesPanel },
  conversations: { title: 'Conversations', view: ConversationsPanel },
  debugger: { title: 'Debugger', view: DebuggerPanel },
} as const;
type Tab = keyof typeof TABS;
const TAB_NAMES = Object.keys(TABS) as Tab[];

interface TabsProps {
  tab: Tab;
  onTab: (tab: Tab) => void;
  /** Whether a key has chosen the tab: each view has tabs of its own, and the focus has to follow. */
  byKey: RefObject<boolean>;
}

function Tabs({ tab, onTab, byKey }: TabsProps) {
  const list = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    if (byKey.current) list.current?.querySelector<HTMLElement>('[aria-selected="true"]')?.focus();
    byKey.current = false;
  }, []);
  const move = (event: KeyboardEvent): void => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step === undefined) return;
    const next = (TAB_NAMES.indexOf(tab) + step + TAB_NAMES.length) % TAB_NAMES.length;
    byKey.current = true;
    onTab(TAB_NAMES[next] as Tab);
  };
  return (
    <div class="tabs" role="tablist" aria-label="Views" ref={list} onKeyDown={move}>
      {TAB_NAMES.map((name) => (
        <button
          key={name}
          type="button"
          role="tab"
          id={`tab-${name}`}
          aria-controls="view"
          aria-selected={tab === name}
          tabIndex={tab === name ? 0 : -1}
          onClick={() => onTab(name)}
        >
          {TABS[name].title}
        </button>
      ))}
    </div>
  );
}

export function App({ model }: { model: Model }) {
  useModel(model);
  const [tab, setTab] = useState<Tab>('charts');
  const byKey = useRef(false);
  const [paused, setPaused] = useState(false);
  const { watched } = model;
  // The same element again, which preact does not compare with each reading: a view is drawn at a pace of its own.
  const view = useMemo(() => {
    const View = TABS[tab].view;
    const pause = (
      <button type="button" class="pause" aria-pressed={paused} onClick={() => setPaused(!paused)}>
        {paused ? 'Resume' : 'Pause'}
      </button>
    );
    return (
      <View
        key={`${tab} ${watched}`}
        {...{ model, paused, pause }}
        tabs={<Tabs tab={tab} onTab={setTab} byKey={byKey} />}
      />
    );
  }, [model, watched, tab, paused]);
  return (
    <>
      <Head model={model} />
      <Notice model={model} />
      <main class={model.status === 'open' ? '' : 'old'}>
        <LoopPanel model={model} />
        <section class="panel views" aria-label="Views">
          {view}
        </section>
        <Controls key={watched} model={model} />
      </main>
    </>
  );
}
