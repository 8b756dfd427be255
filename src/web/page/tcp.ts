// SPDX-License-Identifier: MIT
/** What a segment of TCP does in its connection: numbers from the beginning, retransmissions, windows, states. */
import { TCP_FLAG } from '../../packet/headers';
import type { FrameSeen } from '../protocol';
import type { TcpSegment } from './packet';
import { type Seen, Sequence } from './sequence';
import type { Note, Side, Step } from './steps';

const count = (value: number): string => value.toLocaleString('en');
const sizeOf = (value: number): string => `${count(value)} byte${value === 1 ? '' : 's'}`;

/** One of the two ends. */
class End {
  readonly sequence = new Sequence();
  /** The shift of its windows; null if its SYN had none, undefined if that was not seen. */
  scale: number | null | undefined;
  /** Its last acknowledgment and window, as shown. */
  acknowledged: number | null = null;
  window: number | null = null;
  /** Times in a row that it has acknowledged the same, while more was under way. */
  duplicates = 0;
  hasEnded = false;
}

export class TcpConversation {
  private readonly ends: Readonly<Record<Side, End>> = { client: new End(), server: new End() };
  private wasReset = false;
  private isOpen = false;
  private isOpening = false;

  /** Whether a segment belongs to another connection of the same ends: the SYN of a client that begins elsewhere. */
  isOther({ flags, sequence }: TcpSegment, side: Side): boolean {
    const isFirst = (flags & (TCP_FLAG.syn | TCP_FLAG.ack)) === TCP_FLAG.syn;
    return isFirst && this.ends[side].sequence.isOther(sequence);
  }

  get state(): string {
    const { client, server } = this.ends;
    if (this.wasReset) return 'reset';
    if (client.hasEnded && server.hasEnded) return 'closed';
    if (client.hasEnded || server.hasEnded) return 'closing';
    return this.isOpen || !this.isOpening ? 'open' : 'opening';
  }

  /** `before` returns the frame in which this side has sent a byte before. */
  add(
    segment: TcpSegment,
    side: Side,
    { kind, time }: FrameSeen,
    before: (byte: number) => Step | null,
  ): Pick<Step, 'facts' | 'notes' | 'span'> {
    const [own, peer] = side === 'client' ? [this.ends.client, this.ends.server] : [this.ends.server, this.ends.client];
    const { flags, payload } = segment;
    const has = (flag: keyof typeof TCP_FLAG): boolean => (flags & TCP_FLAG[flag]) !== 0;
    const length = payload + Number(has('syn')) + Number(has('fin'));
    const next = own.sequence.isKnown ? own.sequence.next : null;
    if (has('syn')) own.scale = segment.scale;
    const window = windowOf(segment, own, peer);
    // The number of a reset is that of what it answers, and moves nothing.
    const seen: Seen = has('rst')
      ? resetAt(own.sequence.relative(segment.sequence))
      : own.sequence.send(segment.sequence, length, has('syn'));
    const ack = has('ack') ? peer.sequence.relative(segment.acknowledgment) : null;
    const notes: Note[] = has('rst') ? [] : [...orderNotes(seen, time, before)];
    if (ack !== null && !has('rst')) {
      const missing = peer.sequence.acknowledge(ack);
      if (missing > 0) notes.push(missed(missing, 'acknowledges'));
      if (length === 0) notes.push(...this.acknowledgmentNotes(own, peer, ack, window, seen.from === (next ?? 0) - 1));
      own.acknowledged = ack;
    }
    if (window === 0 && !has('rst') && own.window !== 0) notes.push({ kind: 'odd', text: 'the window is closed' });
    own.window = window;
    if (kind !== 'dropped') this.follow(has, own, payload);
    const facts = [`seq ${count(seen.from)}`, ...(ack === null ? [] : [`ack ${count(ack)}`])];
    const isRaw = own.scale === undefined && !has('syn');
    if (!has('rst')) facts.push(`window ${count(window)}${isRaw ? ' (not scaled)' : ''}`);
    return { facts: facts.join(', '), notes, span: seen.to > seen.from ? [seen.from, seen.to] : null };
  }

  private acknowledgmentNotes(own: End, peer: End, ack: number, window: number, isBehind: boolean): Note[] {
    const isSame = own.acknowledged === ack;
    if (isBehind) return [{ kind: 'quiet', text: peer.window === 0 ? 'asks for the window' : 'keep-alive' }];
    if (isSame && own.window !== null && window !== own.window && peer.sequence.next >= ack)
      return window > own.window ? [{ kind: 'quiet', text: 'more window' }] : [];
    own.duplicates = isSame && peer.sequence.next > ack ? own.duplicates + 1 : 0;
    return own.duplicates === 0 ? [] : [{ kind: 'odd', text: `duplicate ACK ${own.duplicates}` }];
  }

  private follow(has: (flag: keyof typeof TCP_FLAG) => boolean, own: End, payload: number): void {
    if (has('rst')) this.wasReset = true;
    if (has('fin')) own.hasEnded = true;
    if (has('syn') && !has('ack')) this.isOpening = true;
    else if (!has('syn') && (payload > 0 || (has('ack') && own === this.ends.client))) this.isOpen = true;
  }
}

/** The window in bytes: scaled if both sides have said how, but never that of a SYN (RFC 7323, 2.2). */
function windowOf({ flags, window }: TcpSegment, own: End, peer: End): number {
  const isSyn = (flags & TCP_FLAG.syn) !== 0;
  const scales = typeof own.scale === 'number' && peer.scale !== null;
  return isSyn || !scales ? window : window * 2 ** (own.scale ?? 0);
}

const resetAt = (from: number): Seen => ({ from, to: from, order: 'new', missing: 0 });

function missed(bytes: number, verb: string): Note {
  return { kind: 'quiet', text: `${verb} ${sizeOf(bytes)} that the page has not got` };
}

function orderNotes({ from, order, missing }: Seen, time: number, before: (byte: number) => Step | null): Note[] {
  if (missing > 0) return [missed(missing, 'follows')];
  if (order === 'late') return [{ kind: 'late', text: 'out of order: belongs before bytes that came earlier' }];
  if (order === 'new') return [];
  const first = before(from);
  const where = first ? ` of frame ${first.number}, ${(time - first.time).toFixed(1)} ms after it` : '';
  return [{ kind: 'again', text: `retransmission${where}` }];
}
