// SPDX-License-Identifier: MIT
/**
 * The offload features of an interface, read and switched through the ethtool ioctl, so that the `ethtool` program need
 * not be installed. Runs in the interface's namespace.
 */
import * as fs from 'node:fs';

import { ioctlWith, openSocket } from '../native/libc';

const AF_INET = 2;
const SOCK_DGRAM = 2;
const SIOCETHTOOL = 0x8946;
const ETHTOOL_GSTRINGS = 0x1b;
const ETHTOOL_GSSET_INFO = 0x37;
const ETHTOOL_GFEATURES = 0x3a;
const ETHTOOL_SFEATURES = 0x3b;
const ETH_SS_FEATURES = 4;
const ETH_GSTRING_LEN = 32;

/**
 * Features for superpackets that virtio_net_hdr cannot describe. With the feature off, the kernel cuts them into frames
 * on their way to the peer (validate_xmit_skb in net/core/dev.c), and `sink` captures those.
 */
const INEXPRESSIBLE_GSO = [
  'tx-gre-segmentation',
  'tx-gre-csum-segmentation',
  'tx-ipxip4-segmentation',
  'tx-ipxip6-segmentation',
  'tx-udp_tnl-segmentation',
  'tx-udp_tnl-csum-segmentation',
  'tx-tunnel-remcsum-segmentation',
  'tx-gso-partial',
  'tx-sctp-segmentation',
  'tx-esp-segmentation',
  'tx-gso-list',
];

/** With these off, a VLAN tag is part of the frame when veth counts its bytes for TX, as it is for RX. */
const VLAN_INSERTION = ['tx-vlan-hw-insert', 'tx-vlan-stag-hw-insert'];

/** UDP superpackets pass whole from Linux 6.2 on (virtio_net_hdr_to_skb in include/linux/virtio_net.h). */
const UDP_GSO = ['tx-udp-segmentation'];

/** Features that merged packets need after `resegment` (bpf/vnet.bpf.c). */
const MERGED = ['tx-ipxip4-segmentation', 'tx-ipxip6-segmentation'];

/**
 * Features whose state the loop relies on: those that have to be `off`, and those that have to be `on` if the interface
 * can have them.
 */
export interface Wanted {
  off: readonly string[];
  on: readonly string[];
}

/**
 * With these on, a veth receives frames that are charged to a socket through its NAPI, and others through a backlog
 * (veth_skb_is_eligible_for_gro in drivers/net/veth.c). Of a merged packet that is segmented, only the last frame is
 * charged, and it would arrive at another time than the rest.
 */
const RX_BY_CHARGE = ['rx-gro-list', 'rx-udp-gro-forwarding'];

/**
 * The features that the interface may not have, because the loop cannot carry the resulting packets. `udpGso` says
 * whether UDP superpackets pass whole, `merges` whether the poller merges frames. All other features are the user's to
 * choose.
 */
export const loopable = ({ udpGso, merges }: { udpGso: boolean; merges: boolean }): Wanted => ({
  off: [...INEXPRESSIBLE_GSO, ...VLAN_INSERTION, ...(merges ? RX_BY_CHARGE : []), ...(udpGso ? [] : UDP_GSO)],
  on: [],
});

/** Without these, the kernel segments on the way what the loop counts as one frame. */
const WHOLE = [
  'tx-scatter-gather',
  'tx-checksum-ip-generic',
  'tx-tcp-segmentation',
  'tx-tcp-ecn-segmentation',
  'tx-tcp6-segmentation',
  'tx-udp-segmentation',
  'tx-generic-segmentation',
];

/**
 * GRO would merge the frames of a held superpacket that has been segmented, so that the loop counts one frame for
 * several.
 */
const GRO = ['rx-gro'];

/** The features of the peer: superpackets pass whole, and packets that the poller has merged are segmented. */
export const PEER_FEATURES: Wanted = { off: [...MERGED, ...GRO], on: WHOLE };

/** The features of the waiting room. */
export const ROOM_FEATURES: Wanted = { off: [], on: WHOLE };

/** Makes the kernel segment merged packets on their way through this interface. */
export function resegmentMerged(peer: string): void {
  correctFeatures(peer, { off: MERGED, on: [] });
}

