// SPDX-License-Identifier: MIT
/**
 * Settings that other programs change on vnet0 and on the links behind it, its peer and the waiting rooms. A change of
 * vnet0 is tolerated, or corrected if the loop could not go on as before; a change behind it is undone. Either is
 * logged if it affects frames. docs/coexistence.md has a table of all settings.
 */
import { merges } from '../datapath/programs';
import {
  correctFeatures,
  deviantFeatures,
  loopable,
  PEER_FEATURES,
  ROOM_FEATURES,
  type Wanted,
} from '../link/features';
import { type Link, linkByIndex, type LinkNumbers, setNumbers } from '../link/links';
import type { Netns } from '../link/netns';
import {
  DEFAULT_GSO_MAX_SEGS,
  loopableLimits,
  peerMtu,
  setInterfaceSysctl,
  SUPERPACKET_BYTES,
  superpacketSegments,
} from '../link/veth';
import { clock } from '../native/clock';
import { MAX_MTU } from '../options/values';
import { passesUdpGso } from '../requirements';
import { type Attachment, impairedBy } from '../state/store';
import { type Attempts, type Finding, type Part, Repairs } from './supervisor';

// The links behind vnet0: its peer and the waiting rooms. They belong to the loop alone, so changes of their settings
// are undone.

export interface PeerNetnsLinks {
  attachment: Attachment;
  peerNetns: Netns;
  /** The MTU that the peer was last given; null while it has to be given another one. */
  mtuOfPeer: () => number | null;
  log: (text: string) => void;
}

interface PeerNetnsLink {
  /** As messages name it: "the peer". */
  name: string;
  ifindex: number;
  features: Wanted;
  mtu: (link: Link) => number;
  /** Whether it transmits BIG TCP superpackets. The exit of a room does not: nothing goes on from there. */
  bigTcp: boolean;
}

export function peerNetnsLinkParts(supervised: PeerNetnsLinks): Part[] {
  const { peer, rooms } = supervised.attachment;
  const links: PeerNetnsLink[] = [
    ...(peer
      ? [
          {
            name: 'the peer',
            ifindex: peer.ifindex,
            features: PEER_FEATURES,
            mtu: ({ mtu, settings }: Link) => Math.min(supervised.mtuOfPeer() ?? mtu, settings.maxMtu),
            bigTcp: true,
          },
        ]
      : []),
    ...rooms.flatMap(({ entry, exit }) =>
      [entry, exit].map(({ ifindex }) => ({
        name: 'the waiting room',
        ifindex,
        features: ROOM_FEATURES,
        mtu: () => MAX_MTU,
        bigTcp: ifindex === entry.ifindex,
      })),
    ),
  ];
  return [
    ...links.map((link) => settingsPart(supervised, link)),
    ...(peer ? [peerNotes(supervised, peer.ifindex)] : []),
  ];
}

function settingsPart(
  { attachment, peerNetns }: PeerNetnsLinks,
  { name, ifindex, features, mtu, bigTcp }: PeerNetnsLink,
): Part {
  const inside = <T>(body: () => T): T => peerNetns.run(body);
  /** Deviations that a repair could not change: properties of this kernel. */
  let given: readonly string[] = [];
  const wantedOf = (link: Link): LinkNumbers => ({
    mtu: mtu(link),
    gsoMaxSegs: DEFAULT_GSO_MAX_SEGS,
    gsoMaxSize: SUPERPACKET_BYTES,
    ...ipv4Limit(link, bigTcp ? attachment.superpacketBytes : null),
  });
  const deviations = (link: Link): string[] => [
    ...differences(link, wantedOf(link)),
    ...inside(() => deviantFeatures(link.name, features)),
  ];
  const look = (): Finding | null => {
    const link = inside(() => linkByIndex(ifindex));
    if (!link) return null; // other parts notice that
    const found = deviations(link).filter((each) => !given.includes(each));
    if (found.length === 0) return null;
    const repair = (): void => {
      inside(() => setNumbers(ifindex, wantedOf(link)));
      inside(() => correctFeatures(link.name, features));
      const now = inside(() => linkByIndex(ifindex));
      if (now) given = deviations(now);
    };
    return { what: `somebody changed ${name} of ${attachment.iface} (${found.join(', ')})`, repair };
  };
  return { name: `the settings of ${name} (${ifindex})`, look };
}

