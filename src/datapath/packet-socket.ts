// SPDX-License-Identifier: MIT
/**
 * The AF_PACKET socket on the peer: what is sent on it arrives on vnet0 as received from the wire. PACKET_VNET_HDR
 * passes checksums and superpackets as they are. SendFailures interprets the errors of the socket.
 *
 * PACKET_QDISC_BYPASS is not used: a veth has no qdisc to bypass except that of `vnet-bpf impair`, and no difference
 * was measurable. With it the kernel would not segment merged packets (gro.ts): there would be no tcx egress for `cut`,
 * and __dev_direct_xmit (net/core/dev.c) drops what validate_xmit_skb_list changes.
 */
import * as fs from 'node:fs';

import { CONTROL, GSO_UDP_L4, NEEDS_CSUM, VNET } from '../layout';
import type { FarEnd } from '../link/far-end';
import { clock } from '../native/clock';
import { errnoOf, sendMessages, setSocketOption, socketOption64 } from '../native/libc';
import { bindToLink, openLinkSocket, PACKET_VNET_HDR, SOL_PACKET } from '../native/sockets';
import { FATE } from './outcomes';
import { increment, type SharedWords } from './shared-memory';

const SOL_SOCKET = 1;
const SO_SNDBUFFORCE = 32;
const SO_MARK = 36;
const SO_COOKIE = 57;
const MSG_DONTWAIT = 0x40;

/** Space for a batch of superpackets; the charge for a frame ends when vnet0's stack takes it. */
const SEND_BUFFER_BYTES = 8 << 20;

/** Sends the poller's frames; unit tests pass one of their own. */
export interface FrameSender {
  /** Sends `count` messages from `address` on; returns the number sent, or a negative errno. */
  send(address: number, count: number): number;
}

export class PacketSocket implements FrameSender, Disposable {
  private constructor(readonly fd: number) {}

  /**
   * Opens the socket on an interface of the calling thread's namespace. Needs CAP_NET_RAW. Its frames carry `mark`, by
   * which `tx` recognizes those that it has to turn round; 0 for a peer's socket.
   */
  static open(ifindex: number, mark: number): PacketSocket {
    const fd = openLinkSocket();
    setSocketOption(fd, SOL_PACKET, PACKET_VNET_HDR, 1);
    setSocketOption(fd, SOL_SOCKET, SO_MARK, mark);
    setSocketOption(fd, SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER_BYTES);
    bindToLink(fd, ifindex);
    return new PacketSocket(fd);
  }

  /** The same socket in another thread; closing it is left to the thread that opened it. */
  static borrow(fd: number): FrameSender {
    return { send: (address, count) => sendMessages(fd, address, count, MSG_DONTWAIT) };
  }

  send(address: number, count: number): number {
    return sendMessages(this.fd, address, count, MSG_DONTWAIT);
  }

  /** The socket's number, which no other socket of this boot has or had. */
  get cookie(): number {
    return Number(socketOption64(this.fd, SOL_SOCKET, SO_COOKIE));
  }

  private open = true;

