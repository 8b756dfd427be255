// SPDX-License-Identifier: MIT
/**
 * The batch log: a poller that sends batches out of the ring, is killed anywhere, twice at most, and is taken over by
 * another one that finishes its batch first and may be killed in that, too.
 *
 * A kill ends the process between two stores; what the kernel does for one message (send it, write its msg_len) is one
 * step, for a kill waits until it has been done. A merged message has two records, of which a backlog may take the
 * first alone: then the kernel writes nothing, and only the interface's own counter shows it.
 */
import type { Model, Step } from './checker';
import { append, fields, length, list, shift } from './fields';

export type AdoptionMutation =
  | 'no batch log'
  | 'batch sent again'
  | 'marks not cleared'
  | 'log ended before the counters'
  | 'counters added to'
  | 'ring released whatever its position'
  | 'refused counted by the poller alone'
  | 'pieces forgotten';

export interface AdoptionSetting {
  /** Records that each sender puts into the ring. */
  frames: readonly number[];
  ring: number;
  crashes: number;
  mutation?: AdoptionMutation;
}

const SENDERS = 2;
const RING_MAX = 3;
/** Records of a batch. */
const BUDGET = 2;

const { field, size } = fields();
const FAULT = field();
const RING = field(RING_MAX);
const POSITION = field(); // the consumer position
const NEXT = field(SENDERS);
const SENT = field(); // what the interface's counter says
const ENDED = field(SENDERS); // records sent or refused, a bit each
const GONE = field(); // records that the kernel refused
const DRAINED = field();
const RX = field();
const REFUSED = field();
const LOG_COUNT = field();
const LOG_START = field();
const LOG_DRAINED = field();
const LOG_RX = field();
const LOG_REFUSED = field();
const LOG_SENT = field(); // the interface's counter
const MERGED = field(); // one message of both records; written with each message
const MARK = field(BUDGET);
const PC = field();
const LEASED = field();
const DONE = field(); // records
const OWN_RX = field(); // sent of this batch
const OWN_REFUSED = field();
const CRASHES = field();
const FULL = field(); // how often the socket may take nothing

const TAKEN = 1;
const REFUSAL = 2;

const code = (sender: number, index: number): number => 1 | (sender << 1) | (index << 2);
const POLLER = 2;
const CRASH = 3;

const P = {
  lease: 0,
  counters: 1,
  log: 2,
  send: 3,
  mark: 4,
  count: 5,
  commit: 6,
  drained: 7,
  rx: 8,
  refused: 9,
  end: 10,
  dead: 11,
  release: 12,
  pieces: 13,
};

export const ADOPTION_PROPERTIES = {
  once: 'a frame is sent once',
  order: 'frames leave in their order',
  drained: 'every record is counted as drained',
  rx: 'what was sent is counted as sent',
  refused: 'what was refused is counted as refused',
};
const BY_NUMBER = ['', ADOPTION_PROPERTIES.once, ADOPTION_PROPERTIES.order];
const ONCE = 1;
const ORDER = 2;

export class Adoption implements Model {
  readonly bytes = size();
  readonly processes = ['sender A', 'sender B', 'poller', 'kill'];
  readonly idle = [CRASH];

  constructor(private readonly setting: AdoptionSetting) {}

  start(s: Uint8Array): void {
    s[CRASHES] = this.setting.crashes;
    s[FULL] = 2;
  }

  next(s: Uint8Array, step: Step): void {
    for (let sender = 0; sender < SENDERS; sender++) {
      const index = s[NEXT + sender] as number;
      if (index >= (this.setting.frames[sender] as number) || length(s, RING, RING_MAX) >= this.setting.ring) continue;
      const n = step(sender, 'puts % into the ring', code(sender, index));
      append(n, RING, RING_MAX, code(sender, index));
      n[NEXT + sender]!++;
    }
    this.poller(s, step);
    if ((s[CRASHES] as number) === 0 || s[PC] === P.dead) return;
    const n = step(CRASH, 'the poller is killed');
    n[CRASHES]!--;
    forget(n);
    n[PC] = P.dead;
  }

