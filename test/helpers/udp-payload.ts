// SPDX-License-Identifier: MIT
/**
 * The payload of a test datagram: u32 flow, u32 sequence number, then a fixed pattern that depends only on the offset,
 * so that a sender writes eight bytes per packet and not all of them.
 */
export const PAYLOAD_HEADER_BYTES = 8;

export function fillPattern(payload: Uint8Array): void {
  for (let i = PAYLOAD_HEADER_BYTES; i < payload.length; i++) payload[i] = (i * 7) & 0xff;
}

/** The pattern of the longest datagram, for comparison. */
export function pattern(bytes: number): Buffer {
  const expected = Buffer.alloc(bytes);
  fillPattern(expected);
  return expected;
}
