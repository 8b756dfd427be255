// SPDX-License-Identifier: MIT
/**
 * What each effect does to a frame: it changes the decision about the frame, and says in words what it did. An effect
 * that needs chance asks the dice for the frame's own numbers, so nothing here depends on the order of connections,
 * except for frames that share a line.
 */
import { CODEL } from './codel';
import type { Connection } from './connections';
import type { Dice, Throw } from './dice';
import { corrupt, markCongestion, resets, tooBig, unreachable } from './edits';
import { CodelLine, ConstantRate, type Queued, RecordedRate, type Service, TailDropLine } from './line';
import type { Fault } from './log';
import { type Judged, THROW_OF_MATCH } from './matching';
import type { Effect, EffectKind, EffectOf, Trace } from './rules';
import { Opportunities, unpacked } from './trace';

/** What becomes of a frame. */
export class Decision {
  drop = false;
  /** Milliseconds by which it and the frames made of it arrive later. */
  delayMs = 0;
  /** Whether it must not arrive before an earlier frame of its direction for which this is true as well. */
  ordered = false;
  /** Whether it may overtake others all the same. */
  unordered = false;
  /** The frame as it goes on; null: unchanged. */
  bytes: Uint8Array | null = null;
  /** Frames that arrive as well: copies of it, and answers to it. */
  readonly made: Uint8Array[] = [];
  /** It waits until `heldBy` other frames have passed it, but at most `heldMs`; with 0 it does not wait. */
  heldBy = 0;
  heldMs = 0;
  /** From now on no frame of the interface arrives, for this many milliseconds. */
  cutMs = 0;
  /** Whether the interface has no carrier for that time. */
  losesCarrier = false;
  /** From now on no frame of its connection arrives. */
  silences = false;
  /** Its place in a queue of CoDel, which decides later, and `delayMs` when it took it. */
  queued: QueuedFrame | null = null;
  queuedMs = 0;

  reset(): void {
    this.drop = this.ordered = this.unordered = this.silences = this.losesCarrier = false;
    this.queued = null;
    this.delayMs = this.heldBy = this.heldMs = this.cutMs = 0;
    this.bytes = null;
    this.made.length = 0;
  }
}

/** A frame in a queue of CoDel, and what has to be known of it when CoDel decides. */
export interface QueuedFrame extends Queued {
  connection: Connection;
  from: Judged['from'];
  /** Names the frame outside; 0 if it cannot be dropped any more. */
  ticket: number;
  /** Milliseconds that it waits behind the line. */
  moreMs: number;
  /** What is logged if it is dropped. */
  fault: Omit<Fault, 'time'>;
}

export type FaultLine = CodelLine<QueuedFrame>;

/** An effect at work on one frame. */
export interface Occasion {
  judged: Judged;
  decision: Decision;
  what: Throw;
}

/** Returns what it did, for the log; null if it did nothing. */
export type Applied = (occasion: Occasion) => string | null;

/** The most throws that one effect needs for a frame. */
const THROWS = 4;

interface Tools {
  dice: Dice;
  /** The first of its throws. */
  index: number;
  /** What it remembers about a connection; `memory` is its slot there. */
  memory: number;
  /** Takes lines whose queue decides later. */
  lines: FaultLine[];
  /** What is logged about a frame. */
  describe: (judged: Judged, what: Throw, effect: string) => Omit<Fault, 'time'>;
}

type Makers = { readonly [K in EffectKind]: (effect: EffectOf<K>, tools: Tools) => Applied };

/** The bytes that go on, to be changed. The frame itself stays as it is, because other rules still look at it. */
const bytesOf = ({ judged, decision }: Occasion): Uint8Array => decision.bytes ?? judged.frame.copy();

const ms = (time: number): string => `${time.toFixed(3)} ms`;

function dropping(occasion: Occasion, text: string): string {
  occasion.decision.drop = true;
  return text;
}

/** Makes other frames arrive in place of the frame; null if there are none. */
function instead(occasion: Occasion, frames: readonly (Uint8Array | null)[], text: string): string | null {
  const made = frames.filter((frame) => frame !== null);
  if (made.length === 0) return null;
  occasion.decision.made.push(...made);
  return dropping(occasion, text);
}

