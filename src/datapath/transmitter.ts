// SPDX-License-Identifier: MIT
/**
 * Sends the messages of a batch, for both pollers: retries frames that the socket may take later, refuses frames that
 * it will never take, and leaves the rest in the ring when a poll has used up its tries.
 */
import { CONTROL, GSO_UDP_L4, NEEDS_CSUM, VNET } from '../layout';
import { clock } from '../native/clock';
import { errnoOf } from '../native/libc';
import type { PollOptions } from '../options/attach-options';
import type { Batch } from './batch';
import type { LineQueue } from './line-queue';
import { OUTCOME, POLLER_REFUSALS, REFUSALS } from './outcomes';
import { backlogDropsOfMachine, type FarEnd, type FrameSender, type UnsentFrame } from './packet-socket';
import { increment, type SharedWords } from './shared-memory';

/** Tries per poll for frames that the socket cannot take now; after that they stay in the ring. */
export const TRIES_PER_POLL = 8;

export interface TransmitterParts {
  options: PollOptions;
  control: SharedWords;
  batch: Batch;
  sender: FrameSender;
  /** vnet0, at the far end; null where the socket is on the looping interface itself. */
  farEnd: FarEnd | null;
}

export abstract class Transmitter {
  /** Whether the last poll had to leave frames in the ring because the socket did not take them. */
  blocked = false;
  /** Set while vnet0 is down or gone: frames that cannot be delivered are refused, not retried. */
  linkDown = false;
  /**
   * Set while a qdisc of `vnet-bpf impair` is between the socket and the interface. It returns ENOBUFS while it is
   * full, which is not the frame's fault, and the interface transmits frames later, or fewer or more of them, than were
   * sent.
   */
  impaired = false;
  /** The queue in front of that qdisc's rate, if frames that find it full are lost. */
  line: LineQueue | null = null;
  protected readonly failures: SendFailures;

  constructor(private readonly socket: TransmitterParts) {
    this.failures = new SendFailures(socket.control, socket.farEnd);
    socket.control.set32(CONTROL.offering, 0); // a poller that was killed may have left it set
  }

  /** When the first frame outside the ring is due, in milliseconds; Infinity if there is none. */
  get due(): number {
    return Infinity;
  }

  /** Whether frames wait outside the ring. */
  get hasWaiting(): boolean {
    return false;
  }

  /** Makes frames outside the ring due at once. */
  hasten(): void {
    // Without a hook there are none.
  }

  /** Sends frames that are due, and takes nothing out of the ring. */
  deliver(): void {
    // Without a hook there are none.
  }

  /** The first frame of message `message` of the batch, borrowed until the next call. */
  abstract unsentFrame(message: number): UnsentFrame;
  /** Counts messages that were sent. */
  protected abstract received(from: number, to: number): void;
  /** Counts a message that will never be sent, under `reason`. */
  protected abstract refuse(message: number, reason: number): void;

  /**
   * Whether message `message` consists of merged frames that must be sent one by one. Transmission then ends before it.
   */
  protected splits(_message: number, _reason: number): boolean {
    return false;
  }

  /** Adds one to a counter of the poller that is not on the hot path. */
  count(offset: number): void {
    increment(this.socket.control, offset);
  }

  /** Sends the messages of the batch; returns how many were sent or refused. */
  protected transmit(): number {
    const { failures } = this;
    const all = this.socket.batch.count;
    let done = 0;
    let tries = 0;
    while (done < all) {
      const admitted = this.line === null ? all - done : this.line.admit(this, done, all, clock.now());
      if (admitted === 0) {
        this.refuse(done++, CONTROL.impairOverflow);
        continue;
      }
      const result = this.offer(done, admitted);
      this.line?.takeBack(this, done + Math.max(0, result), done + admitted);
      if (result > 0) {
        failures.passed(result < admitted);
        this.received(done, done + result);
        done += result;
        continue;
      }
      const reason = failures.judge(result, this.unsentFrame(done), this);
      if (this.splits(done, reason)) break;
      if (reason === LATER) {
        if (++tries <= TRIES_PER_POLL) continue;
        this.blocked = true;
        break;
      }
      this.refuse(done++, reason);
      failures.passed(false);
      tries = 0;
    }
    return done;
  }

  /**
   * Passes messages to the socket; returns the result of FrameSender.send(). A full qdisc counts a frame as dropped
   * before the poller learns of it, so a flag keeps readers from counting it as lost in the meantime.
   */
  private offer(message: number, count: number): number {
    const { control, batch, sender } = this.socket;
    const { impaired } = this;
    if (impaired) control.set32(CONTROL.offering, 1);
    const result = sender.send(batch.address(message), count);
    // sendmmsg does not say why it stopped. If there is a qdisc, it was full and dropped the next frame.
    if (result === ENOBUFS || (impaired && result > 0 && result < count)) increment(control, CONTROL.enobufs);
    if (impaired) control.set32(CONTROL.offering, 0);
    return result;
  }
}

