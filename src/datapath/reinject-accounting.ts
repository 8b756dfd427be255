// SPDX-License-Identifier: MIT
/**
 * Reinject accounting: which of the frames that the socket took the interface received, and why others did not arrive.
 */
import { marksFrames } from '../impair/settings';
import { BATCH, CONTROL } from '../layout';
import { transmittedFramesOf } from '../link/links';
import { readNetem } from '../link/netem';
import { openPeerNetns } from '../link/netns';
import { clock } from '../native/clock';
import type { Attachment, ImpairmentRecord } from '../state/store';
import type { QueueControls } from './queue-gate';

export interface ReinjectAccounting {
  /** Frames that the interface received. */
  received: number;
  /** Frames that did not fit into the receiving CPU's backlog, though the interface was up and its MTU large enough. */
  backlog: number;
  /** Frames of `vnet-bpf impair`: in its qdisc now, lost there, and received more often than sent. */
  impair: { waiting: number; lost: number; duplicated: number };
}

/** With what became of frames in hooks and faults. Impairments by rules count as such. */
export type Reinjected = ReinjectAccounting & { hooks: ByRules };

/** Frames that hooks, faults or impairments by rules have dropped and made, and that wait there. */
export interface ByRules {
  dropped: number;
  injected: number;
  waiting: number;
}

/** The part of impairments in the counters of hooks. */
export function impairmentByRules(record: ImpairmentRecord | null, queues: QueueControls): ByRules {
  const { dropped, injected, since } = record?.byRules ?? { dropped: 0, injected: 0, since: null };
  if (since === null) return { dropped, injected, waiting: 0 };
  return {
    dropped: dropped + queues.sum(CONTROL.hooksDropped) - since.dropped,
    injected: injected + queues.sum(CONTROL.hooksInjected) - since.injected,
    waiting: waitingFrames(queues),
  };
}

/** Frames that wait in the memory of a hook's thread. */
export const waitingFrames = (queues: QueueControls): number =>
  queues.sum(CONTROL.hooksDelayed) - queues.sum(CONTROL.hooksReleased) - queues.sum(CONTROL.hooksLost);

/** netem's own counters; null without netem. */
export type NetemReading = ReturnType<typeof readNetem>;

/** A counter that grew while it was read: its value before and after. */
export interface Span {
  from: number;
  to: number;
}

export interface Reading {
  /** Frames that the socket took. */
  sent: Span;
  /** Refusals of the socket because something behind it was full. */
  enobufs: Span;
  /** Frames that netem may already have dropped for lack of space, but that are not among the refusals yet. */
  offering: number;
  /** Frames that the peer transmitted. */
  delivered: Span;
  netem: NetemReading;
  /** When, in milliseconds. */
  now: number;
}

/**
 * What readers have found for certain: frames lost, duplicated, and lost without netem's own counter. A frame lost and
 * one duplicated leave the sum unchanged, so what was seen once has to be remembered: counters only grow.
 */
export interface Seen {
  lost: number;
  duplicated: number;
  unseen: number;
  /** What `lost` will be if a later reading finds the same; 0 if nothing is in doubt. */
  suspected: number;
  /** When that was first found, in milliseconds. */
  since: number;
}

/**
 * How long a frame may be on its way from netem to the peer's counter, in milliseconds. That is no time at all, unless
 * the processor is taken away in between, as hypervisors do.
 */
const SETTLE_MS = 200;

/**
 * Frames that netem has dropped for good since the record was written: neither those it had no space for, which the
 * poller sends again, nor those it marked.
 */
export function netemLosses({ drops }: { drops: number }, record: ImpairmentRecord, enobufs: number): number {
  return marksFrames(record.words) ? 0 : Math.max(0, drops - record.drops - (enobufs - record.enobufs));
}

/**
 * Computes the accounting from a reading. Before Linux 6.6 veth does not report to the sender what does not fit into a
 * backlog; it only leaves it out of the peer's TX. Behind netem no kernel does, and what netem drops, duplicates, or
 * takes along when it is removed or the link goes down is not in that TX either. So the counters leave a difference,
 * losses less duplicates, and netem's own counter says how much of it are losses. Under load the readings belong to
 * different moments: only what is certain is counted then, and the rest with a later reading. At rest the result is
 * exact; what only the difference tells of counts as waiting for SETTLE_MS.
 */
export function judgeReinjectAccounting(
  { sent, enobufs, offering, delivered, netem, now }: Reading,
  record: ImpairmentRecord | null,
  seen: Seen,
): { reinjected: ReinjectAccounting; seen: Seen } {
  if (!record) {
    const backlog = Math.max(0, sent.from - delivered.to);
    return {
      reinjected: { received: sent.from - backlog, backlog, impair: { waiting: 0, lost: 0, duplicated: 0 } },
      seen,
    };
  }
  const waiting = netem?.waiting ?? 0;
  const leastMissing = sent.from - delivered.to - waiting - record.backlog;
  const mostMissing = sent.to - delivered.from - waiting - record.backlog;
  const leastKnown = record.lost + (netem ? netemLosses(netem, record, enobufs.to + offering) : 0);
  const mostKnown = record.lost + (netem ? netemLosses(netem, record, enobufs.from) : 0);
  const lostAtLeast = Math.max(seen.lost, leastKnown + seen.unseen);
  const unexplained = seen.duplicated + leastMissing;
  const { lost, suspected, since } =
    netem && unexplained > lostAtLeast
      ? confirmed(unexplained, lostAtLeast, seen, now)
      : { lost: Math.max(lostAtLeast, unexplained), suspected: 0, since: 0 };
  // Without netem nothing on the way makes two frames of one.
  const duplicated = record.byRules?.since ? seen.duplicated : Math.max(seen.duplicated, lostAtLeast - mostMissing);
  return {
    reinjected: {
      received: delivered.to,
      backlog: record.backlog,
      impair: { waiting: waiting + Math.max(0, unexplained - lost), lost, duplicated },
    },
    seen: { lost, duplicated, unseen: Math.max(seen.unseen, lost - mostKnown), suspected, since },
  };
}

