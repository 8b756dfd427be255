// SPDX-License-Identifier: MIT
/**
 * Frames that are lost where no poller sees it. Held frames that will never arrive are written off, so that the queue
 * can wake. Frames that a change of the link has cost are counted and announced.
 */
import { framesInRoom, segmentsOnTheWay } from '../datapath/queue-gate';
import { increment, type SharedWords } from '../datapath/shared-memory';
import { CONTROL } from '../layout';
import { qdiscsOf } from '../link/links';
import type { Netns } from '../link/netns';
import { openAttachmentNetns } from '../link/netns-record';
import { roomBacklog } from '../link/room';
import type { Attachment } from '../state/store';

/** How long held frames must stand still before they count as lost, in milliseconds. */
const SETTLE_MS = 100;

/**
 * A queue with held frames. Some may never arrive: a qdisc of the user's on the interface dropped them, a full backlog
 * on the way to the waiting room did, or the room itself when it was full. While they count as held the queue stays
 * stopped, so they are written off once nothing moves and neither qdisc has them.
 */
export interface HeldQueue {
  control: SharedWords;
  /** Number of frames in the room's qdisc; null if it is gone. */
  waiting(): number | null;
  /** Whether a qdisc of the user's on the interface has frames; nothing on the way is lost yet then. */
  waitsOnInterface(): boolean;
  isClosing(): boolean;
}

/** Compares what is held now and SETTLE_MS later, and reports how many frames were written off, if any. */
export function lookForLostFrames(queue: HeldQueue, found: (lost: number) => void): void {
  if (queue.isClosing()) return;
  const before = traces(queue.control);
  setTimeout(() => {
    if (queue.isClosing()) return;
    const lost = writeOff(queue, before);
    if (lost > 0) found(lost);
  }, SETTLE_MS).unref();
}

export interface WatchedRoom {
  attachment: Attachment;
  peerNetns: Netns;
  control: SharedWords;
  queue: number;
  isClosing(): boolean;
}

/**
 * Handles held frames that do not come out although they could. If the waiting room is empty they are lost, because the
 * room or a CPU's backlog was full. They are written off, so that the queue can wake.
 */
export function lookIntoRoom(
  { attachment, peerNetns, control, queue, isClosing }: WatchedRoom,
  log: (text: string) => void,
): void {
  const held: HeldQueue = {
    control,
    waiting: () => peerNetns.run(() => roomBacklog(attachment.id, queue)),
    waitsOnInterface: () => waitsOnInterface(attachment),
    isClosing,
  };
  lookForLostFrames(held, (lost) =>
    log(
      `${attachment.iface} lost ${lost} held frames: the waiting room, a qdisc, a filter or a program on the interface, a CPU's backlog or the kernel's checks dropped them`,
    ),
  );
}

/** Text that changes whenever a held frame moves. */
const traces = (control: SharedWords): string =>
  [
    control.get32(CONTROL.gate),
    control.get64(CONTROL.heldArrived),
    control.get64(CONTROL.heldIn),
    control.get64(CONTROL.heldOut),
  ].join();

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
 * Number of frames that the missing segments were: those that `tx` has sent and that never arrived. If as many or more
 * arrived, the kernel has segmented some, and each segment was a frame.
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

// Frames that the poller's socket accepted, but that vnet0 did not get because it changed at that moment. While its
// carrier is gone, the peer's qdisc is noop, which drops frames and returns NET_XMIT_CN, which is no error. When it
// segments a merged packet, the kernel only reports what became of the last frame. The peer's counter shows how many
// are missing, and the time shows why.

/** Number of looks after a change, one a second, whose losses count as caused by it. */
const LOOKS_FOR_LOSSES = 3;

export type LossReason = 'down' | 'toolong';
export type Losses = Record<LossReason, number>;

export class LinkLosses {
  private reason: LossReason = 'down';
  private left = 0;
  private before: number;

  constructor(
    private readonly losses: Losses,
    /** Number of frames missing for no known reason; too low while frames are on their way, never too high. */
    private readonly missing: () => number,
    /** Called when the losses have grown. */
    private readonly grown: () => void,
  ) {
    this.before = missing();
  }

  /** Notes that the link has changed since the previous look. */
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

// Logs how many frames were refused on the reinject path because the interface was set down, or its MTU lowered, while
// they were on their way. Looks once a second. What is refused without such a change is for `stats` alone.

/** Number of looks after a change whose refusals count as caused by it. */
const LOOKS = 15;
/** Number of looks after which a number that still grows is logged all the same. */
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
    /** Logs how many frames were refused, by reason: "31 frames: down 30, toolong 1". */
    private readonly say: (what: string) => void,
  ) {
    this.said = this.last = refused();
  }

  /** Notes that the interface has changed since the previous look. */
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
