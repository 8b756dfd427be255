// SPDX-License-Identifier: MIT
/**
 * The queue in front of an impairment's rate: how long netem will take to transmit what it was given. netem itself only
 * counts frames, whatever their size, so a queue limited in milliseconds is kept here, by netem's own arithmetic
 * (netem_enqueue in net/sched/sch_netem.c): a frame that would wait longer is lost, as on a real line.
 */
import { GSO_UDP_L4, RECORD, VNET } from '../layout';
import type { UnsentFrame } from './packet-socket';

/** A little slower than netem, so that nothing adds up of which this does not know. */
const CAUTION = 1.002;
const ETHERNET_BYTES = 14;
const UDP_BYTES = 8;
/** Of a superpacket whose headers it does not find. */
const TCP_BYTES_LEAST = 20;
const TCP_DATA_OFFSET = 12;

export interface LineParameters {
  bytesPerSecond: number;
  /** The longest that a frame may wait; Infinity where netem decides, as with several queues, which do not know of each other. */
  queueMs: number;
}

/** A poller, as far as its messages are asked for. */
interface Messages {
  /** Borrowed until the next one is asked for. */
  unsentFrame(message: number): UnsentFrame;
}

export class LineQueue {
  /** When the line has sent everything that it was given. */
  private freeAt = 0;
  private readonly msPerByte: number;

  constructor(readonly parameters: LineParameters) {
    this.msPerByte = (1000 / parameters.bytesPerSecond) * CAUTION;
  }

  /** Gives it messages from `from` up to `end` until it is full, at `now` in milliseconds; how many. */
  admit(messages: Messages, from: number, end: number, now: number): number {
    let to = from;
    for (; to < end && this.admits(now); to++) this.add(messages.unsentFrame(to), now);
    return to - from;
  }

  /** The last of those that were admitted, from `from` up to `to`, have not been sent after all. */
  takeBack(messages: Messages, from: number, to: number): void {
    for (let message = from; message < to; message++) this.freeAt -= this.msFor(messages.unsentFrame(message));
  }

  /** Whether a frame that comes at `now`, in milliseconds, finds a place. */
  admits(now: number): boolean {
    return this.freeAt - now <= this.parameters.queueMs;
  }

  add(frame: UnsentFrame, now: number): void {
    this.freeAt = Math.max(this.freeAt, now) + this.msFor(frame);
  }

  private msFor(frame: UnsentFrame): number {
    return wireBytes(frame) * this.msPerByte;
  }
}

/** What netem takes a frame for: a superpacket counts with the headers of all its segments (qdisc_pkt_len_init in net/core/dev.c). */
export function wireBytes({ memory, at, length }: UnsentFrame): number {
  const type = memory[at + VNET.gsoType] as number;
  if (type === 0) return length;
  const size = read16(memory, at + VNET.gsoSize);
  const transport = read16(memory, at + VNET.checksumStart);
  const frame = at + RECORD.frame - RECORD.vnet;
  const tcp = (memory[frame + transport + TCP_DATA_OFFSET] ?? 0) >>> 4;
  const headers = Math.max(ETHERNET_BYTES, transport) + (type === GSO_UDP_L4 ? UDP_BYTES : Math.max(TCP_BYTES_LEAST, tcp * 4));
  const segments = Math.max(1, Math.ceil((length - headers) / Math.max(1, size)));
  return length + (segments - 1) * headers;
}

const read16 = (memory: Uint8Array, at: number): number => (memory[at] as number) | ((memory[at + 1] as number) << 8);
