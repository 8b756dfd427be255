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
  interface: { name: 2, description: 3, resolution: 9, os: 12 },
  packet: { flags: 2 },
  statistics: { start: 2, end: 3, received: 4, dropped: 5, delivered: 8 },
} as const;

/** epb_flags: the frame went out. */
export const OUTBOUND = 2;
