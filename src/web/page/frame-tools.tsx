// SPDX-License-Identifier: MIT
/** What the views of frames share: the filter, how many frames there are, and the file with those that are shown. */
import { useState } from 'preact/hooks';

import { printable } from '../../printable';
import type { FrameSeen } from '../protocol';
import { fileNameFor, pcapngOf } from './download';
import { count } from './format';
import { FRAMES_KEPT, type Model } from './model';

interface ToolsProps {
  model: Model;
  /** The frames that are shown. */
  frames: readonly FrameSeen[];
  onFilter?: () => void;
}

/** Hands a file to the browser, as a link to it would. */
function save(name: string, bytes: Uint8Array): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([bytes as Uint8Array<ArrayBuffer>], { type: 'application/octet-stream' }));
  link.download = name;
  link.click();
  // The browser reads it after the click.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

export function FrameTools({ model, frames, onFilter }: ToolsProps) {
  const [filter, setFilter] = useState(model.wantedFilter);
  const { unavailable, missed, watched, version } = model;
  const download = (): void => {
    const name = watched ?? 'vnet';
    save(fileNameFor(name, frames), pcapngOf(frames, { interface: name, version, filter: model.wantedFilter, missed }));
  };
  return (
    <>
      <form
        class="tools"
        onSubmit={(event) => {
          event.preventDefault();
          onFilter?.();
          model.setFilter(filter.trim());
        }}
      >
        <label class="filter">
          Filter{' '}
          <input
            type="text"
            value={filter}
            placeholder="tcp port 443"
            spellcheck={false}
            autocomplete="off"
            aria-invalid={unavailable !== null}
            aria-describedby="filter-error"
            onInput={(event) => setFilter(event.currentTarget.value)}
          />
        </label>
        <button type="submit">Apply</button>
        <span class="hint">
          {frames.length === FRAMES_KEPT ? `the last ${count(FRAMES_KEPT)} frames` : `${count(frames.length)} frames`}
          {missed > 0 && `, ${count(missed)} left out`}
        </span>
      </form>
      <button
        type="button"
        disabled={frames.length === 0}
        onClick={download}
        title="The frames that are shown, as pcapng"
      >
        Download
      </button>
    </>
  );
}

/** Why there are no frames. */
export function FramesRefused({ model: { unavailable } }: { model: Model }) {
  return (
    <div id="filter-error" class="error" role="alert" hidden={unavailable === null}>
      {unavailable && printable(unavailable.message)}
      {unavailable?.hint && <span class="advice">{printable(unavailable.hint)}</span>}
    </div>
  );
}