// What an error of the socket means: the frame is sent again, or it can never pass and is counted by reason. With a
// veth the kernel returns (net/core/dev.c, drivers/net/veth.c from Linux 6.6 on):
//
//   EMSGSIZE, EINVAL, ENETDOWN ...   never: packet_snd or virtio_net_hdr_to_skb rejected the frame
//   EAGAIN                           later: the socket's buffer is full
//   ENOMEM                           validate_xmit_skb could not segment it: never, unless memory was short for the
//                                    segments
//   ENOBUFS                          veth_xmit could not pass it on:
//                                      vnet0 is down, or the frame is longer than its MTU (is_skb_forwardable): never
//                                      a backlog or the ring of vnet0's NAPI is full, or memory is short: later
//
// A frame that passes pays nothing for this. One that never passes costs one or two system calls and, every LOOK_MS at
// most, a look at vnet0.

/** Returned in place of a reason: the frame may still pass. */
export const LATER = 0;

/** How long a look at vnet0 is valid, in milliseconds. */
const LOOK_MS = 2;
/** How long a frame that fails without explanation is retried, in milliseconds, unless a backlog was full meanwhile. */
const GIVE_UP_MS = 1000;
/** Failures in a row before that time begins; this is more than the tries of one poll. */
const FAILURES_UNTIL_CLOCK = 16;

const ETH_HLEN = 14;
const VLAN_HLEN = 4;
/** Bytes by which a frame may be longer than the MTU (is_skb_forwardable in net/core/dev.c). */
const BEYOND_MTU = ETH_HLEN + VLAN_HLEN;
/** virtio_net_hdr: the ECN flag of gso_type, and the type for UDP fragmentation. */
const GSO_ECN = 0x80;
const GSO_UDP = 3;
/** The fewest header bytes that the kernel deducts from a superpacket, whatever it contains (virtio_net_hdr_to_skb). */
const LEAST_OFFSET = 20;

const minus = (name: string): number => -(errnoOf[name] as number);
const EINTR = minus('EINTR');
const EAGAIN = minus('EAGAIN');
const ENOBUFS = minus('ENOBUFS');
const ENOMEM = minus('ENOMEM');

/** The machine as SendFailures sees it; tests provide a fake. */
export interface Machine {
  /** The time in milliseconds. */
  now(): number;
  backlogDrops(): number;
}

export class SendFailures {
  /** Failures in a row of the frame that is to be sent next. */
  private streak = 0;
  private since = 0;
  private dropsSince = 0;
  private lookedAt = -Infinity;
  private rxDropped = 0;
  private drops = 0;

  constructor(
    private readonly control: SharedWords,
    /** Null where the socket is on the looping interface itself, whose MTU packet_snd checks. */
    private readonly farEnd: FarEnd | null,
    private readonly machine: Machine = { now: () => clock.now(), backlogDrops: backlogDropsOfMachine },
  ) {}

  /**
   * Notes that frames were sent or refused: the next failure concerns another frame. `failedOnce`: that frame has
   * failed once already.
   */
  passed(failedOnce: boolean): void {
    this.streak = failedOnce ? 1 : 0;
  }

  /** The longest frame that vnet0 takes, in bytes, as of at most LOOK_MS ago; Infinity if unknown. */
  longestFrame(): number {
    return this.look(false) ? (this.farEnd as FarEnd).mtu + BEYOND_MTU : Infinity;
  }

  /**
   * Where to count a frame that was not taken, as an offset in CONTROL; or LATER, in which case the retry is counted
   * here.
   */
  judge(
    result: number,
    frame: UnsentFrame,
    { linkDown, impaired, line }: { linkDown: boolean; impaired: boolean; line: unknown },
  ): number {
    if (!canPassLater(result)) return reasonFor(result);
    const reason = linkDown
      ? CONTROL.refusedDown
      : impaired
        ? behindQdisc(result, line !== null)
        : this.reasonOf(result, frame);
    if (reason === LATER) increment(this.control, CONTROL.reinjectRetries);
    return reason;
  }

  private reasonOf(result: number, frame: UnsentFrame): number {
    this.streak++;
    if (result === ENOMEM && asks(frame) && (this.streak > 1 || isCheckedOnly(frame))) return CONTROL.refusedInvalid;
    if (result === ENOBUFS) {
      const reason = this.explained(frame);
      if (reason !== LATER) return reason;
    } else if (result !== ENOMEM) return LATER;
    return this.isHopeless() ? CONTROL.refusedError : LATER;
  }

  /** Explains ENOBUFS by the state of vnet0. */
  private explained(frame: UnsentFrame): number {
    if (!this.look(false)) return LATER;
    const { up, mtu } = this.farEnd as FarEnd;
    if (!up) return CONTROL.refusedDown;
    if (comparedLength(frame) > mtu + BEYOND_MTU) return CONTROL.refusedToolong;
    return isUncertain(frame) && frame.length > mtu + BEYOND_MTU && this.neverArrives()
      ? CONTROL.refusedToolong
      : LATER;
  }

