// SPDX-License-Identifier: MIT
/**
 * Takes the carrier of a running interface away and restores it: applications see NO-CARRIER, as if the cable had been
 * pulled out. With a veth, an end has a carrier while the other end is up, so the peer is set down. Frames that are
 * sent meanwhile are refused (`down`).
 *
 * The loss is in the record, so a controller that takes over after a crash ends it when it is due.
 */
import { commandAbout, HINTS, messageOf, VnetError } from '../errors';
import { linkByIndex, setDown, setUp } from '../link/links';
import type { Netns } from '../link/netns';
import { openAttachmentNetns } from '../link/netns-record';
import { refused } from '../link/veth';
import { monotonicMs } from '../native/clock';
import type { Attachment } from '../state/store';
import { checkOpen } from './impairing';
import type { Finding, Part } from './supervisor';

export interface CarrierParts {
  attachment: Attachment;
  peerNetns: Netns;
  /** Whether the interface is being detached; nothing may be begun any more then. */
  isClosing(): boolean;
  /** Writes the record. */
  save(): void;
  log(text: string): void;
}

export class Carrier implements Disposable {
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly parts: CarrierParts) {}

  /** Continues the loss that the record of an adopted attachment names. */
  resume(): void {
    const { attachment, log } = this.parts;
    if (!attachment.carrierLost) return;
    log(`${attachment.iface} still has no carrier: vnet-bpf carrier, or a rule of faults, took it away`);
    this.restoreAt(attachment.carrierLost.until);
  }

  /**
   * Takes the carrier away for `forMs` milliseconds, or until restore(); replaces a loss that goes on. Throws
   * UNSUPPORTED for a dummy.
   */
  lose(forMs: number | null): void {
    const { attachment, log } = this.parts;
    this.loseUntil(forMs === null ? null : monotonicMs() + Math.ceil(forMs));
    log(
      `${attachment.iface} has lost its carrier, ${forMs === null ? 'until vnet-bpf carrier restores it' : `for ${forMs} ms`}`,
    );
  }

  /** The same for a rule of faults: a loss that lasts longer goes on. A failure is logged. */
  loseAtLeast(forMs: number): void {
    const { attachment, isClosing } = this.parts;
    const { carrierLost } = attachment;
    if (isClosing() || (carrierLost && (carrierLost.until === null || carrierLost.until >= monotonicMs() + forMs)))
      return;
    this.try(() => this.lose(forMs));
  }

  /** Restores the carrier. Does nothing if it is there. Throws UNSUPPORTED for a dummy. */
  restore(): void {
    const { attachment, log, save } = this.parts;
    const peer = this.peer();
    clearTimeout(this.timer);
    if (!attachment.carrierLost) return;
    // If the kernel refuses, the supervisor tries again: peerPart().
    attachment.carrierLost = null;
    save();
    this.set(peer, setUp);
    log(`${attachment.iface} has its carrier again`);
  }

  private loseUntil(until: number | null): void {
    const { attachment, save } = this.parts;
    const peer = this.peer();
    const before = attachment.carrierLost;
    // First, so that a controller that takes over after a kill knows that the peer is down on purpose.
    attachment.carrierLost = { until };
    save();
    try {
      this.set(peer, setDown);
    } catch (error) {
      attachment.carrierLost = before;
      save();
      throw error;
    }
    this.restoreAt(until);
  }

  private restoreAt(until: number | null): void {
    clearTimeout(this.timer);
    if (until === null) return;
    const restore = (): void => {
      if (!this.parts.isClosing()) this.try(() => this.restore());
    };
    this.timer = setTimeout(restore, Math.max(0, until - monotonicMs())).unref();
  }

  private try(change: () => void): void {
    try {
      change();
    } catch (error) {
      this.parts.log(messageOf(error));
    }
  }

  /** ifindex of the peer. Throws UNSUPPORTED if there is none, and INTERFACE_GONE while it is being removed. */
  private peer(): number {
    const { attachment } = this.parts;
    const ifindex = carrierEnd(attachment);
    checkOpen(this.parts);
    return ifindex;
  }

  private set(peer: number, change: (ifindex: number) => void): void {
    const { attachment, peerNetns } = this.parts;
    try {
      peerNetns.run(() => change(peer));
    } catch (cause) {
      throw refused(`the carrier of ${attachment.iface}`, cause, 'ENODEV', 'somebody removed it', HINTS.removed);
    }
  }

  close(): void {
    clearTimeout(this.timer);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** ifindex of the end whose state is the carrier of the other one. Throws UNSUPPORTED for a dummy. */
export function carrierEnd(attachment: Attachment): number {
  if (attachment.peer) return attachment.peer.ifindex;
  throw new VnetError('UNSUPPORTED', `interface ${attachment.iface}`, 'is a dummy: it has no other end, and no cable', {
    hint: `${commandAbout('attach', attachment)} makes a veth, once the dummy is detached`,
  });
}

/** Whether vnet0 is there without its peer. One that was deleted took vnet0 with it, which link-follower.ts notices. */
function isAlone(attachment: Attachment): boolean {
  using netns = openAttachmentNetns(attachment);
  return netns?.run(() => linkByIndex(attachment.ifindex)?.peerIfindex === attachment.peer?.ifindex) ?? false;
}

/** The state of the peer, which no other program has to change. */
export function peerPart({ attachment, peerNetns }: Pick<CarrierParts, 'attachment' | 'peerNetns'>): Part {
  const look = (): Finding | null => {
    const { peer, iface, carrierLost } = attachment;
    if (!peer) return null;
    const link = peerNetns.run(() => linkByIndex(peer.ifindex));
    if (!link) return isAlone(attachment) ? { what: `somebody moved the peer of ${iface} to another namespace` } : null;
    if (link.up === (carrierLost === null)) return null;
    return {
      what: `somebody set the peer of ${iface} ${link.up ? 'up' : 'down'}`,
      repair: () => peerNetns.run(() => (link.up ? setDown : setUp)(link.ifindex)),
    };
  };
  return { name: 'the peer', look };
}
