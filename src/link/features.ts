// SPDX-License-Identifier: MIT
/**
 * Switches offload features of an interface off, through the ethtool ioctl: the `ethtool` program
 * need not be installed. Runs in the interface's namespace.
 */
import * as fs from 'node:fs';

import { ioctlWith, openSocket } from '../native/libc';

const AF_INET = 2;
const SOCK_DGRAM = 2;
const SIOCETHTOOL = 0x8946;
const ETHTOOL_GSTRINGS = 0x1b;
const ETHTOOL_GSSET_INFO = 0x37;
const ETHTOOL_SFEATURES = 0x3b;
const ETH_SS_FEATURES = 4;
const ETH_GSTRING_LEN = 32;

/**
 * Superpackets that virtio_net_hdr cannot describe: with the feature off, the kernel cuts them
 * into frames on their way to the peer (validate_xmit_skb in net/core/dev.c), and `sink` captures those.
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

/** With these off a VLAN tag is part of the frame when veth counts its bytes, as it is in RX. */
const VLAN_INSERTION = ['tx-vlan-hw-insert', 'tx-vlan-stag-hw-insert'];

/** UDP superpackets pass whole from Linux 6.2 on (virtio_net_hdr_to_skb in include/linux/virtio_net.h). */
const UDP_GSO = ['tx-udp-segmentation'];

/** What `cut` makes merged packets ask for (bpf/vnet.bpf.c). */
const MERGED = ['tx-ipxip4-segmentation', 'tx-ipxip6-segmentation'];

/** Has the kernel cut merged packets into frames on their way through this interface. */
export function cutMergedPackets(peer: string): void {
  switchOff(peer, MERGED);
}

/** Leaves an interface with the offloads whose results the loop can carry. */
export function keepLoopableOffloads(iface: string, udpGso: boolean): void {
  switchOff(iface, [...INEXPRESSIBLE_GSO, ...VLAN_INSERTION, ...(udpGso ? [] : UDP_GSO)]);
}

function switchOff(iface: string, features: readonly string[]): void {
  const fd = openSocket(AF_INET, SOCK_DGRAM, 0);
  try {
    const names = featureNames(fd, iface);
    const blocks = Math.ceil(names.length / 32);
    const request = new DataView(new ArrayBuffer(8 + blocks * 8));
    request.setUint32(0, ETHTOOL_SFEATURES, true);
    request.setUint32(4, blocks, true);
    for (const feature of features) {
      const bit = names.indexOf(feature); // -1: this kernel does not know it, so no frame has it
      if (bit < 0) continue;
      const valid = 8 + Math.floor(bit / 32) * 8;
      request.setUint32(valid, (request.getUint32(valid, true) | (1 << bit % 32)) >>> 0, true);
    }
    ethtool(fd, iface, request);
  } finally {
    fs.closeSync(fd);
  }
}

/** The kernel's names of all features, by bit. */
function featureNames(fd: number, iface: string): string[] {
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
