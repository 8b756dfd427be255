// SPDX-License-Identifier: MIT
/** The interfaces that pages can watch, by unique names, and readings of them. */
import { statsIfThere } from '../datapath/stats';
import { isExhaustion, VnetError } from '../errors';
import { wordsOf } from '../faults/source';
import { shownNetns } from '../link/netns-record';
import { type Attachment, isBroken, readAttachment } from '../state/store';
import type { StatsSeen, Watchable } from './protocol';

interface Named extends Watchable {
  attachment: Attachment;
}

/** Gives each attachment a name that no other has: with its namespace or, if that has no name, its identity. */
export function named(attachments: readonly Attachment[]): Named[] {
  const all = attachments.map((attachment) => ({
    attachment,
    netns: shownNetns(attachment.netns, attachment.pid).name,
  }));
  return all.map(({ attachment, netns }) => {
    const { iface, id } = attachment;
    const others = all.filter((each) => each.attachment !== attachment && each.attachment.iface === iface);
    if (others.length === 0) return { name: iface, netns, attachment };
    const unique = netns !== null && others.every((each) => each.netns !== netns);
    return { name: `${iface} ${unique ? `in ${netns}` : `(${id})`}`, netns, attachment };
  });
}

export class Interfaces {
  private all: Named[] = [];

  /** `look` returns the attachments that may be seen; it may throw a VnetError. */
  constructor(private readonly look: () => Attachment[]) {}

  /** Looks which interfaces there are; true if that has changed. If it cannot be seen, all stays as it was. */
  refresh(): boolean {
    const before = JSON.stringify(this.watchable);
    try {
      this.all = named(this.look());
    } catch (error) {
      if (!isExhaustion(error) && !(error instanceof VnetError)) throw error;
    }
    return JSON.stringify(this.watchable) !== before;
  }

  get watchable(): Watchable[] {
    return this.all.map(({ name, netns }) => ({ name, netns }));
  }

  /** The attachment with that name as its record is now; null if it is gone. */
  find(name: string): Attachment | null {
    const known = this.all.find((each) => each.name === name);
    const found = known ? readAttachment(known.attachment.id) : null;
    return found === null || isBroken(found) ? null : found;
  }
}

/** A reading of an interface; null if its counters do not exist. */
export function readingOf(name: string, attachment: Attachment, latency: StatsSeen['latency']): StatsSeen | null {
  const stats = statsIfThere(attachment);
  if (stats === null) return null;
  const { faults, hook, impairment, carrierLost } = attachment;
  return {
    type: 'stats',
    interface: name,
    time: Math.round(performance.timeOrigin + performance.now()),
    stats,
    faults: wordsOf(faults),
    hook: stats.state === 'crashed' ? null : hook,
    impairment: impairment?.words?.join(' ') ?? null,
    carrier: carrierLost ? 'down' : 'up',
    latency,
  };
}