  /**
   * Whether vnet0 has dropped the frame since the last failure although no backlog was full. The ring of vnet0's NAPI
   * may be full too, but rx_dropped does not count that.
   */
  private neverArrives(): boolean {
    const before = this.streak > 1 ? this.rxDropped : Infinity;
    const dropsBefore = this.drops;
    if (!this.look(true)) return false;
    this.rxDropped = (this.farEnd as FarEnd).rxDropped;
    this.drops = this.machine.backlogDrops();
    return this.rxDropped > before && this.drops === dropsBefore;
  }

  /**
   * Whether the frame has failed for GIVE_UP_MS, for a reason that does not pass by itself. The first failures, which
   * are usually the only ones, cost nothing.
   */
  private isHopeless(): boolean {
    if (this.streak < FAILURES_UNTIL_CLOCK) return false;
    const first = this.streak === FAILURES_UNTIL_CLOCK;
    const now = this.machine.now();
    if (!first && now - this.since < GIVE_UP_MS) return false;
    const drops = this.machine.backlogDrops();
    const hopeless = !first && drops === this.dropsSince;
    this.since = now;
    this.dropsSince = drops;
    return hopeless;
  }

  private look(anew: boolean): boolean {
    if (this.farEnd === null) return false;
    const now = this.machine.now();
    if (!anew && now - this.lookedAt < LOOK_MS) return true;
    this.lookedAt = this.farEnd.look() ? now : -Infinity;
    return this.lookedAt === now;
  }
}

/** While the qdisc of an impairment is full, frames wait, or are lost as on a line whose queue is full. */
const behindQdisc = (result: number, losesWhenFull: boolean): number =>
  losesWhenFull && result === ENOBUFS ? CONTROL.impairOverflow : LATER;

/** Whether the error concerns a frame that may pass later. */
const canPassLater = (result: number): boolean =>
  result === ENOBUFS || result === EAGAIN || result === ENOMEM || result === EINTR || result === 0;

const REASONS = new Map(
  POLLER_REFUSALS.flatMap(({ errnos, counter }) => errnos.map((name) => [minus(name), counter] as const)),
);

/** Where to count a frame that the socket will never take. */
const reasonFor = (result: number): number => REASONS.get(result) ?? REFUSALS.error.counter;

/** A loss in the queue of an impairment counts like one in netem, because impairments act after reinjection. */
const OUTCOMES = new Map<number, number>([
  [CONTROL.impairOverflow, OUTCOME.reinjected],
  ...POLLER_REFUSALS.map(({ counter, outcome }) => [counter, outcome] as const),
]);

/** The outcome, for a recorder, of a frame that is counted under `reason`. */
export const outcomeOf = (reason: number): number => OUTCOMES.get(reason) ?? REFUSALS.error.outcome;

const read16 = (memory: Uint8Array, at: number): number => (memory[at] as number) | ((memory[at + 1] as number) << 8);

const needsChecksum = ({ memory, at }: UnsentFrame): boolean =>
  ((memory[at + VNET.flags] as number) & NEEDS_CSUM) !== 0;
const gsoTypeOf = ({ memory, at }: UnsentFrame): number => (memory[at + VNET.gsoType] as number) & ~GSO_ECN;

/** Whether the frame asks the kernel for something that it may be unable to do. */
const asks = (frame: UnsentFrame): boolean => needsChecksum(frame) || gsoTypeOf(frame) !== 0;

/** Whether veth takes the superpacket whole: validate_xmit_skb reads only its headers, and needs no memory. */
const isCheckedOnly = (frame: UnsentFrame): boolean => gsoTypeOf(frame) !== 0 && needsChecksum(frame);

/**
 * The length in bytes that vnet0 compares with its MTU; 0 for a superpacket, which passes whole. A frame that is no
 * longer than its gso_size is not a superpacket (virtio_net_hdr_to_skb).
 */
function comparedLength(frame: UnsentFrame): number {
  const { memory, at, length } = frame;
  const type = gsoTypeOf(frame);
  if (type === 0) return length;
  const size = read16(memory, at + VNET.gsoSize);
  if (needsChecksum(frame)) {
    const headers = read16(memory, at + VNET.checksumStart) + (type === GSO_UDP ? 0 : type === GSO_UDP_L4 ? 8 : 20);
    return length - headers > size ? 0 : length;
  }
  return length - LEAST_OFFSET <= size ? length : 0;
}

/** Whether only the kernel knows where the payload begins, and so whether the frame is a superpacket. */
const isUncertain = (frame: UnsentFrame): boolean => gsoTypeOf(frame) !== 0 && !needsChecksum(frame);
