// SPDX-License-Identifier: MIT
/** The frame that the debugger holds: its headers, of which fields can be given another value, beside its bytes. */
import { useEffect, useMemo, useState } from 'preact/hooks';

import { TCP_FLAG } from '../../packet/headers';
import type { DebuggerAction, HeldFrame } from '../debugger-protocol';
import { bytesOf, decode, type DecodedHeader, type Field, hexOf } from './fields';
import { Bytes } from './frames';

export type Run = (action: DebuggerAction) => void;
type Editable = HeldFrame['fields'][number];

/** Bytes that are shown in place of those that have not been typed. */
const HINT_BYTES = 16;
const FLAG_NAMES = Object.keys(TCP_FLAG).map((name) => name.toUpperCase());

interface EditProps {
  name: string;
  edit: Editable;
  frame: number;
  run: Run;
  isMarked: boolean;
  onMark: () => void;
}

/** How wide a value of that many bytes is shown. */
const widthOf = ({ from, to }: Editable): string => (to - from > 6 ? 'whole' : to - from > 2 ? 'long' : 'short');

/** A field whose value can be typed: Enter sets it, and so does leaving it; Escape leaves it as it was. */
function ValueField({ name, edit, frame, run, isMarked, onMark }: EditProps) {
  const [text, setText] = useState(edit.value);
  useEffect(() => setText(edit.value), [edit.value, frame]);
  const set = (): void => {
    if (text.trim() !== edit.value) run({ kind: 'edit', frame, field: edit.name, value: text });
  };
  const press = ({ key }: KeyboardEvent): void => {
    if (key === 'Enter') set();
    if (key === 'Escape') setText(edit.value);
  };
  return (
    <label class={`field edit ${isMarked ? 'marked' : ''}`}>
      <span>{name}</span>
      <input
        type="text"
        class={widthOf(edit)}
        value={text}
        spellcheck={false}
        autocomplete="off"
        onFocus={onMark}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={press}
        onBlur={set}
      />
    </label>
  );
}

/** TCP's flags, each a button that is pressed if it is set. */
function FlagsField({ name, edit, frame, run, isMarked, onMark }: EditProps) {
  const set = edit.value.split(' ');
  const toggled = (flag: string): string =>
    FLAG_NAMES.filter((each) => set.includes(each) !== (each === flag)).join(' ') || 'none';
  return (
    <div class={`field edit ${isMarked ? 'marked' : ''}`} role="group" aria-label={name}>
      <span aria-hidden="true">{name}</span>
      <span class="flags">
        {FLAG_NAMES.map((flag) => (
          <button
            key={flag}
            type="button"
            aria-pressed={set.includes(flag)}
            onClick={() => {
              onMark();
              run({ kind: 'edit', frame, field: edit.name, value: toggled(flag) });
            }}
          >
            {flag}
          </button>
        ))}
      </span>
    </div>
  );
}

interface HeadersProps {
  headers: DecodedHeader[];
  held: HeldFrame;
  /** Null if this page does not steer. */
  run: Run | null;
  marked: Field | null;
  onMark: (field: Field) => void;
}

/** Those fields that can be edited come first, apart from the others: they are to be in sight without scrolling. */
function editableFirst(headers: DecodedHeader[], isEditable: (field: Field) => boolean): DecodedHeader[][] {
  const first = headers.map((header) => ({ ...header, fields: header.fields.filter(isEditable) }));
  const others = headers.map(({ name, fields, ...places }) => ({
    name: fields.some(isEditable) ? `${name}, other fields` : name,
    fields: fields.filter((field) => !isEditable(field)),
    ...places,
  }));
  return [first, others].map((part) => part.filter(({ fields }) => fields.length > 0));
}

function HeldHeaders({ headers, held, run, marked, onMark }: HeadersProps) {
  const isMarked = (field: Field): boolean => marked?.from === field.from && marked.to === field.to;
  const editOf = (field: Field): Editable | undefined =>
    held.fields.find(({ from, to }) => from === field.from && to === field.to);
  const parts = run ? editableFirst(headers, (field) => editOf(field) !== undefined) : [headers];
  const row = (field: Field) => {
    const edit = editOf(field);
    const key = field.name + field.from;
    if (run && edit) {
      const Editor = edit.name === 'flags' ? FlagsField : ValueField;
      return (
        <Editor
          key={key}
          name={field.name}
          edit={edit}
          frame={held.number}
          run={run}
          isMarked={isMarked(field)}
          onMark={() => onMark(field)}
        />
      );
    }
    return (
      <button key={key} type="button" class="field" aria-pressed={isMarked(field)} onClick={() => onMark(field)}>
        <span>{field.name}</span> <b>{field.value}</b>
      </button>
    );
  };
  return (
    <div class="headers" role="group" aria-label="Headers" tabIndex={0}>
      {parts.map((groups, part) => (
        <div key={part} class="columns">
          {groups.map(({ name, fields }) => (
            <div key={name} role="group" aria-label={name}>
              <h3>{name}</h3>
              {fields.map(row)}
            </div>
          ))}
        </div>
      ))}
    </div>
  );
}

/** Overwrites bytes from an offset on. */
function WriteForm({ held, bytes, at, onAt, run }: { held: HeldFrame; bytes: Uint8Array; at: number; onAt: (at: number) => void; run: Run }) {
  const [hex, setHex] = useState('');
  useEffect(() => setHex(''), [held.number, at]);
  const now = [...bytes.subarray(at, at + HINT_BYTES)].map(hexOf).join(' ');
  const submit = (event: Event): void => {
    event.preventDefault();
    run({ kind: 'write', frame: held.number, at, bytes: hex });
  };
  return (
    <form class="write" aria-label="Write bytes" onSubmit={submit}>
      <label>
        Offset
        <input
          type="number"
          min={0}
          max={held.length - 1}
          value={at}
          onInput={({ currentTarget: { valueAsNumber } }) => onAt(valueAsNumber >= 0 ? Math.floor(valueAsNumber) : 0)}
        />
      </label>
      <label class="typed">
        Bytes
        <input
          type="text"
          class="mono"
          value={hex}
          placeholder={now}
          spellcheck={false}
          autocomplete="off"
          onInput={(event) => setHex(event.currentTarget.value)}
        />
      </label>
      <button type="submit" disabled={hex.trim() === ''}>
        Write
      </button>
    </form>
  );
} // prettier-ignore

export function HeldDetail({ held, run }: { held: HeldFrame; run: Run | null }) {
  const bytes = useMemo(() => bytesOf(held.bytes), [held.bytes]);
  const headers = useMemo(() => decode(bytes), [bytes]);
  const [marked, setMarked] = useState<Field | null>(null);
  const [at, setAt] = useState(0);
  useEffect(() => {
    setMarked(null);
    setAt(0);
  }, [held.number]);
  const mark = (field: Field, offset = field.from): void => {
    setMarked(field);
    setAt(offset);
  };
  const canEdit = run !== null && !held.superpacket;
  return (
    <div class="detail held">
      <HeldHeaders headers={headers} held={held} run={run} marked={marked} onMark={mark} />
      <div class="dump">
        <Bytes bytes={bytes} headers={headers} marked={marked} onMark={mark} />
        {canEdit && <WriteForm held={held} bytes={bytes} at={at} onAt={setAt} run={run} />}
      </div>
    </div>
  );
}
