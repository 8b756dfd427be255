// SPDX-License-Identifier: MIT
/** Where the payload of a superpacket begins. */
import { GSO_UDP_L4 } from '../datapath/layout';
import { parseVirtioNetHeader } from './virtio-net-header';

const UDP_BYTES = 8;
const TCP_DATA_OFFSET = 12;

/** Bytes of all headers of a superpacket: its partial checksum says where the last of them begins. */
export function headerBytes(virtioNetHeader: Uint8Array, frame: Uint8Array): number {
  const { gsoType, checksumStart } = parseVirtioNetHeader(virtioNetHeader);
  if (gsoType === GSO_UDP_L4) return checksumStart + UDP_BYTES;
  return checksumStart + ((frame[checksumStart + TCP_DATA_OFFSET] ?? 0x50) >> 4) * 4;
}