  private is(mutation: AdoptionMutation): boolean {
    return this.setting.mutation === mutation;
  }

  private poller(s: Uint8Array, step: Step): void {
    const go = (label: string, pc: number, about = 0): Uint8Array => {
      const n = step(POLLER, label, about);
      n[PC] = pc;
      return n;
    };
    switch (s[PC] as number) {
      case P.lease: {
        const count = Math.min(length(s, RING, RING_MAX), BUDGET);
        if (count === 0) return;
        for (let merged = 0; merged < count; merged++) {
          const n = go(merged ? 'fills a message of two records' : 'fills a message for each record', P.counters);
          n[LEASED] = count;
          n[MERGED] = merged;
          if (!this.is('marks not cleared')) n[MARK] = n[MARK + 1] = 0;
        }
        return;
      }
      case P.counters: {
        const n = go('writes the counters into the log', P.log);
        n[LOG_START] = s[POSITION] as number;
        n[LOG_DRAINED] = s[DRAINED] as number;
        n[LOG_RX] = s[RX] as number;
        n[LOG_REFUSED] = s[REFUSED] as number;
        n[LOG_SENT] = s[SENT] as number;
        return;
      }
      case P.log:
        go('writes into the log how many messages come', P.send)[LOG_COUNT] = this.is('no batch log')
          ? 0
          : s[MERGED]
            ? 1
            : (s[LEASED] as number);
        return;
      case P.send:
        this.send(s, step);
        return;
      case P.mark:
        this.markRefused(go('marks a message as refused', P.count));
        return;
      case P.count: {
        const records = s[MERGED] ? 2 : 1;
        const n = go('counts what was refused', 0);
        n[REFUSED]! += records;
        n[DONE]! += records;
        n[PC] = n[DONE] === n[LEASED] ? P.commit : P.send;
        return;
      }
      case P.pieces: {
        const n = go("asks the interface's counter how much of it was sent", P.commit);
        const pieces = (s[SENT] as number) - (s[LOG_SENT] as number) - (s[OWN_RX] as number);
        n[DONE]! += pieces;
        n[OWN_RX]! += pieces;
        return;
      }
      case P.commit: {
        const n = go('gives the records back', this.is('log ended before the counters') ? P.end : P.drained);
        release(n, s[DONE] as number);
        return;
      }
      case P.drained:
        go('counts what was drained', P.rx)[DRAINED] =
          (this.is('counters added to') ? (s[DRAINED] as number) : (s[LOG_DRAINED] as number)) + (s[DONE] as number);
        return;
      case P.rx:
        go(
          'counts what was sent',
          s[OWN_REFUSED] ? P.refused : this.is('log ended before the counters') ? P.lease : P.end,
        )[RX] = (s[LOG_RX] as number) + (s[OWN_RX] as number);
        return;
      case P.refused:
        go('sets what was refused', P.end)[REFUSED] = (s[LOG_REFUSED] as number) + (s[OWN_REFUSED] as number) - 1;
        return;
      case P.end: {
        const n = go('ends the log', this.is('log ended before the counters') ? P.drained : P.lease);
        n[LOG_COUNT] = 0;
        if (n[PC] === P.lease) forget(n);
        return;
      }
      case P.dead:
        this.recover(s, go);
        return;
      case P.release: {
        const n = go('gives the records back for it', P.drained);
        release(n, s[DONE] as number);
        return;
      }
    }
  }

  /** One message, as sendmmsg sends it. */
  private send(s: Uint8Array, step: Step): void {
    const records = s[MERGED] ? 2 : 1;
    const at = s[DONE] as number;
    const record = s[RING + at] as number;
    const taken = step(POLLER, records > 1 ? 'both records are sent' : '% is sent', record);
    for (let i = 0; i < records; i++) this.leaves(taken, s[RING + at + i] as number);
    taken[SENT]! += records;
    taken[OWN_RX]! += records;
    taken[MARK + (s[MERGED] ? 0 : at)] = TAKEN;
    taken[DONE]! += records;
    taken[PC] = taken[DONE] === s[LEASED] ? P.commit : P.send;

    if ((s[FULL] as number) > 0) {
      const later = step(POLLER, 'the socket takes nothing now');
      later[FULL]!--;
      later[PC] = P.commit;
    }

    step(POLLER, 'the socket refuses the message')[PC] = P.mark;

    if (records === 1) return;
    const part = step(POLLER, 'of the message only the first record is sent');
    this.leaves(part, record);
    part[SENT]!++;
    part[PC] = P.pieces;
  }