/**
 * What is lost for certain of `unexplained` frames. Those that netem has let go and the peer has not counted yet look
 * like lost ones, so the smallest number of all readings within SETTLE_MS counts.
 */
function confirmed(
  unexplained: number,
  lostAtLeast: number,
  seen: Seen,
  now: number,
): Pick<Seen, 'lost' | 'suspected' | 'since'> {
  if (seen.suspected <= lostAtLeast) return { lost: lostAtLeast, suspected: unexplained, since: now };
  const suspected = Math.min(seen.suspected, unexplained);
  if (now - seen.since < SETTLE_MS) return { lost: lostAtLeast, suspected, since: seen.since };
  return { lost: suspected, suspected: unexplained > suspected ? unexplained : 0, since: now };
}

/**
 * Most tries to read consistently: a frame that netem lets go between two readings would be neither waiting nor
 * delivered.
 */
const READINGS = 8;

/** Reads the accounting, without frames lost to a change of the link. */
export function readReinjectAccounting(attachment: Attachment, queues: QueueControls): Reinjected {
  const { impair, ...rest } = readKernelAccounting(attachment, queues);
  const { dropped, injected, waiting } = impairmentByRules(attachment.impairment, queues);
  return {
    ...rest,
    impair: {
      waiting: impair.waiting + waiting,
      lost: impair.lost + dropped,
      duplicated: impair.duplicated + injected,
    },
    hooks: {
      dropped: queues.sum(CONTROL.hooksDropped) - dropped,
      injected: queues.sum(CONTROL.hooksInjected) - injected,
      waiting: waitingFrames(queues) - waiting,
    },
  };
}

/** The part that the kernel knows. A dummy counts nothing there. */
function readKernelAccounting(
  { peer: end, impairment, baseline, lostByChange, queues }: Attachment,
  controls: QueueControls,
): ReinjectAccounting {
  const sentNow = (): number => controls.sum(CONTROL.rxPackets) - lostByChange.down - lostByChange.toolong;
  const enobufsNow = (): number => controls.sum(CONTROL.enobufs);
  const from = { enobufs: enobufsNow(), sent: sentNow() };
  const plain = (): ReinjectAccounting => ({
    received: from.sent,
    backlog: 0,
    impair: { waiting: 0, lost: 0, duplicated: 0 },
  });
  using netns = end && openPeerNetns();
  if (!end || !netns) return plain();
  return netns.run(() => {
    let netem: NetemReading = null;
    let before = transmittedFramesOf(end.ifindex);
    let after = before;
    for (let reading = 0; impairment?.words && reading < READINGS; reading++) {
      before = after;
      netem = readNetem(end.name);
      after = transmittedFramesOf(end.ifindex);
      if (after === before) break;
    }
    if (before === null || after === null) return plain();
    // Read after netem's counter and before the refusals: what was dropped for lack of space is in one or the other.
    const offering = controls.queues.reduce((sum, queue) => sum + queue.get32(CONTROL.offering), 0);
    const pending = controls.sum(CONTROL.captured) - controls.sum(CONTROL.drained) + waitingFrames(controls);
    const to = { sent: sentNow(), enobufs: enobufsNow() };
    // Frames of a batch are counted only when the whole batch has been sent: those of the ring, and those that leave
    // the memory of a hook's thread.
    const uncounted = pending === 0 && to.sent === from.sent && after === before ? 0 : pending + queues * BATCH.max;
    const reading: Reading = {
      sent: { from: from.sent, to: to.sent + uncounted },
      enobufs: { from: from.enobufs, to: to.enobufs },
      offering,
      delivered: { from: before - baseline.peerTxPackets, to: after - baseline.peerTxPackets },
      netem,
      now: clock.now(),
    };
    const { reinjected, seen } = judgeReinjectAccounting(reading, impairment, seenIn(controls));
    if (impairment) remember(controls, seen);
    return reinjected;
  });
}

const seenIn = ({ first }: QueueControls): Seen => ({
  lost: first.get64(CONTROL.impairLost),
  duplicated: first.get64(CONTROL.impairDuplicated),
  unseen: first.get64(CONTROL.impairUnseen),
  suspected: first.get64(CONTROL.impairSuspected),
  since: first.get64(CONTROL.impairSuspectedMs),
});

function remember({ first }: QueueControls, { lost, duplicated, unseen, suspected, since }: Seen): void {
  first.raise64(CONTROL.impairLost, lost);
  first.raise64(CONTROL.impairDuplicated, duplicated);
  first.raise64(CONTROL.impairUnseen, unseen);
  first.set64(CONTROL.impairSuspectedMs, Math.trunc(since));
  first.set64(CONTROL.impairSuspected, suspected);
}