  close(): void {
    if (!this.open) return;
    this.open = false;
    fs.closeSync(this.fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

// The backlogs in which received frames wait for their CPU (net.core.netdev_max_backlog).

/** Frames that the machine has ever dropped because a backlog was full; 0 where the kernel does not tell. */
export function backlogDropsOfMachine(): number {
  try {
    const lines = fs.readFileSync('/proc/net/softnet_stat', 'utf8').trim().split('\n');
    // One line per CPU; the second column is softnet_data.dropped.
    return lines.reduce((sum, line) => sum + parseInt(line.split(' ')[1] ?? '0', 16), 0);
  } catch {
    return 0;
  }
}

// What an error of the socket means: the frame is sent again, or it can never pass and is counted by reason. Both
// pollers ask here. Behind a veth the kernel answers (net/core/dev.c, drivers/net/veth.c from Linux 6.6 on):
//
//   EMSGSIZE, EINVAL, ENETDOWN ...   never: packet_snd and virtio_net_hdr_to_skb have looked at the frame
//   EAGAIN                           later: the socket's buffer is full
//   ENOMEM                           validate_xmit_skb could not segment it: never, unless memory was short for the
//                                    segments
//   ENOBUFS                          veth_xmit could not pass it on:
//                                      vnet0 is down, or the frame is longer than its MTU (is_skb_forwardable): never
//                                      a backlog or the ring of vnet0's NAPI is full, or memory is short: later
//
// A frame that passes pays nothing for this. One that never passes costs one or two system calls, and at most every
// LOOK_MS a look at vnet0.

/** In place of a reason: the frame may still pass. */
export const LATER = 0;

/** How long a look at vnet0 is valid, in milliseconds. */
const LOOK_MS = 2;
/** How long a frame that fails without explanation is retried, in milliseconds, unless a backlog was full meanwhile. */
const GIVE_UP_MS = 1000;
/** Failures in a row before that time begins: more than one poll tries. */
const FAILURES_UNTIL_CLOCK = 16;

const ETH_HLEN = 14;
const VLAN_HLEN = 4;
/** Bytes by which a frame may be longer than the MTU (is_skb_forwardable in net/core/dev.c). */
const BEYOND_MTU = ETH_HLEN + VLAN_HLEN;
/** virtio_net_hdr: the ECN flag of gso_type, and the type for UDP fragmentation. */
const GSO_ECN = 0x80;
const GSO_UDP = 3;
/** The least that the kernel takes off a superpacket as headers, whatever it contains (virtio_net_hdr_to_skb). */
const LEAST_OFFSET = 20;

const minus = (name: string): number => -(errnoOf[name] as number);
const EINTR = minus('EINTR');
const EAGAIN = minus('EAGAIN');
const ENOBUFS = minus('ENOBUFS');
const ENOMEM = minus('ENOMEM');
const EMSGSIZE = minus('EMSGSIZE');
const EINVAL = minus('EINVAL');
const ENETDOWN = minus('ENETDOWN');
const ENXIO = minus('ENXIO');
const ENODEV = minus('ENODEV');

/** What the poller knows of a frame that was not taken. */
export interface UnsentFrame {
  /** Where its virtio_net_hdr lies. */
  memory: Uint8Array;
  at: number;
  /** Bytes from the Ethernet header on. */
  length: number;
}

/** The machine as SendFailures sees it; tests make one up. */
export interface Machine {
  /** The time in milliseconds. */
  now(): number;
  backlogDrops(): number;
}

export class SendFailures {
  /** Failures in a row of the frame that is first now. */
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
   * Notes that frames were sent or refused: the next failure concerns another frame. `failedOnce`: it has failed
   * already.
   */
  passed(failedOnce: boolean): void {
    this.streak = failedOnce ? 1 : 0;
  }

  /** The longest frame that vnet0 takes now, in bytes, known at most LOOK_MS ago; Infinity if unknown. */
  longestFrame(): number {
    return this.look(false) ? (this.farEnd as FarEnd).mtu + BEYOND_MTU : Infinity;
  }

  /** Counts a failed send. Returns how to count the frame, an offset in CONTROL, or LATER. */
  judge(result: number, frame: UnsentFrame, { linkDown, impaired, line }: { linkDown: boolean; impaired: boolean; line: unknown }): number {
    if (!canPassLater(result)) return reasonFor(result);
    if (result === ENOBUFS) increment(this.control, CONTROL.enobufs);
    const reason = linkDown ? CONTROL.refusedDown : impaired ? behindQdisc(result, line !== null) : this.reasonOf(result, frame);
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
    return isUncertain(frame) && frame.length > mtu + BEYOND_MTU && this.neverArrives() ? CONTROL.refusedToolong : LATER;
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
   * Whether the frame has failed for GIVE_UP_MS, and the reason is not one that passes by itself. The first failures,
   * which are most often the only ones, cost nothing.
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

/** Behind a full qdisc of an impairment frames wait, or they are lost, as on a line whose queue is full. */
const behindQdisc = (result: number, losesWhenFull: boolean): number => (losesWhenFull && result === ENOBUFS ? CONTROL.impairOverflow : LATER);

/** Whether the error concerns a frame that may pass later. */
const canPassLater = (result: number): boolean => result === ENOBUFS || result === EAGAIN || result === ENOMEM || result === EINTR || result === 0;

/** Where to count a frame that the socket will never take. */
function reasonFor(result: number): number {
  switch (result) {
    case EMSGSIZE:
      return CONTROL.refusedToolong;
    case EINVAL:
      return CONTROL.refusedInvalid;
    case ENETDOWN:
    case ENXIO:
    case ENODEV:
      return CONTROL.refusedDown;
    default:
      return CONTROL.refusedError;
  }
}

/** The outcome, for a recorder, of a frame that is counted under `reason`. */
export function fateOf(reason: number): number {
  switch (reason) {
    case CONTROL.refusedToolong:
      return FATE.refusedToolong;
    case CONTROL.refusedInvalid:
      return FATE.refusedInvalid;
    case CONTROL.refusedDown:
      return FATE.refusedDown;
    case CONTROL.impairOverflow:
      return FATE.reinjected; // like a loss in netem: impairments act after reinjection
    default:
      return FATE.refusedError;
  }
}

const read16 = (memory: Uint8Array, at: number): number => (memory[at] as number) | ((memory[at + 1] as number) << 8);

const needsChecksum = ({ memory, at }: UnsentFrame): boolean => ((memory[at + VNET.flags] as number) & NEEDS_CSUM) !== 0;
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