  /** From here on it is not tried again. */
  private markRefused(n: Uint8Array): void {
    const at = n[DONE] as number;
    const records = n[MERGED] ? 2 : 1;
    n[MARK + (n[MERGED] ? 0 : at)] = REFUSAL;
    for (let i = 0; i < records; i++) this.ends(n, n[RING + at + i] as number);
    n[GONE]! += records;
  }

  /** recoverBatch(). */
  private recover(s: Uint8Array, go: (label: string, pc: number) => Uint8Array): void {
    if (s[LOG_COUNT] === 0) {
      go('another one finds no batch under way', P.lease);
      return;
    }
    let done = 0;
    let sent = 0;
    let refused = 0;
    const per = s[MERGED] ? 2 : 1;
    for (let i = 0; i < (s[LOG_COUNT] as number) && s[MARK + i]; i++) {
      done += per;
      if (s[MARK + i] === TAKEN) sent += per;
      else refused += per;
    }
    const pieces = (s[SENT] as number) - (s[LOG_SENT] as number) - sent;
    if (pieces > 0 && !this.is('pieces forgotten')) {
      done += pieces;
      sent += pieces;
    }
    if (this.is('batch sent again')) done = sent = refused = 0;
    const inPlace = s[POSITION] === s[LOG_START] || this.is('ring released whatever its position');
    const n = go(
      inPlace ? 'another one finds the batch under way' : 'another one finds the batch given back',
      inPlace ? P.release : P.drained,
    );
    n[DONE] = done;
    n[OWN_RX] = sent;
    n[OWN_REFUSED] = this.is('refused counted by the poller alone') ? 0 : refused + 1;
  }

  private leaves(n: Uint8Array, record: number): void {
    const sender = (record >> 1) & 1;
    const index = record >> 2;
    if ((n[ENDED + sender] as number) >> (index + 1)) n[FAULT] = ORDER;
    this.ends(n, record);
  }

  private ends(n: Uint8Array, record: number): void {
    const sender = (record >> 1) & 1;
    const bit = 1 << (record >> 2);
    if ((n[ENDED + sender] as number) & bit) n[FAULT] = ONCE;
    n[ENDED + sender]! |= bit;
  }

  broken(s: Uint8Array): string | null {
    if (s[FAULT]) return BY_NUMBER[s[FAULT] as number] as string;
    if (!this.atRest(s)) return null;
    if (s[DRAINED] !== this.setting.frames.reduce((sum, count) => sum + count, 0)) return ADOPTION_PROPERTIES.drained;
    if (s[RX] !== s[SENT]) return ADOPTION_PROPERTIES.rx;
    return s[REFUSED] === s[GONE] ? null : ADOPTION_PROPERTIES.refused;
  }

  atRest(s: Uint8Array): boolean {
    return s[PC] === P.lease && !s[RING] && this.setting.frames.every((count, sender) => s[NEXT + sender] === count);
  }

  name(record: number): string {
    return `${'AB'[(record >> 1) & 1] as string}${(record >> 2) + 1}`;
  }

  show(s: Uint8Array): string {
    return `drained ${s[DRAINED]}, rx ${s[RX]}, refused ${s[REFUSED]}, really sent ${s[SENT]} and refused ${s[GONE]}, ring: ${list(s, RING, RING_MAX, (record) => this.name(record))}`;
  }
}

function release(n: Uint8Array, records: number): void {
  for (let i = 0; i < records; i++) shift(n, RING, RING_MAX);
  n[POSITION]! += records;
}

/** What only the process knew. */
function forget(n: Uint8Array): void {
  n[LEASED] = n[DONE] = n[OWN_RX] = n[OWN_REFUSED] = 0;
}