/** The limit of IPv4 superpackets; empty if the kernel has no such limit. */
const ipv4Limit = ({ settings }: Link, superpacketBytes: number | null): LinkNumbers =>
  settings.gsoIpv4MaxSize === null || superpacketBytes === null ? {} : { gsoIpv4MaxSize: superpacketBytes };

/** The numbers that differ from `wanted`, as text. */
function differences(link: Link, wanted: LinkNumbers): string[] {
  const { gsoMaxSize, gsoMaxSegs, gsoIpv4MaxSize } = link.settings;
  const numbers = [
    ['mtu', link.mtu, wanted.mtu],
    ['gso_max_size', gsoMaxSize, wanted.gsoMaxSize],
    ['gso_max_segs', gsoMaxSegs, wanted.gsoMaxSegs],
    ['gso_ipv4_max_size', gsoIpv4MaxSize ?? undefined, wanted.gsoIpv4MaxSize],
  ] as const;
  return numbers.filter(([, is, should]) => should !== undefined && is !== should).map(([name, is]) => `${name} ${is}`);
}

/** Logs changes of the peer that are tolerated although they cost frames or speed. */
function peerNotes({ attachment, peerNetns, log }: PeerNetnsLinks, ifindex: number): Part {
  let noted = { qdisc: NONE, xdp: 'none' };
  const look = (): null => {
    const link = peerNetns.run(() => linkByIndex(ifindex));
    if (!link) return null;
    const { iface, impairment } = attachment;
    const qdisc = impairedBy(impairment) === 'netem' || link.qdisc === 'noop' ? NONE : link.qdisc;
    const { xdp } = link.settings;
    if (qdisc !== noted.qdisc)
      log(
        qdisc === NONE
          ? `the peer of ${iface} has no qdisc any more`
          : `somebody put the qdisc ${qdisc} on the peer of ${iface}: what it drops counts as refused: backlog. vnet-bpf impair does that with its accounting`,
      );
    if (xdp !== noted.xdp)
      log(
        xdp === 'none'
          ? `the peer of ${iface} has no XDP program any more`
          : `somebody put an XDP program on the peer of ${iface} (${xdp}): it sees what vnet0 sends, and what it drops of held frames is lost`,
      );
    noted = { qdisc, xdp };
    return null;
  };
  return { name: 'what is on the peer', look };
}

const NONE = 'noqueue';

export interface SettingsParts {
  attachment: Attachment;
  /** Of the peer. */
  peerNetns: Netns;
  attempts: Attempts;
  log: (text: string) => void;
}

/** How long the peer accepts frames of a larger MTU that was lowered, in milliseconds: some may still be in a qdisc. */
const ON_THE_WAY_MS = 1000;

export class LinkSettingsKeeper {
  /** The MTU of vnet0 for which the peer's MTU has been set, and that MTU; null before that. */
  private followed: { mtu: number; ofPeer: number } | null = null;
  /** A larger MTU that vnet0 had, and until when frames of that size may still be on their way. */
  private earlier = { mtu: 0, until: 0 };
  /** The user's gso_max_segs while the MTU requires another value. */
  private segments = DEFAULT_GSO_MAX_SEGS;
  /** Other programs may undo repairs; of the offloads they are notified, and may do so at once. */
  private readonly repairs: Repairs;
  private noted = { master: 0, xdp: 'none', qdisc: NO_QDISC };

  constructor(private readonly parts: SettingsParts) {
    this.repairs = new Repairs(parts.log);
  }

