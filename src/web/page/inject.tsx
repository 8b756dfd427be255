// SPDX-License-Identifier: MIT
/** Frames that the interface is made to receive: typed ones, and copies of those that are shown. */
import { useState } from 'preact/hooks';

import { printable } from '../../printable';
import type { FrameSeen, Refusal } from '../protocol';
import { bytesOf, hexOf } from './fields';
import type { Model } from './model';

/** Whether frames can be injected from this page now: only the page that steers does so while the loop is paused. */
export const canInject = ({ readOnly, status, seen, gone, debug }: Model): boolean =>
  !readOnly && status === 'open' && seen !== null && gone === null && (!debug?.paused || debug.steering === debug.you);

export function ErrorBox({ error, id }: { error: Refusal | null; id?: string }) {
  return (
    <div class="error" id={id} role="alert" hidden={error === null}>
      {error && printable(error.message)}
      {error?.hint && <span class="advice">{printable(error.hint)}</span>}
    </div>
  );
}

interface Injection {
  error: Refusal | null;
  /** Frames that this control has injected. */
  count: number;
  inject: (hex: string, fix: boolean) => void;
}

function useInjection(model: Model): Injection {
  const [error, setError] = useState<Refusal | null>(null);
  const [count, setCount] = useState(0);
  const inject = (bytes: string, fix: boolean): void => {
    void model.do({ kind: 'inject', bytes, fix }).then((refusal) => {
      setError(refusal);
      if (refusal === null) setCount((before) => before + 1);
    });
  };
  return { error, count, inject };
}

/** How often something was injected, for eyes and screen readers. */
const Injected = ({ count }: { count: number }) => (
  <span class="hint done" role="status">
    {count > 0 && (count === 1 ? 'injected' : `injected ${count} times`)}
  </span>
);

export function InjectForm({ model }: { model: Model }) {
  const { error, count, inject } = useInjection(model);
  const [hex, setHex] = useState('');
  const [fix, setFix] = useState(true);
  const submit = (event: Event): void => {
    event.preventDefault();
    inject(hex, fix);
  };
  return (
    <>
      <form class="inject" aria-label="Inject a frame" onSubmit={submit}>
        <label class="typed">
          Inject
          <input
            type="text"
            class="mono"
            value={hex}
            placeholder="bytes of a frame in hexadecimal, from its Ethernet header on"
            spellcheck={false}
            autocomplete="off"
            aria-invalid={error !== null}
            aria-describedby="inject-error"
            onInput={(event) => setHex(event.currentTarget.value)}
          />
        </label>
        <label class="check">
          <input type="checkbox" checked={fix} onChange={(event) => setFix(event.currentTarget.checked)} />
          fix checksums
        </label>
        <button type="submit" disabled={hex.trim() === ''}>
          Inject
        </button>
        <Injected count={count} />
      </form>
      <ErrorBox id="inject-error" error={error} />
    </>
  );
}

/** Injects a copy of a frame that has passed. */
export function InjectCopy({ model, frame }: { model: Model; frame: FrameSeen }) {
  const { error, count, inject } = useInjection(model);
  const bytes = bytesOf(frame.bytes);
  const isWhole = bytes.length === frame.length;
  return (
    <>
      <button
        type="button"
        class="copy"
        disabled={!isWhole || !canInject(model)}
        title={isWhole ? undefined : 'Only the first bytes of this frame are known.'}
        onClick={() => inject([...bytes].map(hexOf).join(''), true)}
      >
        Inject a copy
      </button>
      <Injected count={count} />
      <ErrorBox error={error} />
    </>
  );
}
