// SPDX-License-Identifier: MIT
/**
 * One pause of a loop: the next frame is looked for and held until something is done with it. What it does follows one
 * after the other, however it is asked for.
 */
import { usageError, VnetError } from '../errors';
import { clock } from '../native/clock';
import { Turns } from '../native/turns';
import { fixChecksums } from '../packet';
import { editableFields, editField } from '../packet/field-edits';
import { type PacketFilter, parseFilter } from '../packet/filter';
import { hexBytes, type ShownFrame, type SteppedLoop } from '../step/debugger';
import type { DebuggerSeen, HeldFrame } from './debugger-protocol';
import { summaryLine } from './frames';

/** Milliseconds between looks for a frame while none waits. */
const LOOK_MS = 50;
/** Frames that pass or are dropped unseen before something else has its turn. */
const UNSEEN_IN_ROW = 64;
/** Bytes of the held frame that pages are sent. */
const HELD_BYTES = 2048;
/** Milliseconds between two messages about frames of which none is held. */
const TELL_MS = 100;

type Verdict = 'pass' | 'drop';
type Counts = DebuggerSeen['counts'];

/** Bytes typed as hexadecimal, with or without spaces and colons. Throws USAGE. */
export const typedBytes = (text: string): Uint8Array => hexBytes(text.replace(/\s+/g, ''));

/** Bytes typed as a frame. Throws USAGE. */
export function typedFrame(text: string, fix: boolean): Uint8Array {
  const frame = Uint8Array.from(typedBytes(text));
  return fix ? fixChecksums(frame) : frame;
}

export class Stepping implements Disposable {
  private filter: PacketFilter | null = null;
  filterText = '';
  /** The held frame as it came, and with the edits. */
  private original: ShownFrame | null = null;
  private bytes: Uint8Array = new Uint8Array(0);
  private number = 0;
  private readonly counts: Counts = { passed: 0, dropped: 0, injected: 0, unseen: 0 };
  private repeat: { verdict: Verdict; left: number } | null = null;
  private readonly turns = new Turns();
  private timer: NodeJS.Timeout | undefined;
  private toldAt = -Infinity;
  /** Whether counts have changed since changed() was called. */
  private untold = false;
  private ended = false;

  /**
   * @param changed called when something of seen() has changed
   * @param failed called when the loop can no longer be asked
   */
  constructor(
    private readonly loop: SteppedLoop,
    private readonly changed: () => void,
    private readonly failed: (error: unknown) => void,
  ) {}

  /** Begins to look for frames. */
  start(): void {
    this.lookIn(0);
  }

  /** Holds only matching frames from the next one on; '' holds all. Throws USAGE. */
  setFilter(text: string): void {
    this.filter = text.trim() === '' ? null : parseFilter(text);
    this.filterText = text.trim();
  }

  /** What pages are told. */
  get seen(): Pick<DebuggerSeen, 'filter' | 'held' | 'repeat' | 'counts'> {
    return { filter: this.filterText, held: this.held, repeat: this.repeat, counts: this.counts };
  }

  private get held(): HeldFrame | null {
    const { original, bytes, number } = this;
    if (original === null) return null;
    return {
      number,
      length: bytes.length,
      superpacket: original.superpacket,
      edited: this.isEdited(original),
      summary: summaryLine(bytes),
      bytes: Buffer.from(bytes.subarray(0, HELD_BYTES)).toString('base64'),
      fields: original.superpacket ? [] : editableFields(bytes),
    };
  }

  private isEdited({ bytes }: ShownFrame): boolean {
    return Buffer.compare(bytes, this.bytes) !== 0;
  }

  // Looking for frames.

  private lookIn(ms: number): void {
    clearTimeout(this.timer);
    if (this.ended) return;
    this.timer = setTimeout(() => {
      this.turns.take(() => this.look()).catch((error: unknown) => !this.ended && this.failed(error));
    }, ms);
  }

  /** Looks until a frame is held, none waits, or others have waited long enough. */
  private async look(): Promise<void> {
    for (let i = 0; i < UNSEEN_IN_ROW; i++) {
      if (this.ended || this.original !== null) return;
      const next = await this.loop.peek();
      if (next === null) {
        if (this.untold) this.tell();
        return this.lookIn(LOOK_MS);
      }
      await this.take(next);
    }
    this.lookIn(0);
  }

