// SPDX-License-Identifier: MIT
/**
 * The conversations of the frames that the page has got: who talks to whom, and what each frame did in it. A bounded
 * number of conversations is kept, and of each a bounded number of frames.
 */
import type { FrameSeen } from '../protocol';
import { bytesOf } from './fields';
import { heldWords, outcomeWords } from './outcome';
import { type Packet, packetOf } from './packet';
import type { Flow, Note, Side, Step } from './steps';
import { TcpConversation } from './tcp';

/** Conversations kept; beyond that, the one that has been silent longest is forgotten. */
export const FLOWS_KEPT = 100;
/** Frames kept of a conversation: the first, which open it, and the last. */
export const FIRST_KEPT = 40;
export const LAST_KEPT = 360;
/** Earlier frames that one may overtake. */
const OVERTAKEN = 64;
/** Two arrivals are told apart if they are this far apart, in milliseconds. */
const APART_MS = 0.01;

class Conversation {
  frames = 0;
  bytes = 0;
  lost = 0;
  again = 0;
  late = 0;
  ended: number;
  private readonly first: Step[] = [];
  private last: Step[] = [];
  private readonly tcp: TcpConversation | null;
  /** The time of the echo request that waits for its reply, by its label. */
  private readonly asked = new Map<string, number>();
  private taken: Flow | null = null;

  constructor(
    private readonly id: number,
    readonly key: string,
    private readonly protocol: string,
    private readonly client: string,
    private readonly server: string,
    private readonly turn: number,
    private readonly began: number,
  ) {
    this.ended = began;
    this.tcp = protocol === 'TCP' ? new TcpConversation() : null;
  }

  /** Whether a frame with the same ends belongs to another conversation. */
  isOther({ tcp }: Packet, side: Side): boolean {
    return tcp !== null && this.tcp !== null && this.tcp.isOther(tcp, side);
  }

  sideOf({ source, target, fromClient }: Packet): Side {
    if (source === target) return fromClient === false ? 'server' : 'client';
    return source === this.client ? 'client' : 'server';
  }

  add(frame: FrameSeen, packet: Packet, side: Side): void {
    const { number, time, took, kind } = frame;
    const said =
      packet.tcp && this.tcp
        ? this.tcp.add(packet.tcp, side, frame, (from) => this.sentBefore(side, from))
        : { facts: '', notes: this.notesOf(packet, side, time), span: null };
    const notes = [...said.notes, ...endOf(frame)];
    this.again += Number(notes.some((note) => note.kind === 'again'));
    this.late += Number(notes.some((note) => note.kind === 'late'));
    this.lost += Number(kind === 'dropped');
    this.frames++;
    this.bytes += frame.length;
    this.ended = Math.max(this.ended, time);
    this.keep({ number, time, took, side, kind, label: packet.label, ...said, notes });
    this.taken = null;
  }

  private notesOf({ label, protocol }: Packet, side: Side, time: number): Note[] {
    if (!protocol.endsWith('echo')) return [];
    const sequence = label.slice(label.lastIndexOf(' '));
    if (side === 'client') {
      this.asked.set(sequence, time);
      if (this.asked.size > OVERTAKEN) this.asked.delete([...this.asked.keys()][0] as string);
      return [];
    }
    const asked = this.asked.get(sequence);
    this.asked.delete(sequence);
    return asked === undefined ? [] : [{ kind: 'quiet', text: `${(time - asked).toFixed(3)} ms after the request` }];
  }

  /** The last frame of a side that had the byte with that relative number. */
  private sentBefore(side: Side, byte: number): Step | null {
    for (const list of [this.last, this.first])
      for (let i = list.length - 1; i >= 0; i--) {
        const step = list[i] as Step;
        if (step.side === side && step.span && step.span[0] <= byte && byte < step.span[1]) return step;
      }
    return null;
  }

