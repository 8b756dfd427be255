// SPDX-License-Identifier: MIT
/** Numbers of the pcapng format (draft-ietf-opsawg-pcapng). */

export const BLOCK = { sectionHeader: 0x0a0d0d0a, interfaceDescription: 1, packet: 2, simplePacket: 3, nameResolution: 4, interfaceStatistics: 5, enhancedPacket: 6 } as const;
export const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
export const LINKTYPE_ETHERNET = 1;

/** Option codes; those of one kind of block mean something else in another. */
export const OPTION = {
  end: 0,
  comment: 1,
  section: { os: 3, application: 4 },
  interface: { name: 2, description: 3, resolution: 9, filter: 11, os: 12, fcsLength: 13, timeOffset: 14 },
  packet: { flags: 2 },
  statistics: { start: 2, end: 3, received: 4, dropped: 5, accepted: 6, delivered: 8 },
} as const;

/** The longest frame of the loop, and of a capture file: MAXIMUM_SNAPLEN of libpcap, and the longest that Wireshark reads. */
export const FRAME_BYTES_MAX = 262144;

/** epb_flags, and those of the old packet block: that the frame went out, and the bytes of its frame check sequence, if that is known. */
export const FLAGS = { outbound: 2, fcsLength: { mask: 0x1e0, shift: 5 } } as const;

/** Lengths are a multiple of 4, and never less. */
const BLOCK_BYTES_MIN = 12;

/** Blocks of this machine's byte order, from the first on: where each ends that is there whole. */
function* blockEnds(bytes: Uint8Array): Generator<{ type: number; end: number }> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + BLOCK_BYTES_MIN <= bytes.length; ) {
    const end = at + view.getUint32(at + 4, true);
    if (end > bytes.length || end < at + BLOCK_BYTES_MIN) return;
    yield { type: view.getUint32(at, true), end };
    at = end;
  }
}

/** Bytes of the blocks that lie whole within `bytes`. */
export function wholeBlocks(bytes: Uint8Array): number {
  let whole = 0;
  for (const { end } of blockEnds(bytes)) whole = end;
  return whole;
}

/** Frames in whole blocks. */
export function packetsIn(bytes: Uint8Array): number {
  let packets = 0;
  for (const { type } of blockEnds(bytes)) if (type === BLOCK.enhancedPacket) packets++;
  return packets;
}