  private async take(next: ShownFrame): Promise<void> {
    if (this.filter?.matches(next.bytes, 0, next.bytes.length, next.bytes.length) === false) {
      await this.loop.step('pass');
      this.counts.unseen++;
      return this.tellSometimes();
    }
    if (this.repeat !== null) return this.settle(this.repeat.verdict, next.bytes, next.bytes);
    this.original = next;
    this.bytes = Uint8Array.from(next.bytes);
    this.number++;
    this.tell();
  }

  private tell(): void {
    this.untold = false;
    this.toldAt = clock.now();
    this.changed();
  }

  private tellSometimes(): void {
    this.untold = true;
    if (clock.now() - this.toldAt >= TELL_MS) this.tell();
  }

  /** Carries out a verdict on the frame that waits first. */
  private async settle(verdict: Verdict, original: Uint8Array, bytes: Uint8Array): Promise<void> {
    const isEdited = Buffer.compare(original, bytes) !== 0;
    await this.loop.step(verdict === 'pass' && isEdited ? bytes : verdict);
    this.original = null;
    this.counts[verdict === 'pass' ? 'passed' : 'dropped']++;
    this.untold = true;
    if (this.repeat === null) return;
    if (--this.repeat.left > 0) return this.tellSometimes();
    this.repeat = null;
    this.tell();
  }

  // What is done with the held frame; `number` is the one that the user has seen.

  private requireHeld(number: number): ShownFrame {
    if (this.original !== null && this.number === number) return this.original;
    throw new VnetError('STATE', `frame ${number}`, 'is not held any more', {
      hint: 'look at the frame that is held now',
    });
  }

  /** Passes or drops the held frame and the next ones, `count` in all, and holds the one after them. */
  decide(verdict: Verdict, number: number, count: number): Promise<void> {
    return this.turns.take(async () => {
      const { bytes } = this.requireHeld(number);
      this.repeat = count > 1 ? { verdict, left: count } : null;
      await this.settle(verdict, bytes, this.bytes);
      await this.look();
      this.tell();
    });
  }

  /** Holds the next frame. */
  hold(): Promise<void> {
    return this.inTurn(() => (this.repeat = null));
  }

  /** Does something that needs no answer of the loop. */
  private inTurn(body: () => void): Promise<void> {
    return this.turns.take(() =>
      Promise.resolve().then(() => {
        body();
        this.tell();
      }),
    );
  }

  edit(number: number, field: string, value: string): Promise<void> {
    return this.change(number, (bytes) => editField(bytes, field, value));
  }

  write(number: number, at: number, hex: string): Promise<void> {
    return this.change(number, (bytes) => {
      const written = typedBytes(hex);
      if (at + written.length > bytes.length)
        throw usageError(
          `${written.length} bytes at ${at}`,
          'are beyond the end of the frame',
          `it has ${bytes.length} bytes: an edit does not make it longer`,
        );
      bytes.set(written, at);
    });
  }

  private change(number: number, body: (bytes: Uint8Array) => void): Promise<void> {
    return this.inTurn(() => {
      if (this.requireHeld(number).superpacket)
        throw usageError(
          `frame ${number}`,
          'is a superpacket, which passes or is dropped',
          'ethtool -K INTERFACE tso off gso off: the kernel then sends frames that can be edited',
        );
      const bytes = Uint8Array.from(this.bytes);
      body(bytes);
      this.bytes = fixChecksums(bytes);
    });
  }

  undo(number: number): Promise<void> {
    return this.inTurn(() => (this.bytes = Uint8Array.from(this.requireHeld(number).bytes)));
  }

  /** Has the interface receive a frame; null: a copy of the held one. */
  inject(frame: Uint8Array | null): Promise<void> {
    return this.turns.take(async () => {
      if (frame === null && this.original === null)
        throw new VnetError('STATE', 'a copy', 'no frame is held', { hint: 'wait for one, or inject bytes' });
      await this.loop.inject(frame ?? this.bytes);
      this.counts.injected++;
      this.tell();
    });
  }

  /** Looks for no more frames. What has been asked for is still done, unless the loop is gone. */
  [Symbol.dispose](): void {
    this.ended = true;
    clearTimeout(this.timer);
  }
}
