// SPDX-License-Identifier: MIT
/** Faults, impairments and the carrier: what the page can set, with the answer of the server beside each control. */
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';

import { PROFILES } from '../../impair/words';
import { printable, printableLines } from '../../printable';
import type { Action, Refusal } from '../protocol';
import type { Model } from './model';

/** Milliseconds that the carrier is down, and that nothing arrives, after the buttons that say so. */
const DOWN_MS = 2000;
const CUT_MS = 5000;

interface Request {
  /** Whether the server has not yet answered. */
  busy: boolean;
  error: Refusal | null;
  run: (action: Action) => void;
}

function useRequest(model: Model): Request {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Refusal | null>(null);
  const run = (action: Action): void => {
    setBusy(true);
    setError(null);
    void model.do(action).then((refusal) => {
      setBusy(false);
      setError(refusal);
    });
  };
  return { busy, error, run };
}

function Group({ title, request, children }: { title: string; request: Request; children: ComponentChildren }) {
  const { error, busy } = request;
  return (
    <div class="group" role="group" aria-label={title} aria-busy={busy}>
      <h3>{title}</h3>
      {children}
      <div class="error" role="alert" hidden={error === null}>
        {error && printable(error.message)}
        {error?.hint && <span class="advice">{printable(error.hint)}</span>}
      </div>
    </div>
  );
}

const InPlace = ({ words, none }: { words: string | null; none: string }) =>
  words === null ? <p class="hint">{none}</p> : <pre class="in-place">{printableLines(words)}</pre>;

function Faults({ model }: { model: Model }) {
  const request = useRequest(model);
  const [rules, setRules] = useState('');
  const [seed, setSeed] = useState('');
  const put = (event: Event): void => {
    event.preventDefault();
    request.run({ kind: 'faults', rules, seed: seed.trim() === '' ? null : Number(seed) });
  };
  const faults = model.seen?.faults ?? null;
  return (
    <Group title="Faults" request={request}>
      <form onSubmit={put}>
        <label>
          Rules
          <textarea
            rows={3}
            value={rules}
            placeholder={'icmp from client nth 2: drop'}
            spellcheck={false}
            onInput={(event) => setRules(event.currentTarget.value)}
          />
        </label>
        <div class="buttons">
  <label class="wide">
            Seed
            <input type="number" min={0} max={4294967295} value={seed} placeholder="random" onInput={(event) => setSeed(event.currentTarget.value)} />
          </label>
          <button type="submit" class="main" disabled={request.busy || rules.trim() === ''}>
            Set
          </button>
          <button type="button" disabled={request.busy || faults === null} onClick={() => request.run({ kind: 'clear-faults' })}>
            Clear
          </button>
        </div>
      </form>
      <InPlace words={faults} none="No rule is in place." />
    </Group>
  ); // prettier-ignore
}

function Impairment({ model }: { model: Model }) {
  const request = useRequest(model);
  const [profile, setProfile] = useState(Object.keys(PROFILES)[0] ?? '');
  const impairment = model.seen?.impairment ?? null;
  return (
    <Group title="Impairment" request={request}>
      <div class="buttons">
        <label class="wide">
        <span class="unseen">Profile</span>
        <select value={profile} onChange={(event) => setProfile(event.currentTarget.value)}>
          {Object.keys(PROFILES).map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </label>
        <button type="button" class="main" disabled={request.busy} onClick={() => request.run({ kind: 'impair', words: profile })}>
          Set
        </button>
        <button type="button" disabled={request.busy || impairment === null} onClick={() => request.run({ kind: 'impair', words: '' })}>
          Clear
        </button>
      </div>
      <p class="hint">{PROFILES[profile]?.what}</p>
      <InPlace words={impairment} none="No impairment is in place." />
    </Group>
  ); // prettier-ignore
}

function Carrier({ model }: { model: Model }) {
  const request = useRequest(model);
  const { busy, run } = request;
  const carrier = model.seen?.carrier;
  const set = (state: 'up' | 'down', forMs: number | null) => () => run({ kind: 'carrier', state, forMs });
  return (
    <Group title="Carrier and cut" request={request}>
      <p class="hint">{carrier && `The carrier is ${carrier}.`}</p>
      <div class="buttons">
        <button type="button" disabled={busy || carrier === 'down'} onClick={set('down', null)}>
          Down
        </button>
        <button type="button" disabled={busy || carrier === 'up'} onClick={set('up', null)}>
          Up
        </button>
        <button type="button" disabled={busy} onClick={set('down', DOWN_MS)}>
          Down for {DOWN_MS / 1000} s
        </button>
      </div>
      <div class="buttons">
        <button type="button" disabled={busy} onClick={() => run({ kind: 'cut', ms: CUT_MS })}>
          Cut for {CUT_MS / 1000} s
        </button>
        <span class="hint">nothing arrives, the carrier stays</span>
      </div>
    </Group>
  );
}

export function Controls({ model }: { model: Model }) {
  const { readOnly, status, seen, gone } = model;
  return (
    <section class="panel controls" aria-labelledby="controls-title">
      <div class="bar">
        <h2 id="controls-title">Faults and impairments</h2>
      </div>
      {readOnly && <p class="read-only">Read-only: the server was started with --read-only. Nothing can be set here.</p>}
      <fieldset disabled={readOnly || status !== 'open' || !seen || gone !== null}>
        <legend class="unseen">Settings of the interface</legend>
        <Faults model={model} />
        <Impairment model={model} />
        <Carrier model={model} />
      </fieldset>
    </section>
  ); // prettier-ignore
}
