// SPDX-License-Identifier: MIT
/**
 * A TCP that returns what it receives (RFC 9293, as far as an echo needs it): it accepts segments in order, sends
 * within the other side's window, retransmits what is not acknowledged, and closes when the other side does.
 */
import { Frame, reply, tcp, TCP_FLAG, type HookContext } from 'vnet-bpf/hooks';

const WINDOW = 65535;
/** Payload of a segment in bytes; fits any MTU that IPv6 allows. */
const SEGMENT_BYTES = 1220;
/** Option for "Send me up to 1440 bytes at a time": without it the limit would be 536. */
const MAXIMUM_SEGMENT_SIZE = Uint8Array.of(2, 4, 1440 >>> 8, 1440 & 0xff);
const AGAIN_MS = 200;
const IDLE_MS = 60_000;
const CONNECTIONS_MAX = 1000;
const { syn, ack, fin, rst, psh } = TCP_FLAG;

/** Sends a segment to the other side. */
type Send = (flags: number, sequence: number, acknowledgment: number, window: number, payload: Uint8Array) => void;

const NOTHING = new Uint8Array(0);

class Connection {
  lastHeard = performance.now();
  /** The sequence number expected next, and the space that was offered for it. */
  private expected: number;
  private offered = 0;
  /**
   * Sequence number of our first unacknowledged byte; `queue` begins with it, and `sent` bytes of `queue` are in
   * transit.
   */
  private first = 1;
  private queue = Buffer.alloc(0);
  private sent = 0;
  private closing = false;
  private finSent = false;

  constructor(
    private readonly send: Send,
    sequence: number,
    private theirWindow: number,
  ) {
    this.expected = (sequence + 1) >>> 0;
    this.say(syn | ack, 0);
  }

  /** Handles a segment; returns false once the connection is over. */
  receive(flags: number, sequence: number, acknowledgment: number, window: number, payload: Uint8Array): boolean {
    this.lastHeard = performance.now();
    if ((flags & rst) !== 0) return false;
    if ((flags & syn) !== 0) this.say(syn | ack, 0); // our answer was lost
    this.theirWindow = window;
    if (this.isAllAcknowledged(acknowledgment)) return false;
    if (sequence === this.expected && payload.length <= this.space) {
      this.queue = Buffer.concat([this.queue, payload]);
      this.closing ||= (flags & fin) !== 0;
      this.expected = (this.expected + payload.length + (this.closing ? 1 : 0)) >>> 0;
    }
    const wantsAnswer = payload.length > 0 || (flags & fin) !== 0 || this.space - this.offered >= WINDOW / 2;
    if (!this.flush(this.theirWindow) && wantsAnswer) this.say(ack, this.first + this.sent);
    return true;
  }

  /** Retransmits what has not been acknowledged, one byte of it even into a closed window. */
  again(): void {
    this.sent = 0;
    this.finSent = false;
    this.flush(Math.max(1, this.theirWindow));
  }

  private get space(): number {
    return WINDOW - this.queue.length;
  }

  /** Removes what the other side has; true if that is everything, our FIN included. */
  private isAllAcknowledged(acknowledgment: number): boolean {
    const bytes = (acknowledgment - this.first) | 0; // numbers wrap around
    if (bytes <= 0 || bytes > this.queue.length + (this.finSent ? 1 : 0)) return false;
    if (bytes > this.queue.length) return true;
    this.queue = this.queue.subarray(bytes);
    this.first = (this.first + bytes) >>> 0;
    this.sent = Math.max(0, this.sent - bytes);
    return false;
  }

  /** Sends what the window allows; returns whether anything was sent. */
  private flush(window: number): boolean {
    const before = this.sent;
    while (this.sent < Math.min(this.queue.length, window)) {
      const payload = this.queue.subarray(this.sent, Math.min(this.sent + SEGMENT_BYTES, window));
      this.say(ack | psh, this.first + this.sent, payload);
      this.sent += payload.length;
    }
    if (!this.closing || this.finSent || this.sent < this.queue.length) return this.sent > before;
    this.say(fin | ack, this.first + this.sent);
    return (this.finSent = true);
  }

  private say(flags: number, sequence: number, payload: Uint8Array = NOTHING): void {
    this.offered = this.space;
    this.send(flags, sequence >>> 0, this.expected, this.offered, payload);
  }
}

export class TcpEcho {
  private readonly connections = new Map<string, Connection>();

  constructor(private readonly port: number) {}

  start(nic: HookContext): void {
    nic.every(AGAIN_MS, () => {
      for (const [key, connection] of this.connections) {
        const idle = performance.now() - connection.lastHeard;
        if (idle > IDLE_MS) this.connections.delete(key);
        else if (idle > AGAIN_MS) connection.again();
      }
    });
  }

  receive(frame: Frame, nic: HookContext): void {
    const { tcp: segment, ip } = frame;
    if (!segment || !ip) return;
    const { flags, sequence, acknowledgment, window, payload } = segment;
    const key = `${ip.source} ${segment.sourcePort}`;
    const known = this.connections.get(key);
    if (known) {
      if (!known.receive(flags, sequence, acknowledgment, window, payload)) this.connections.delete(key);
    } else if (
      (flags & syn) !== 0 &&
      segment.destinationPort === this.port &&
      this.connections.size < CONNECTIONS_MAX
    ) {
      this.connections.set(key, new Connection(sender(frame, nic), sequence, window));
    } else if ((flags & rst) === 0) {
      const numbers =
        (flags & ack) !== 0
          ? { sequence: acknowledgment, flags: rst }
          : { sequence: 0, acknowledgment: sequence + 1, flags: rst | ack };
      const ports = { sourcePort: segment.destinationPort, destinationPort: segment.sourcePort };
      nic.inject(reply(frame, tcp({ ...ports, ...numbers })));
    }
  }
}

/** Sends to the origin of a frame. The frame itself is gone by then, so its headers are copied. */
function sender(frame: Frame, nic: HookContext): Send {
  const kept = Frame.of(frame.copy());
  return (flags, sequence, acknowledgment, window, payload) => {
    const options = (flags & syn) !== 0 ? MAXIMUM_SEGMENT_SIZE : NOTHING;
    const { sourcePort, destinationPort } = kept.tcp as NonNullable<Frame['tcp']>;
    const ports = { sourcePort: destinationPort, destinationPort: sourcePort };
    nic.inject(reply(kept, tcp({ ...ports, flags, sequence, acknowledgment, window, options }, payload)));
  };
}