  /** The MTU that the peer was last given; null while it has to be given another one. */
  get mtuOfPeer(): number | null {
    return this.followed?.ofPeer ?? null;
  }

  /** The MTU of the frames that the peer has to accept now. */
  private mtuToTake(link: Link): number {
    return Math.max(link.mtu, clock.now() < this.earlier.until ? this.earlier.mtu : 0);
  }

  /** Acts on what has changed since `before`, the link at the previous look. `netns` is the interface's namespace. */
  look(link: Link, before: Link, netns: Netns): void {
    const { attempts, attachment } = this.parts;
    const inside = <T>(body: () => T): T => netns.run(body);
    if (link.mtu < before.mtu) this.earlier = { mtu: this.mtuToTake(before), until: clock.now() + ON_THE_WAY_MS };
    const mtu = this.mtuToTake(link);
    if (link.mtu !== before.mtu) this.followed = null;
    if (attachment.peer && this.followed?.mtu !== mtu)
      attempts.try(`following the MTU of ${link.name}`, () => this.followMtu(link, mtu, inside));
    this.note(link, inside);
    if (attachment.taken) return; // not made by attach: its owner may set it as they like
    attempts.try(`gso_max_segs of ${link.name}`, () => this.followSegments(link, before, inside));
    attempts.try(`gso_max_size of ${link.name}`, () => this.limitSuperpackets(link, inside));
    attempts.try(`offloads of ${link.name}`, () => this.correctOffloads(link, inside));
    attempts.try(`accept_local of ${link.name}`, () => this.acceptLocal(link, inside));
  }

  /**
   * Gives the peer an MTU that accepts what vnet0 sends. If XDP does not allow that, vnet0 gets the largest MTU that
   * the peer may have.
   */
  private followMtu(link: Link, mtu: number, inside: Inside): void {
    const { peerNetns, attachment, log } = this.parts;
    const peer = peerNetns.run(() => linkByIndex(attachment.peer?.ifindex ?? 0));
    if (!peer) return;
    const { maxMtu } = peer.settings;
    if (link.mtu > maxMtu) {
      const fight = (minutes: number): string =>
        `somebody keeps setting the mtu of ${link.name} to ${link.mtu}, longer than the native XDP program on it takes; the next try is in ${minutes} min`;
      if (!this.repairs.may('mtu', fight)) return;
      log(`${link.name} has mtu ${maxMtu} again, not ${link.mtu}: the native XDP program on it takes no longer frames`);
      return inside(() => setNumbers(link.ifindex, { mtu: maxMtu }));
    }
    const wanted = peerMtu(mtu, maxMtu);
    if (peer.mtu !== wanted) peerNetns.run(() => setNumbers(peer.ifindex, { mtu: wanted }));
    this.followed = { mtu, ofPeer: wanted };
  }

  /** Limits gso_max_segs while the MTU requires it. Otherwise it is the user's to set, and their value is restored. */
  private followSegments(link: Link, before: Link, inside: Inside): void {
    const wanted = superpacketSegments(link.mtu);
    if (wanted === superpacketSegments(before.mtu)) return;
    const { gsoMaxSegs } = link.settings;
    if (wanted === 1) this.segments = gsoMaxSegs;
    else if (gsoMaxSegs !== 1) return; // the user has chosen another value meanwhile
    const now = wanted === 1 ? 1 : this.segments;
    if (now !== gsoMaxSegs) inside(() => setNumbers(link.ifindex, { gsoMaxSegs: now }));
  }

