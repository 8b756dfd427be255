// SPDX-License-Identifier: MIT
/**
 * NAPI's poll(budget), in TypeScript: takes at most `budget` records out of the ring and sends
 * them with one sendmmsg straight from the mapped ring. Nothing is allocated here, whatever the
 * traffic: fields are numbers, memory is mapped once.
 */
import { backlogDropsOfMachine } from './backlog';
import type { Batch } from './batch';
import { CONTROL, RECORD, VNET_HDR_BYTES } from './layout';
import type { FrameSender } from './packet-socket';
import type { QueueGate } from './queue-gate';
import type { SharedWords } from './shared-memory';
import { errnoOf } from '../native/libc';

/** What the poller needs of a ring: RingBuffer of libbpf-ts, or a made-up one in a test. */
export interface Ring {
  readonly offsets: Uint32Array;
  lease(budget: number): number;
  commit(count: number): void;
  consumerPosition(): number;
}

export interface PollerParts {
  ring: Ring;
  /** The ring's data, mapped twice in a row, and its address. */
  data: Uint8Array;
  dataAddress: number;
  control: SharedWords;
  batch: Batch;
  sender: FrameSender;
  gate: QueueGate;
}

/** How often one poll tries again what the socket cannot take now; then the frames stay in the ring. */
const TRIES_PER_POLL = 8;
/**
 * After so many polls that came to nothing, a frame that the kernel says it has no buffers for is
 * suspected of being one that it cannot segment or checksum: dev_direct_xmit (net/core/dev.c)
 * answers ENOBUFS to both. The pauses between the polls are long enough for a backlog to empty.
 */
const POLLS_UNTIL_SUSPECT = 4;

const EINTR = -(errnoOf['EINTR'] as number);
const EAGAIN = -(errnoOf['EAGAIN'] as number);
const ENOBUFS = -(errnoOf['ENOBUFS'] as number);
const ENOMEM = -(errnoOf['ENOMEM'] as number);
const EMSGSIZE = -(errnoOf['EMSGSIZE'] as number);
const EINVAL = -(errnoOf['EINVAL'] as number);
const ENETDOWN = -(errnoOf['ENETDOWN'] as number);
const ENXIO = -(errnoOf['ENXIO'] as number);
const ENODEV = -(errnoOf['ENODEV'] as number);

export class Poller {
  private readonly words: Uint32Array;
  private drained: number;
  private rxPackets: number;
  private rxBytes: number;
  private largestFrame: number;
  private polls: number;
  private budgetExhausted: number;

  /** True after a poll that had to leave frames in the ring because the socket did not take them. */
  blocked = false;
  /** Polls in a row that were blocked by the same frame, the first in the ring. */
  private blockedPolls = 0;
  /** Set while vnet0 is down or gone: frames that cannot be delivered are refused, not retried. */
  linkDown = false;

  constructor(
    private readonly parts: PollerParts,
    /** Records per poll, 1 to 1024. */
    readonly budget: number,
  ) {
    const { control, data } = parts;
    this.words = new Uint32Array(data.buffer, data.byteOffset, data.byteLength >>> 2);
    this.drained = control.get64(CONTROL.drained);
    this.rxPackets = control.get64(CONTROL.rxPackets);
    this.rxBytes = control.get64(CONTROL.rxBytes);
    this.largestFrame = control.get64(CONTROL.largestFrame);
    this.polls = control.get64(CONTROL.polls);
    this.budgetExhausted = control.get64(CONTROL.budgetExhausted);
  }

  /** Drains up to `budget` records; returns how many left the ring. */
  poll(): number {
    const { ring, control } = this.parts;
    const leased = ring.lease(this.budget);
    this.blocked = false;
    const done = leased === 0 ? 0 : this.send(leased);
    ring.commit(done); // with 0: lets go of discarded records
    if (leased > 0) {
      this.drained += done;
      this.polls++;
      control.set64(CONTROL.drained, this.drained);
      control.set64(CONTROL.rxPackets, this.rxPackets);
      control.set64(CONTROL.rxBytes, this.rxBytes);
      this.parts.batch.end();
      control.set64(CONTROL.polls, this.polls);
      if (done === this.budget) control.set64(CONTROL.budgetExhausted, ++this.budgetExhausted);
    }
    this.parts.gate.update(this.drained);
    return done;
  }

  /** Adds one to a counter of the poller's that is not on the hot path. */
  count(offset: number): void {
    this.parts.control.set64(offset, this.parts.control.get64(offset) + 1);
  }

  /** Sends the leased records; returns how many are done with, sent or refused. */
  private send(leased: number): number {
    const { batch, ring, sender } = this.parts;
    this.fill(leased);
    batch.begin(leased, ring.consumerPosition(), this.drained, this.rxPackets, this.rxBytes);
    let done = 0;
    let tries = 0;
    const suspect = this.blockedPolls >= POLLS_UNTIL_SUSPECT;
    const dropsBefore = suspect ? backlogDropsOfMachine() : 0;
    while (done < leased) {
      const result = sender.send(batch.address(done), leased - done);
      if (result > 0) {
        this.received(done, done + result);
        done += result;
      } else if (this.canPassLater(result)) {
        if (this.linkDown) {
          this.refuse(done++, CONTROL.refusedDown);
        } else if (++tries > TRIES_PER_POLL) {
          if (suspect && done === 0 && this.isImpossible(result) && backlogDropsOfMachine() === dropsBefore) {
            this.refuse(done++, CONTROL.refusedInvalid);
            break; // the next poll goes on behind it
          }
          this.blocked = true;
          break;
        }
      } else {
        this.refuse(done++, reasonFor(result));
      }
    }
    this.blockedPolls = done > 0 || !this.blocked ? 0 : this.blockedPolls + 1;
    return done;
  }

  /**
   * Whether the first frame can be one that the kernel will never take: it asks for a checksum or
   * for segments, which only a frame made by hand or by a guest asks for wrongly.
   */
  private isImpossible(result: number): boolean {
    const { ring } = this.parts;
    const at = (ring.offsets[0] as number) + RECORD.vnet;
    const asks = this.words[at >>> 2] as number;
    return (result === ENOBUFS || result === ENOMEM) && ((at & 3) === 0 ? asks & 0xffff : asks >>> 16) !== 0;
  }

  /** Points one message at each record: virtio_net_hdr and frame are one piece of the ring. */
  private fill(leased: number): void {
    const { ring, batch, dataAddress } = this.parts;
    for (let i = 0; i < leased; i++) {
      const offset = ring.offsets[i] as number;
      const length = this.words[offset >>> 2] as number;
      batch.point(i, dataAddress + offset + RECORD.vnet, VNET_HDR_BYTES + length);
    }
  }

  private received(from: number, to: number): void {
    const { ring } = this.parts;
    let bytes = 0;
    for (let i = from; i < to; i++) {
      const length = this.words[(ring.offsets[i] as number) >>> 2] as number;
      bytes += length;
      if (length > this.largestFrame) {
        this.largestFrame = length;
        this.parts.control.set64(CONTROL.largestFrame, length);
      }
    }
    this.rxPackets += to - from;
    this.rxBytes += bytes;
  }

  private canPassLater(result: number): boolean {
    if (result === ENOBUFS) this.count(CONTROL.enobufs);
    else if (result !== EAGAIN && result !== ENOMEM && result !== EINTR && result !== 0) return false;
    this.count(CONTROL.reinjectRetries);
    return true;
  }

  private refuse(index: number, reason: number): void {
    this.parts.batch.refused(index);
    this.count(reason);
    this.count(CONTROL.reinjectErrors);
  }
}

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
