// SPDX-License-Identifier: MIT
/**
 * Held frames that will never come: dropped by a qdisc of the user's on the interface, by a full backlog on the way to the
 * waiting room, or by the room itself when it was full. While they count as held the queue stays stopped, so they are
 * written off once nothing moves and neither qdisc has them.
 */
import { CONTROL } from '../datapath/layout';
import { framesInRoom, segmentsOnTheWay } from '../datapath/queue-gate';
import { increment, type SharedWords } from '../datapath/shared-memory';
import { qdiscsOf } from '../link/qdisc';
import type { Attachment } from '../state/store';
import { openAttachmentNetns } from './attachment-netns';

/** How long held frames must not move before they can be called lost; ms. */
const SETTLE_MS = 100;

export interface HeldQueue {
  control: SharedWords;
  /** Frames that the room's qdisc has; null if it is gone. */
  waiting(): number | null;
  /** Whether a qdisc of the user's on the interface has frames: then nothing on the way is lost yet. */
  waitsOnInterface(): boolean;
  isClosing(): boolean;
}

/** Looks at what is held now and after a while; tells how many frames were written off, if any. */
export function lookForLostFrames(queue: HeldQueue, found: (lost: number) => void): void {
  if (queue.isClosing()) return;
  const before = traces(queue.control);
  setTimeout(() => {
    if (queue.isClosing()) return;
    const lost = writeOff(queue, before);
    if (lost > 0) found(lost);
  }, SETTLE_MS).unref();
}

/** What changes whenever a held frame moves. */
const traces = (control: SharedWords): string =>
  [control.get32(CONTROL.gate), control.get64(CONTROL.heldArrived), control.get64(CONTROL.heldIn), control.get64(CONTROL.heldOut)].join();

function writeOff(queue: HeldQueue, before: string): number {
  const { control } = queue;
  const waiting = queue.waiting() ?? 0;
  const onTheWay = queue.waitsOnInterface() ? 0 : segmentsOnTheWay(control);
  const fromRoom = Math.max(0, framesInRoom(control) - waiting);
  if (traces(control) !== before) return 0;
  const missing = onTheWay > 0 ? missingFrames(control, onTheWay) : 0;
  if (fromRoom > 0) increment(control, CONTROL.heldDropped, fromRoom);
  if (missing > 0) {
    increment(control, CONTROL.heldMissingFrames, missing);
    increment(control, CONTROL.heldMissing, onTheWay);
  }
  return fromRoom + missing;
}

/**
 * How many frames the missing segments were. Those that `tx` has sent and that never arrived; if as many or more
 * arrived, the kernel has cut some up, and each segment was a frame.
 */
function missingFrames(control: SharedWords, segments: number): number {
  const known = control.get64(CONTROL.heldIn) + control.get64(CONTROL.heldMissingFrames);
  return Math.max(0, control.get64(CONTROL.heldSent) - known) || segments;
}

/** Whether a qdisc on the interface holds frames back. */
export function waitsOnInterface(attachment: Attachment): boolean {
  using netns = openAttachmentNetns(attachment);
  return netns?.run(() => qdiscsOf(attachment.iface).some(({ qlen }) => qlen > 0)) ?? false;
}
