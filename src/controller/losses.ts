// SPDX-License-Identifier: MIT
/**
 * Frames that are lost where no poller sees it: held ones that will never come, which are written off so that the queue
 * can wake, and those that a change of the link has cost, which are counted and announced.
 */
import { framesInRoom, segmentsOnTheWay } from '../datapath/queue-gate';
import { increment, type SharedWords } from '../datapath/shared-memory';
import { CONTROL } from '../layout';
import { qdiscsOf } from '../link/links';
import { openAttachmentNetns } from '../link/netns-record';
import type { Attachment } from '../state/store';

/** How long held frames must not move before they can be called lost; ms. */
const SETTLE_MS = 100;

/**
 * Held frames that will never come: dropped by a qdisc of the user's on the interface, by a full backlog on the way to the
 * waiting room, or by the room itself when it was full. While they count as held the queue stays stopped, so they are
 * written off once nothing moves and neither qdisc has them.
 */
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

// Frames that the poller's socket took, but that vnet0 did not get because it changed just then. While its carrier is gone
// the peer's qdisc is noop, which drops frames and says NET_XMIT_CN, and that is no error; of a merged packet that is
// cut up the kernel only says what became of its last frame. The peer's counter tells how many are missing, the time why.

/** Looks after a change, one a second, that may find frames which it has cost. */
const LOOKS_FOR_LOSSES = 3;

export type LossReason = 'down' | 'toolong';
export type Losses = Record<LossReason, number>;

export class LinkLosses {
  private reason: LossReason = 'down';
  private left = 0;
  private before: number;

  constructor(
    private readonly losses: Losses,
    /** Frames that are missing without a reason; too few while frames are on their way, never too many. */
    private readonly missing: () => number,
    /** The losses have grown. */
    private readonly grown: () => void,
  ) {
    this.before = missing();
  }

  /** The link has changed just now, after the look before. */
  changed(reason: LossReason): void {
    this.reason = reason;
    this.left = LOOKS_FOR_LOSSES;
  }

  look(): void {
    const missing = this.missing();
    if (this.left === 0) {
      this.before = missing;
      return;
    }
    this.left--;
    const lost = missing - this.before;
    if (lost <= 0) return;
    this.losses[this.reason] += lost;
    this.grown();
  }
}

// Says in the log how many frames were refused on the reinject path because somebody changed the interface under them: set it
// down, or lowered its MTU. Looks once a second; what is refused while nothing has changed is for `stats` alone.

/** Looks after a change that may find frames which it has cost. */
const LOOKS = 15;
/** Looks after which a number that still grows is said all the same. */
const LOOKS_WHILE_IT_GROWS = 10;

/** Frames refused so far, by reason. */
export type Refused = Readonly<Record<string, number>>;

export class RefusalNews {
  private said: Refused;
  private last: Refused;
  private left = 0;
  private growing = 0;

  constructor(
    private readonly refused: () => Refused,
    /** How many, and by which reasons: "31 frames: down 30, toolong 1". */
    private readonly say: (what: string) => void,
  ) {
    this.said = this.last = refused();
  }

  /** The interface has changed just now, after the look before. */
  changed(): void {
    this.left = LOOKS;
  }

  look(): void {
    const now = this.refused();
    const grows = difference(now, this.last) !== '';
    this.last = now;
    if (this.left === 0) this.said = now;
    else this.left--;
    const news = difference(now, this.said);
    if (news === '' || (grows && this.left > 0 && ++this.growing < LOOKS_WHILE_IT_GROWS)) return;
    this.say(news);
    this.said = now;
    this.growing = 0;
  }
}

function difference(now: Refused, before: Refused): string {
  const more = Object.entries(now)
    .map(([reason, count]) => [reason, count - (before[reason] ?? 0)] as const)
    .filter(([, count]) => count > 0);
  if (more.length === 0) return '';
  return `${more.reduce((sum, [, count]) => sum + count, 0)} frames: ${more.map((each) => each.join(' ')).join(', ')}`;
}
