// SPDX-License-Identifier: MIT
/**
 * Finishes the batches that pollers had in progress when they were killed, so that new pollers can start. The kernel
 * set msg_len of each message as it sent it, so the marks in the pinned batch log (batch.ts) say how far sendmmsg came.
 * The counters are computed from their values before the batch, not added to: doing it twice gives the same result.
 */
import { MappedMemory, RingBuffer } from 'libbpf-ts';

import { BATCH, BATCH_HOOKED, CONTROL, MESSAGE, VNET_HDR_BYTES } from '../layout';
import { MARK_REFUSED, messageOf, type Tally } from './batch';
import { POLLER_REFUSALS } from './outcomes';
import { type Datapath, type QueueMaps, queuesOf } from './programs';
import { GATE_STOPPED, QueueControls } from './queue-gate';
import { SharedWords } from './shared-memory';

/** The counters of what is refused on the reinject path, or lost in the queue of an impairment. */
const REASONS: readonly number[] = [...POLLER_REFUSALS.map(({ counter }) => counter), CONTROL.impairOverflow];

export interface RecoverParts {
  /** struct batch, mapped. */
  log: SharedWords;
  control: SharedWords;
  ring: { lease(budget: number): number; commit(count: number): void; consumerPosition(): number };
}

/** Finishes a batch. Returns how many of its records were done with, or 0 if no batch was in progress. */
export function recoverBatch({ log, control, ring }: RecoverParts): number {
  const underWay = log.get32(BATCH.count);
  if (underWay === 0) return 0;
  const done = underWay >= BATCH_HOOKED ? hookedProgress(log, underWay - BATCH_HOOKED) : progress(log, underWay);
  countLastRefused(log, control);
  if (ring.consumerPosition() === log.get64(BATCH.start)) {
    ring.lease(BATCH.max);
    ring.commit(done.records);
  }
  control.set64(CONTROL.drained, log.get64(BATCH.drained) + done.records);
  control.set64(CONTROL.rxPackets, log.get64(BATCH.rxPackets) + done.sent);
  control.set64(CONTROL.rxBytes, log.get64(BATCH.rxBytes) + done.bytes);
  if (underWay >= BATCH_HOOKED) {
    control.set64(CONTROL.hooksDropped, log.get64(BATCH.hooksDropped) + done.dropped);
    control.set64(CONTROL.hooksInjected, log.get64(BATCH.hooksInjected) + done.injected);
    control.set64(CONTROL.hooksDelayed, log.get64(BATCH.hooksDelayed) + done.delayed);
    control.set64(CONTROL.hooksReleased, log.get64(BATCH.hooksReleased) + done.released);
  }
  log.set32(BATCH.count, 0);
  return done.records;
}

/** How far a batch came: records done with, frames sent and their bytes, and what a hook did. */
interface Progress extends Tally {
  sent: number;
  bytes: number;
}

const nothingDone = (): Progress => ({
  records: 0,
  sent: 0,
  bytes: 0,
  dropped: 0,
  injected: 0,
  delayed: 0,
  released: 0,
});

/**
 * Counts the frames that waited in a hook's memory as lost: the thread with that memory has ended. The counter is set,
 * not increased, because a lost frame never counts as released.
 */
export function countLostWaiting(control: SharedWords): void {
  control.set64(CONTROL.hooksLost, control.get64(CONTROL.hooksDelayed) - control.get64(CONTROL.hooksReleased));
}

/**
 * Counts a wake that a poller made and was killed before counting: it left one stop more than wakes. `before` is an
 * earlier reading of the same words: a difference means a program at work, which counts right after its change.
 */
export function countLostWake(control: SharedWords, before: QueueTurns): void {
  const now = queueTurns(control);
  if (now.stopped !== before.stopped || now.stops !== before.stops || now.wakes !== before.wakes) return;
  const missing = now.stops - now.wakes - (now.stopped ? 1 : 0);
  if (missing > 0) control.set64(CONTROL.wakesPoller, control.get64(CONTROL.wakesPoller) + missing);
}

