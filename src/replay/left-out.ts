// SPDX-License-Identifier: MIT
/** Frames of a capture that are not sent, and why. */
import { LINKTYPE_ETHERNET } from '../recording/pcapng';
import { ETH_HEADER_BYTES } from '../packet/protocols';
import type { CapturedFrame } from './captured-frame';
import { linkTypeText } from './link-types';

interface Reason {
  /** Behind the number of frames. */
  words: string;
  /** What to do about it; null where nothing is wrong. */
  hint: string | null;
}

/** In the order in which they are told. */
const REASONS = {
  cut: { words: 'not whole: cut off when captured', hint: 'capture or record without a snapshot length (tcpdump -s 0, no --snaplen)' },
  lengths: { words: 'with lengths that contradict each other', hint: 'tcprewrite --fixlen=trunc -i FILE -o NEW writes lengths anew' },
  oversize: { words: 'longer than any frame of the loop', hint: 'no interface can send them' },
  runt: { words: 'shorter than an Ethernet header', hint: 'they are no Ethernet frames; editcap -r FILE NEW picks others' },
  toolong: { words: 'longer than the MTU, and no superpacket', hint: null },
  filter: { words: 'that the filter does not match', hint: null },
} as const satisfies Record<string, Reason>;

export type ReasonName = keyof typeof REASONS;

/** Why a frame cannot be sent, whatever it is sent on; null if it can. */
export function reasonAgainst({ captured, length, bytes }: CapturedFrame, bytesMax: number): ReasonName | null {
  if (captured > length) return 'lengths';
  if (captured > bytesMax) return 'oversize';
  if (bytes.length < captured) return 'lengths';
  if (captured < length) return 'cut';
  return captured < ETH_HEADER_BYTES ? 'runt' : null;
}

export class LeftOut {
  readonly byReason = new Map<ReasonName, number>();
  /** Frames of other link types than Ethernet, by type. */
  readonly byLinkType = new Map<number, number>();
  /** Bytes of the longest frame that is longer than the MTU. */
  longest = 0;

  add(reason: ReasonName): void {
    increment(this.byReason, reason);
  }

  /** Counts a frame of another link type; false if it is of Ethernet. */
  addOther({ linkType }: CapturedFrame): boolean {
    if (linkType === LINKTYPE_ETHERNET) return false;
    increment(this.byLinkType, linkType);
    return true;
  }

  get total(): number {
    return sum(this.byReason) + sum(this.byLinkType);
  }

  /** Ethernet frames that should have been sent. */
  get failed(): number {
    return sum(this.byReason) - (this.byReason.get('filter') ?? 0);
  }

  /** By reason; `linkType`: frames of other link types. */
  counts(): Record<string, number> {
    return { ...Object.fromEntries(this.byReason), ...(this.byLinkType.size > 0 && { linkType: sum(this.byLinkType) }) };
  }

  /** Such as `3 not whole: cut off when captured, 1 of link type 101 (raw IP)`. */
  words(): string {
    const reasons = this.reasons().map((reason) => `${this.byReason.get(reason)} ${REASONS[reason].words}`);
    return [...reasons, ...[...this.byLinkType].map(([type, count]) => `${count} of ${linkTypeText(type)}`)].join(', ');
  }

  /** What to do about the first of them. */
  hint(iface: string, mtuFor: (bytes: number) => number | null): string {
    const [first] = this.reasons();
    if (first !== 'toolong') return (first && REASONS[first].hint) ?? 'capture on an Ethernet interface, not on "any" or a tunnel';
    const mtu = mtuFor(this.longest);
    return mtu === null ? 'capture them again on an interface with an MTU of at most 65535' : `ip link set ${iface} mtu ${mtu}`;
  }

  private reasons(): ReasonName[] {
    return (Object.keys(REASONS) as ReasonName[]).filter((reason) => this.byReason.has(reason));
  }
}

function increment<K>(counts: Map<K, number>, key: K): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function sum(counts: ReadonlyMap<unknown, number>): number {
  let total = 0;
  for (const count of counts.values()) total += count;
  return total;
}