const MAKERS: Makers = {
  drop: () => (occasion) => dropping(occasion, 'drop'),
  loss:
    ({ probability }, { dice, index }) =>
    (occasion) =>
      dice.fraction(occasion.what, index) < probability ? dropping(occasion, 'loss') : null,
  gemodel: (effect, tools) => gilbertElliott(effect, tools),
  delay:
    ({ ms: mean, jitterMs, distribution, unordered }, { dice, index }) =>
    ({ decision, what }) => {
      const time = Math.max(0, mean + (jitterMs === 0 ? 0 : jitterMs * dice.deviation(distribution, what, index)));
      decision.delayMs += time;
      decision.ordered = true;
      decision.unordered ||= unordered;
      return `delay ${ms(time)}`;
    },
  duplicate:
    ({ copies }) =>
    ({ judged, decision }) => {
      for (let i = 0; i < copies; i++) decision.made.push(Uint8Array.from(decision.bytes ?? judged.frame.bytes));
      return copies === 1 ? 'duplicate' : `duplicate ${copies}`;
    },
  reorder:
    ({ by, withinMs }) =>
    ({ decision }) => {
      decision.heldBy = by;
      decision.heldMs = withinMs;
      return `reorder ${by}`;
    },
  corrupt:
    ({ part, bit, valid }, { dice, index }) =>
    (occasion) => {
      const chosen = bit ?? dice.bits(occasion.what, index);
      const bytes = bytesOf(occasion);
      const flipped = corrupt(bytes, part, chosen, valid);
      occasion.decision.bytes = bytes;
      return `corrupt in ${part} bit ${flipped}`;
    },
  truncate:
    ({ bytes: length }) =>
    (occasion) => {
      const bytes = bytesOf(occasion);
      if (bytes.length <= length) return null;
      occasion.decision.bytes = bytes.subarray(0, length);
      return `truncate ${length}`;
    },
  reset:
    ({ to }) =>
    (occasion) =>
      instead(occasion, resets(occasion.judged.frame, occasion.judged.from, to), `reset ${to}`),
  unreachable:
    ({ what }) =>
    (occasion) =>
      instead(occasion, [unreachable(occasion.judged.frame, what)], `unreachable ${what}`),
  'too-big':
    ({ mtu }) =>
    (occasion) =>
      instead(occasion, [tooBig(occasion.judged.frame, mtu)], `too-big ${mtu}`),
  ecn: () => (occasion) => {
    const bytes = bytesOf(occasion);
    if (!markCongestion(bytes)) return null;
    occasion.decision.bytes = bytes;
    return 'ecn';
  },
  rate: (effect, tools) => line(effect, new ConstantRate(effect.bitsPerSecond / 8000), tools),
  trace: (effect, tools) => line(effect, new RecordedRate(opportunitiesOf(effect.trace)), tools),
  cut:
    ({ ms: time }) =>
    (occasion) => {
      occasion.decision.cutMs = time;
      return dropping(occasion, `cut ${ms(time)}`);
    },
  carrier:
    ({ ms: time }) =>
    (occasion) => {
      occasion.decision.cutMs = time;
      occasion.decision.losesCarrier = true;
      return dropping(occasion, `carrier ${ms(time)}`);
    },
  blackhole: () => (occasion) => {
    occasion.decision.silences = true;
    return dropping(occasion, 'blackhole');
  },
};

/** Prepares effects. Their slots in a connection's memory begin at `memory`; each effect has one. */
export function prepare(
  effects: readonly Effect[],
  { memory, ...tools }: Pick<Tools, 'dice' | 'memory' | 'lines' | 'describe'>,
): Applied[] {
  return effects.map((effect, i) => {
    const make = MAKERS[effect.kind] as (effect: Effect, tools: Tools) => Applied;
    return make(effect, { ...tools, index: THROW_OF_MATCH + 1 + i * THROWS, memory: memory + i });
  });
}

/** The state of a connection in the model, and for which frame it is. */
interface GilbertElliott {
  n: number;
  isBad: boolean;
}

function gilbertElliott({ p, r, bad, good }: EffectOf<'gemodel'>, { dice, index, memory }: Tools): Applied {
  return (occasion) => {
    const { what } = occasion;
    const state = (occasion.judged.connection.memory[memory] ??= {
      n: 0,
      isBad: false,
    } satisfies GilbertElliott) as GilbertElliott;
    // The state depends on n alone, so it also advances for frames that earlier effects have dropped.
    while (state.n < what.n) {
      state.n++;
      const turn = dice.fraction({ ...what, n: state.n }, index);
      state.isBad = state.isBad ? turn >= r : turn < p;
    }
    return dice.fraction(what, index + 1) < (state.isBad ? bad : good) ? dropping(occasion, 'loss') : null;
  };
}

const opportunitiesOf = ({ opportunities }: Trace): Opportunities => new Opportunities(unpacked(opportunities ?? '1'));

/** A line that all frames of the rule share. */
function line(effect: EffectOf<'rate' | 'trace'>, service: Service, tools: Tools): Applied {
  const { kind, queue } = effect;
  const full = `${kind}: queue full`;
  if ('codel' in queue) return codelLine(effect, service, tools, full);
  const tailDrop = new TailDropLine(service, queue);
  return (occasion) => {
    const { judged, decision } = occasion;
    const sent = tailDrop.admit(judged.now + decision.delayMs, bytesOnWire(occasion));
    if (sent === Infinity) return dropping(occasion, full);
    decision.delayMs = sent - judged.now;
    decision.ordered = true;
    return null;
  };
}

function codelLine(
  { kind, targetMs, intervalMs }: EffectOf<'rate' | 'trace'>,
  service: Service,
  { lines, describe }: Tools,
  full: string,
): Applied {
  const codel: FaultLine = new CodelLine(service, {
    target: targetMs ?? CODEL.target,
    interval: intervalMs ?? CODEL.interval,
  });
  lines.push(codel);
  return (occasion) => {
    const { judged, decision, what } = occasion;
    const frame = codel.admit(judged.now + decision.delayMs, bytesOnWire(occasion), (queued) => ({
      ...queued,
      connection: judged.connection,
      from: judged.from,
      ticket: 0,
      moreMs: 0,
      fault: describe(judged, what, `${kind}: codel`),
    }));
    if (frame === null) return dropping(occasion, full);
    decision.delayMs = decision.queuedMs = frame.due - judged.now;
    decision.queued = frame;
    return null;
  };
}

const bytesOnWire = ({ judged, decision }: Occasion): number => decision.bytes?.length ?? judged.data.length;