/** How often the queue has stopped and woken, and whether it is stopped now. */
export interface QueueTurns {
  stopped: boolean;
  stops: number;
  wakes: number;
}

export const queueTurns = (control: SharedWords): QueueTurns => ({
  stopped: (control.get32(CONTROL.gate) & GATE_STOPPED) !== 0,
  stops: control.get64(CONTROL.stops),
  wakes: control.get64(CONTROL.wakesTx) + control.get64(CONTROL.wakesPoller),
});

/** Sets the counters of the last refused message: the poller may have been killed between its mark and its counters. */
function countLastRefused(log: SharedWords, control: SharedWords): void {
  const message = log.get64(BATCH.refusedMessage) - 1;
  if (message < 0 || message >= BATCH.max || messageOf(log, message).mark !== MARK_REFUSED) return;
  const reason = log.get64(BATCH.refusedReason);
  if (!REASONS.includes(reason)) return;
  control.set64(reason, log.get64(BATCH.refusedCount));
  control.set64(CONTROL.reinjectErrors, log.get64(BATCH.refusedErrors));
}

function progress(log: SharedWords, count: number): Progress {
  const done = nothingDone();
  for (let i = 0; i < count; i++) {
    const { mark, records, headerBytes } = messageOf(log, i);
    if (mark === 0) break;
    done.records += records;
    if (mark === MARK_REFUSED) continue;
    done.sent += records;
    // packet_snd (net/packet/af_packet.c) returns the length of the packet and its virtio_net_hdr.
    done.bytes += mark - VNET_HDR_BYTES + (records - 1) * headerBytes;
  }
  return done;
}

/** progress() for a batch of a hook: the last message that was sent says how far the counting is. */
function hookedProgress(log: SharedWords, count: number): Progress {
  const done = nothingDone();
  for (let i = 0; i < count; i++) {
    const at = BATCH.messages + i * BATCH.messageBytes;
    const { mark } = messageOf(log, i);
    if (mark === 0) return done;
    done.records = log.get32(at + MESSAGE.records);
    done.dropped = log.get32(at + MESSAGE.dropped);
    done.injected = log.get32(at + MESSAGE.injected);
    done.delayed = log.get32(at + MESSAGE.delayed);
    done.released = log.get32(at + MESSAGE.released);
    if (mark === MARK_REFUSED) continue;
    done.sent++;
    done.bytes += mark - VNET_HDR_BYTES;
  }
  done.records = log.get64(BATCH.totalRecords);
  done.dropped = log.get64(BATCH.totalDropped);
  done.injected = log.get64(BATCH.totalInjected);
  done.delayed = log.get64(BATCH.totalDelayed);
  done.released = log.get64(BATCH.totalReleased);
  return done;
}

/** Milliseconds, longer than a program takes from one change of the shared words to the next. */
const PROGRAM_MS = 1;

export function finishBatches({ maps }: Datapath): void {
  using controls = new QueueControls(maps.control);
  const before = controls.queues.map(queueTurns);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PROGRAM_MS);
  for (const each of queuesOf(maps)) {
    const control = controls.queues[each.queue] as SharedWords;
    countLostWake(control, before[each.queue] as QueueTurns);
    finishBatch(each, control);
  }
}

function finishBatch({ queue, ring: map, batch }: QueueMaps, control: SharedWords): void {
  using memory = MappedMemory.map({ fd: batch.fd, length: (queue + 1) * BATCH.size });
  using ring = new RingBuffer(map);
  recoverBatch({ log: new SharedWords(memory.buffer, queue * BATCH.size, BATCH.size), control, ring: ring.reader });
  countLostWaiting(control);
  // The last poller had armed this for itself; the new one arms when it sleeps.
  control.set32(CONTROL.armed, 0);
}
