// SPDX-License-Identifier: MIT
/** A frame of a capture file, and what can be wrong with such a file. */
import { VnetError } from '../errors';
import { LINKTYPE_ETHERNET } from '../recording/pcapng';

export interface CapturedFrame {
  /** Nanoseconds since 1970, or since whatever; null if the file does not say. */
  time: bigint | null;
  /** Bytes on the wire; `bytes` may have fewer. */
  length: number;
  /** Borrowed: until the parser is asked for the next frame. */
  bytes: Uint8Array;
  comments: readonly string[];
}

/** Takes a file in pieces. */
export interface CaptureParser {
  /** The next frame; null if more bytes are needed. Throws a VnetError if the file is damaged, or of a kind that is not Ethernet. */
  next(): CapturedFrame | null;
}

export const damaged = (why: string): VnetError => new VnetError('STATE', 'the capture file', why, { hint: 'frames before this place were sent; capinfos or editcap may tell more' });

export function requireEthernet(linkType: number): void {
  if (linkType === LINKTYPE_ETHERNET) return;
  throw new VnetError('UNSUPPORTED', 'the capture file', `has frames of link type ${linkType}, not of Ethernet (1)`, { hint: 'capture on an Ethernet interface, not on "any" or a tunnel' });
}