/** Names of those features that are not as wanted. */
export const deviantFeatures = (iface: string, wanted: Wanted): string[] =>
  onSocket((fd) => deviants(fd, iface, wanted).map(({ name }) => name));

/** Switches those features. */
export function correctFeatures(iface: string, wanted: Wanted): void {
  onSocket((fd) => {
    const found = deviants(fd, iface, wanted);
    if (found.length === 0) return;
    const blocks = Math.ceil(featureNames(fd, iface).length / 32);
    const request = new DataView(new ArrayBuffer(8 + blocks * 8));
    request.setUint32(0, ETHTOOL_SFEATURES, true);
    request.setUint32(4, blocks, true);
    for (const { bit, on } of found) {
      const valid = 8 + Math.floor(bit / 32) * 8;
      const mask = 1 << (bit % 32);
      request.setUint32(valid, (request.getUint32(valid, true) | mask) >>> 0, true);
      if (on) request.setUint32(valid + 4, (request.getUint32(valid + 4, true) | mask) >>> 0, true);
    }
    ethtool(fd, iface, request);
  });
}

function deviants(fd: number, iface: string, wanted: Wanted): { name: string; bit: number; on: boolean }[] {
  const names = featureNames(fd, iface);
  const blocks = Math.ceil(names.length / 32);
  // struct ethtool_get_features_block for each 32 features: available, requested, active, never changed.
  const state = new DataView(new ArrayBuffer(8 + blocks * 16));
  state.setUint32(0, ETHTOOL_GFEATURES, true);
  state.setUint32(4, blocks, true);
  ethtool(fd, iface, state);
  const has = (bit: number, word: number): boolean =>
    ((state.getUint32(8 + Math.floor(bit / 32) * 16 + 4 * word, true) >>> (bit % 32)) & 1) !== 0;
  const [AVAILABLE, ACTIVE] = [0, 2];
  const known = (list: readonly string[], on: boolean): { name: string; bit: number; on: boolean }[] =>
    list.map((name) => ({ name, bit: names.indexOf(name), on })).filter(({ bit }) => bit >= 0); // -1: this kernel does not know the feature, so no frame has it
  return [...known(wanted.off, false), ...known(wanted.on, true)].filter(
    ({ bit, on }) => has(bit, AVAILABLE) && has(bit, ACTIVE) !== on,
  );
}

function onSocket<T>(body: (fd: number) => T): T {
  const fd = openSocket(AF_INET, SOCK_DGRAM, 0);
  try {
    return body(fd);
  } finally {
    fs.closeSync(fd);
  }
}

let names: string[] | undefined;

/** The kernel's names of all features, by bit. They are the same for every interface. */
function featureNames(fd: number, iface: string): string[] {
  return (names ??= readFeatureNames(fd, iface));
}

function readFeatureNames(fd: number, iface: string): string[] {
  const info = new DataView(new ArrayBuffer(20));
  info.setUint32(0, ETHTOOL_GSSET_INFO, true);
  info.setUint32(8, 1 << ETH_SS_FEATURES, true);
  ethtool(fd, iface, info);
  const count = info.getUint32(16, true);
  const strings = new DataView(new ArrayBuffer(12 + count * ETH_GSTRING_LEN));
  strings.setUint32(0, ETHTOOL_GSTRINGS, true);
  strings.setUint32(4, ETH_SS_FEATURES, true);
  strings.setUint32(8, count, true);
  ethtool(fd, iface, strings);
  const bytes = Buffer.from(strings.buffer, 12);
  return Array.from({ length: count }, (_, i) => {
    const name = bytes.subarray(i * ETH_GSTRING_LEN, (i + 1) * ETH_GSTRING_LEN);
    return name.subarray(0, name.indexOf(0)).toString();
  });
}

/** struct ifreq: the interface's name, then a pointer to the command, which the kernel fills in. */
function ethtool(fd: number, iface: string, command: DataView): void {
  const request = new Uint8Array(new ArrayBuffer(40));
  request.set(Buffer.from(iface));
  ioctlWith(fd, SIOCETHTOOL, request, 16, command.buffer as ArrayBuffer);
}
