// SPDX-License-Identifier: MIT
/** The settings of the links behind vnet0, its peer and the waiting rooms: nobody else has to do with them, so what others change is put back. */
import { SUPERPACKET_BYTES } from '../link/big-tcp';
import { correctFeatures, deviantFeatures, PEER_FEATURES, ROOM_FEATURES, type Wanted } from '../link/features';
import { linkByIndex, setNumbers, type Link, type LinkNumbers } from '../link/links';
import type { Netns } from '../link/netns';
import { DEFAULT_GSO_MAX_SEGS, peerMtu } from '../link/veth';
import { MAX_MTU } from './options';
import type { Attachment } from '../state/store';
import type { Finding, Part } from './supervisor';

export interface HiddenLinks {
  attachment: Attachment;
  wireNetns: Netns;
  /** Of vnet0. */
  mtu: () => number;
  log: (text: string) => void;
}

interface HiddenLink {
  /** In words: "the peer". */
  name: string;
  ifindex: number;
  features: Wanted;
  mtu: (link: Link) => number;
  /** Whether it transmits superpackets of BIG TCP: from the exit of a room nothing goes on. */
  bigTcp: boolean;
}

export function hiddenLinkParts(hidden: HiddenLinks): Part[] {
  const { peer, rooms } = hidden.attachment;
  const links: HiddenLink[] = [
    ...(peer ? [{ name: 'the peer', ifindex: peer.ifindex, features: PEER_FEATURES, mtu: ({ settings }: Link) => peerMtu(hidden.mtu(), settings.maxMtu), bigTcp: true }] : []),
    ...rooms.flatMap(({ entry, exit }) =>
      [entry, exit].map(({ ifindex }) => ({ name: 'the waiting room', ifindex, features: ROOM_FEATURES, mtu: () => MAX_MTU, bigTcp: ifindex === entry.ifindex })),
    ),
  ];
  return [...links.map((link) => settingsPart(hidden, link)), ...(peer ? [peerNotes(hidden, peer.ifindex)] : [])];
}

function settingsPart({ attachment, wireNetns }: HiddenLinks, { name, ifindex, features, mtu, bigTcp }: HiddenLink): Part {
  const inside = <T>(body: () => T): T => wireNetns.run(body);
  /** What no repair has changed: this kernel has it so. */
  let given: readonly string[] = [];
  const wantedOf = (link: Link): LinkNumbers => ({
    mtu: mtu(link),
    gsoMaxSegs: DEFAULT_GSO_MAX_SEGS,
    gsoMaxSize: SUPERPACKET_BYTES,
    ...ipv4Limit(link, bigTcp ? attachment.superpacketBytes : null),
  });
  const deviations = (link: Link): string[] => [...differences(link, wantedOf(link)), ...inside(() => deviantFeatures(link.name, features))];
  const look = (): Finding | null => {
    const link = inside(() => linkByIndex(ifindex));
    if (!link) return null; // other parts see that
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

/** Nothing where the kernel has no such limit. */
const ipv4Limit = ({ settings }: Link, superpacketBytes: number | null): LinkNumbers =>
  settings.gsoIpv4MaxSize === null || superpacketBytes === null ? {} : { gsoIpv4MaxSize: superpacketBytes };

/** What is otherwise than wanted. */
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

/** What is tolerated there, but said: it costs frames or speed. */
function peerNotes({ attachment, wireNetns, log }: HiddenLinks, ifindex: number): Part {
  let noted = { qdisc: NONE, xdp: 'none' };
  const look = (): null => {
    const link = wireNetns.run(() => linkByIndex(ifindex));
    if (!link) return null;
    const { iface, impairment } = attachment;
    const qdisc = impairment?.words || link.qdisc === 'noop' ? NONE : link.qdisc;
    const { xdp } = link.settings;
    if (qdisc !== noted.qdisc) log(qdisc === NONE ? `the peer of ${iface} has no qdisc any more` : `somebody put the qdisc ${qdisc} on the peer of ${iface}: what it drops counts as refused: backlog. vnet-bpf impair does that with its accounting`);
    if (xdp !== noted.xdp) log(xdp === 'none' ? `the peer of ${iface} has no XDP program any more` : `somebody put an XDP program on the peer of ${iface} (${xdp}): it sees what vnet0 sends, and what it drops of held frames is lost`);
    noted = { qdisc, xdp };
    return null;
  };
  return { name: 'what is on the peer', look };
}

const NONE = 'noqueue';
