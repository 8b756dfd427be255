// SPDX-License-Identifier: MIT
/**
 * The queue in front of an impairment's rate: how long netem will take to transmit what it was given. netem's own limit
 * counts frames, whatever their size, so a queue limited in milliseconds is kept here, with netem's arithmetic
 * (netem_enqueue in net/sched/sch_netem.c): a frame that would wait longer is lost, as on a real line.
 */
import { GSO_UDP_L4, RECORD, VNET } from '../layout';
import type { UnsentFrame } from './packet-socket';

/** Makes this line slightly slower than netem's, so that no backlog builds up in netem unseen. */
const CAUTION = 1.002;
const ETHERNET_BYTES = 14;
const UDP_BYTES = 8;
/** The size assumed for the TCP header of a superpacket in which it is not found. */
const TCP_BYTES_LEAST = 20;
const TCP_DATA_OFFSET = 12;

export interface LineParameters {
  bytesPerSecond: number;
  /**
   * The longest wait of a frame; Infinity leaves it to netem, as with several queues, which do not know of each other.
   */
  queueMs: number;
}

/** The part of a poller through which its messages are read. */
interface Messages {
  /** The first frame of a message, borrowed until the next call. */
  unsentFrame(message: number): UnsentFrame;
}

export class LineQueue {
  /** When the line will have sent everything that it was given, in milliseconds. */
  private freeAt = 0;
  private readonly msPerByte: number;

  constructor(readonly parameters: LineParameters) {
    this.msPerByte = (1000 / parameters.bytesPerSecond) * CAUTION;
  }

  /**
   * Adds messages from `from` up to `end` until the queue is full; `now` is in milliseconds. Returns how many it took.
   */
  admit(messages: Messages, from: number, end: number, now: number): number {
    let to = from;
    for (; to < end && this.admits(now); to++) this.add(messages.unsentFrame(to), now);
    return to - from;
  }

  /** Removes messages from `from` up to `to`, the last that were admitted: they were not sent after all. */
  takeBack(messages: Messages, from: number, to: number): void {
    for (let message = from; message < to; message++) this.freeAt -= this.msFor(messages.unsentFrame(message));
  }

  /** Whether the queue has space for a frame that arrives at `now`, in milliseconds. */
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

/**
 * A frame's length as netem counts it: a superpacket has the headers of all its segments (qdisc_pkt_len_init in
 * net/core/dev.c).
 */
export function wireBytes({ memory, at, length }: UnsentFrame): number {
  const type = memory[at + VNET.gsoType] as number;
  if (type === 0) return length;
  const size = read16(memory, at + VNET.gsoSize);
  const transport = read16(memory, at + VNET.checksumStart);
  const frame = at + RECORD.frame - RECORD.vnet;
  const tcp = (memory[frame + transport + TCP_DATA_OFFSET] ?? 0) >>> 4;
  const headers =
    Math.max(ETHERNET_BYTES, transport) + (type === GSO_UDP_L4 ? UDP_BYTES : Math.max(TCP_BYTES_LEAST, tcp * 4));
  const segments = Math.max(1, Math.ceil((length - headers) / Math.max(1, size)));
  return length + (segments - 1) * headers;
}

const read16 = (memory: Uint8Array, at: number): number => (memory[at] as number) | ((memory[at + 1] as number) << 8);