  private keep(step: Step): void {
    this.markOvertaken(step);
    if (this.first.length < FIRST_KEPT) this.first.push(step);
    else this.last.push(step);
    // Not one by one: each would move all others.
    if (this.last.length >= LAST_KEPT + OVERTAKEN) this.last = this.last.slice(-LAST_KEPT);
  }

  /** Earlier frames of the same side that arrive after this one are out of order. */
  private markOvertaken({ side, time, took, number }: Step): void {
    if (took === null) return;
    const arrived = time + took;
    for (const list of [this.first, this.last])
      for (let i = Math.max(0, list.length - OVERTAKEN); i < list.length; i++) {
        const step = list[i] as Step;
        if (step.side !== side || step.took === null || step.time + step.took <= arrived + APART_MS) continue;
        if (step.notes.some(({ kind }) => kind === 'late')) continue;
        const note: Note = { kind: 'late', text: `out of order: arrives after frame ${number}` };
        // A copy: what is shown while the page is paused stays as it is.
        list[i] = { ...step, notes: [note, ...step.notes] };
        this.late++;
      }
  }

  /** As it is now. */
  get flow(): Flow {
    const { id, protocol, client, server, turn, frames, bytes, again, late, lost, began, ended } = this;
    const last = this.last.slice(-LAST_KEPT);
    return (this.taken ??= {
      ...{ id, protocol, client, server, turn, frames, bytes, again, late, lost, began, ended, last },
      state: this.tcp?.state ?? '',
      first: [...this.first],
      forgotten: frames - this.first.length - last.length,
      revision: frames + late,
    });
  }
}

/** What became of it, if that is worth a note. */
function endOf({ kind, outcome }: FrameSeen): Note[] {
  const text = outcomeWords(outcome);
  if (kind === 'dropped') return [{ kind: 'lost', text: `lost: ${text}` }];
  if (kind !== 'passed') return [{ kind: 'odd', text }];
  const held = heldWords(outcome);
  return held === null ? [] : [{ kind: 'quiet', text: held }];
}

export class Flows {
  /** By key, the one that has been silent longest first. */
  private all = new Map<string, Conversation>();
  private readonly ended = new Set<Conversation>();
  private ids = 0;
  /** How many conversations there were, by key. */
  private turns = new Map<string, number>();
  /** Frames that belong to no conversation. */
  others = 0;

  add(frame: FrameSeen): void {
    const packet = packetOf(bytesOf(frame.bytes), frame.length);
    if (packet === null) return void this.others++;
    const conversation = this.conversationOf(packet, frame.time);
    conversation.add(frame, packet, conversation.sideOf(packet));
  }

  private conversationOf(packet: Packet, time: number): Conversation {
    const { key, protocol } = packet;
    let known = this.all.get(key);
    this.all.delete(key);
    if (known?.isOther(packet, known.sideOf(packet))) {
      this.ended.add(known);
      known = undefined;
    }
    if (!known) {
      const turn = (this.turns.get(key) ?? 0) + 1;
      this.turns.set(key, turn);
      const isClient = packet.fromClient ?? true;
      const [client, server] = isClient ? [packet.source, packet.target] : [packet.target, packet.source];
      known = new Conversation(++this.ids, key, protocol, client, server, turn, time);
    }
    this.all.set(key, known);
    this.forget();
    return known;
  }

  private forget(): void {
    if (this.all.size + this.ended.size <= FLOWS_KEPT) return;
    const [ended] = this.ended;
    const [oldest] = this.all.values();
    const gone = ended && (!oldest || ended.ended <= oldest.ended || this.all.size <= 1) ? ended : oldest;
    if (!gone) return;
    if (gone === ended) this.ended.delete(gone);
    else this.all.delete(gone.key);
    if (!this.all.has(gone.key) && ![...this.ended].some(({ key }) => key === gone.key)) this.turns.delete(gone.key);
  }

  /** The conversations as they are now, those that began last first. */
  get list(): Flow[] {
    return [...this.ended, ...this.all.values()].map(({ flow }) => flow).sort((a, b) => b.id - a.id);
  }
}
