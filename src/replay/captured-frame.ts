// SPDX-License-Identifier: MIT
/** A frame of a capture file, and the ways in which such a file can be damaged. */
import { VnetError } from '../errors';

export interface CapturedFrame {
  /** LINKTYPE_* of the interface that it was captured on. */
  linkType: number;
  /** Nanoseconds since 1970, or since any other moment; null if the file does not say. */
  time: bigint | null;
  /** Bytes on the wire, as the record says, without a frame check sequence. */
  length: number;
  /** Bytes in the file, without a frame check sequence. */
  captured: number;
  /** Those bytes; none of a frame that is too large to be read. Borrowed: until the parser is asked for the next frame. */
  bytes: Uint8Array;
  comments: readonly string[];
}

/** What next() returns where another file begins behind the frames of one, as cat(1) puts them together. */
export const ANOTHER_FILE = Symbol('another file');

/** Takes a file in pieces. */
export interface CaptureParser {
  /** The next frame; null if more bytes are needed. Throws a VnetError if the file is damaged. */
  next(): CapturedFrame | typeof ANOTHER_FILE | null;
}

export const NO_BYTES = new Uint8Array(0);
export const NO_COMMENTS: readonly string[] = [];

/** What errors are about; whoever knows its name puts that in its place, and for FILE and IFACE in the hint. */
export const CAPTURE_FILE = 'the capture file';

export const damaged = (why: string): VnetError => new VnetError('STATE', CAPTURE_FILE, why, { hint: 'frames before this place were sent; capinfos or editcap may tell more' });

/** Takes the frame check sequence off: the interface that sends the frame makes its own. */
export function withoutFcs(frame: CapturedFrame, fcsBytes: number): CapturedFrame {
  if (fcsBytes === 0) return frame;
  const length = Math.max(0, frame.length - fcsBytes);
  // A capture that ended a frame early may have cut off some of the sequence, and nothing else. Lengths that lie stay as they are.
  const captured = frame.captured > frame.length ? frame.captured : Math.min(frame.captured, length);
  return { ...frame, length, captured, bytes: frame.bytes.subarray(0, captured) };
}