  private limitSuperpackets(link: Link, inside: Inside): void {
    const { attachment, log } = this.parts;
    const { gsoMaxSize, gsoIpv4MaxSize } = link.settings;
    const limits = loopableLimits(link.settings, attachment.superpacketBytes);
    if (!limits) return;
    const fight = (minutes: number): string =>
      `somebody keeps raising the limits of ${link.name}: larger superpackets are refused (oversize); the next try is in ${minutes} min`;
    if (!this.repairs.may('superpackets', fight)) return;
    inside(() => setNumbers(link.ifindex, limits));
    const changes = [
      ...(limits.gsoMaxSize === gsoMaxSize ? [] : [`gso_max_size ${limits.gsoMaxSize}, not ${gsoMaxSize}`]),
      ...(limits.gsoIpv4MaxSize === (gsoIpv4MaxSize ?? undefined)
        ? []
        : [`gso_ipv4_max_size ${limits.gsoIpv4MaxSize}, not ${gsoIpv4MaxSize}`]),
    ];
    log(`${link.name} has ${changes.join(', and ')}: the loop carries no larger superpackets`);
  }

  private correctOffloads(link: Link, inside: Inside): void {
    const wanted = loopable({ udpGso: passesUdpGso(), merges: merges(this.parts.attachment) });
    const found = inside(() => deviantFeatures(link.name, wanted));
    const fight = (minutes: number): string =>
      `somebody keeps switching ${found.join(', ')} of ${link.name} on: frames may be refused (gso), reordered or counted otherwise; the next try is in ${minutes} min`;
    if (found.length === 0 || !this.repairs.may('offloads', fight)) return;
    inside(() => correctFeatures(link.name, wanted));
    this.parts.log(
      `${link.name} has ${found.join(', ')} off again: with that the loop would refuse, reorder or count frames otherwise`,
    );
  }

  private acceptLocal(link: Link, inside: Inside): void {
    const { attachment, log } = this.parts;
    if (link.settings.acceptLocal || !attachment.hairpin?.addresses.some(({ family }) => family === 4)) return;
    const fight = (minutes: number): string =>
      `somebody keeps setting net.ipv4.conf.${link.name}.accept_local to 0: the kernel drops what comes back to a looped address; the next try is in ${minutes} min`;
    if (!this.repairs.may('accept_local', fight)) return;
    inside(() => setInterfaceSysctl(link.name, 'accept_local', '1'));
    log(
      `net.ipv4.conf.${link.name}.accept_local is 1 again: without it the kernel drops what comes back to a looped address`,
    );
  }

  private note(link: Link, inside: Inside): void {
    const { attachment, log } = this.parts;
    const { master, xdp } = link.settings;
    if (master !== this.noted.master) {
      const name = master > 0 ? inside(() => linkByIndex(master))?.name : undefined;
      log(
        name === undefined
          ? `${link.name} has no master any more`
          : `${link.name} belongs to ${name} now, which takes what comes back`,
      );
    }
    if (xdp !== this.noted.xdp) log(XDP_NOTES[xdp](link.name));
    // Without a carrier the qdisc is noop.
    const qdisc = link.qdisc === 'noop' ? this.noted.qdisc : link.qdisc;
    if (qdisc !== this.noted.qdisc && attachment.peer) {
      log(
        qdisc === NO_QDISC
          ? `${link.name} has no qdisc any more`
          : `${link.name} has the qdisc ${qdisc} now: it slows senders down, but frames are looped before it, also those that it drops; TCP may stall then`,
      );
    }
    this.noted = { master, xdp, qdisc };
  }
}

/** The qdisc of a veth by default, which is none. */
const NO_QDISC = 'noqueue';

type Inside = <T>(body: () => T) => T;

const XDP_NOTES: Readonly<Record<Link['settings']['xdp'], (name: string) => string>> = {
  none: (name) => `${name} has no XDP program any more`,
  native: (name) =>
    `${name} has a native XDP program: superpackets come back as frames, and without frags its mtu is limited`,
  generic: (name) => `${name} has a generic XDP program`,
  offloaded: (name) => `${name} has an offloaded XDP program`,
  several: (name) =>
    `${name} has several XDP programs: superpackets come back as frames, and without frags its mtu is limited`,
};
