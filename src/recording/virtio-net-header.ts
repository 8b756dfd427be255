// SPDX-License-Identifier: MIT
/** struct virtio_net_hdr (include/uapi/linux/virtio_net.h), which is beside a frame's bytes, in a comment. */
import { NEEDS_CSUM, VNET, VNET_HDR_BYTES } from '../datapath/layout';

/** In a comment, with the header in hexadecimal behind it; replay reads it. */
export const VIRTIO_PREFIX = 'virtio_net_hdr ';

export interface VirtioNetHeader {
  needsChecksum: boolean;
  gsoType: number;
  gsoSize: number;
  checksumStart: number;
}

export function parseVirtioNetHeader(header: Uint8Array): VirtioNetHeader {
  const view = new DataView(header.buffer, header.byteOffset, header.length);
  return {
    needsChecksum: (view.getUint8(VNET.flags) & NEEDS_CSUM) !== 0,
    gsoType: view.getUint8(VNET.gsoType),
    gsoSize: view.getUint16(VNET.gsoSize, true),
    checksumStart: view.getUint16(VNET.checksumStart, true),
  };
}

const IN_COMMENT = new RegExp(`(?:^|[\\s;])${VIRTIO_PREFIX}([0-9a-f]{${2 * VNET_HDR_BYTES}})(?![0-9a-f])`);

/** The header that a comment names; null if none does. */
export function virtioNetHeaderOf(comment: string): Uint8Array | null {
  const hex = IN_COMMENT.exec(comment)?.[1];
  return hex === undefined ? null : Uint8Array.from(Buffer.from(hex, 'hex'));
}
