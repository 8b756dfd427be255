// SPDX-License-Identifier: MIT
/** Settings of a user that change how the kernel segments the superpackets of an interface. */
import { IFLA, ifinfo, linkByIndex, linkByName, RTM_NEWLINK } from '../../src/link/links';
import { Netns, openPeerNetns } from '../../src/link/netns';
import { change, message, numberAttribute } from '../../src/link/rtnetlink';
import { bigTcp, superpacketBytesOf } from '../../src/link/veth';
import { passesBigTcp } from '../../src/requirements';
import { attachmentOf, type Attached } from './cli';
import { eventually } from './controller';
import { ok, okIn, run } from './netns';

/** The features of a veth that `ethtool -K` can switch, in an order in which each can be switched on again. */
const SWITCHES = [
  'sg',
  'tx',
  'tso',
  'tx-tcp-segmentation',
  'tx-tcp6-segmentation',
  'tx-tcp-ecn-segmentation',
  'tx-tcp-mangleid-segmentation',
  'tx-udp-segmentation',
  'tx-scatter-gather-fraglist',
  'gso',
];

export interface GsoLimits {
  size?: number;
  segments?: number;
  ipv4Size?: number;
}

const DEFAULT_SEGMENTS = 65535;
const DEFAULT_SIZE = 65536;

/** Leaves an interface with all features that vnet-bpf allows, except those named. */
export function setFeatures({ netns, iface }: Attached, off: readonly string[]): void {
  okIn(netns, 'ethtool', ['-K', iface, ...SWITCHES.flatMap((name) => [name, 'on'])]);
  if (off.length > 0) okIn(netns, 'ethtool', ['-K', iface, ...off.flatMap((name) => [name, 'off'])]);
}

/** Sets limits of an interface; those not named are reset to their initial values. */
export function setGsoLimits(
  nic: Attached,
  { size = DEFAULT_SIZE, segments = DEFAULT_SEGMENTS, ipv4Size }: GsoLimits,
): void {
  ok('ip', [
    '-n',
    nic.netns,
    'link',
    'set',
    'dev',
    nic.iface,
    'gso_max_size',
    String(size),
    'gso_max_segs',
    String(segments),
  ]);
  // Up to 64 KiB, the kernel uses `gso_max_size` for IPv4, too (netif_set_gso_max_size).
  const { ringBytes, backend } = attachmentOf(nic);
  const ipv4 =
    ipv4Size ?? (size === DEFAULT_SIZE ? bigTcp(superpacketBytesOf(backend, ringBytes)).gsoIpv4MaxSize : undefined);
  if (ipv4 === undefined || !passesBigTcp()) return;
  using netns = Netns.named(nic.netns);
  netns.run(() =>
    change(
      RTM_NEWLINK,
      message(ifinfo({ ifindex: linkByName(nic.iface)?.ifindex ?? 0 }), numberAttribute(IFLA.GSO_IPV4_MAX_SIZE, ipv4)),
    ),
  );
}

/** Gives an interface a root qdisc, or with null the one that it was created with. */
export function setRootQdisc({ netns, iface }: Attached, qdisc: string | null): void {
  run('tc', ['-n', netns, 'qdisc', 'del', 'dev', iface, 'root']); // fails if there is none
  if (qdisc !== null) ok('tc', ['-n', netns, 'qdisc', 'replace', 'dev', iface, 'root', ...qdisc.split(' ')]);
}

/** Returns when the controller has given the peer the MTU that goes with it. */
export async function setMtu(nic: Attached, mtu: number): Promise<void> {
  ok('ip', ['-n', nic.netns, 'link', 'set', 'dev', nic.iface, 'mtu', String(mtu)]);
  await mtuFollowed(nic, mtu);
}

/** Waits until the peer takes frames of such an MTU; a dummy has none. */
export async function mtuFollowed(nic: Attached, mtu: number): Promise<void> {
  const { peer } = attachmentOf(nic);
  if (!peer) return;
  const takes = (): boolean => {
    using peerNetns = openPeerNetns();
    return (peerNetns?.run(() => linkByIndex(peer.ifindex))?.mtu ?? 0) >= mtu;
  };
  if (!(await eventually(takes, 5000))) throw new Error(`the peer of ${nic.iface} does not get an MTU of ${mtu}`);
}
