// SPDX-License-Identifier: MIT
/**
 * What a capture format provides (formats.ts has the formats): a reader, which finds frames in the bytes of a file, and
 * a writer, which makes a file of frames.
 */
import { VnetError } from '../errors';
import type { Block, ByteQueue } from './buffers';

/** The longest frame of the loop and of a capture file, in bytes: MAXIMUM_SNAPLEN of libpcap, and Wireshark's limit. */
export const FRAME_BYTES_MAX = 262144;

// Reading.

export interface CapturedFrame {
  /** LINKTYPE_* of the interface on which the frame was captured. */
  linkType: number;
  /** Nanoseconds since 1970, or since another moment; null if the file does not say. */
  time: bigint | null;
  /** Bytes on the wire according to the record, without a frame check sequence. */
  length: number;
  /** Bytes in the file, without a frame check sequence. */
  captured: number;
  /**
   * Those bytes; empty for a frame that is too large to read. Borrowed until the parser is asked for the next frame.
   */
  bytes: Uint8Array;
  comments: readonly string[];
}

/** Returned by next() where another file begins after the frames of one, as in files joined by cat(1). */
export const ANOTHER_FILE = Symbol('another file');

/** Parses a file that arrives in pieces. */
export interface CaptureParser {
  /** The next frame; null if more bytes are needed. Throws a VnetError if the file is damaged. */
  next(): CapturedFrame | typeof ANOTHER_FILE | null;
}

/** Bytes of the number with which every capture file begins, and those that are enough to be sure that one begins. */
export const MAGIC_BYTES = 4;
export const HEAD_BYTES = 24;

/** What a parser reads from, and how it learns what other formats there are. */
export interface ParserInput {
  readonly queue: ByteQueue;
  /** Whether no more data will arrive. */
  readonly ended: boolean;
  /** Whether another capture file begins at the head of the queue; null if too little has arrived to tell. */
  beginsAnother(): boolean | null;
  /** Whether a capture file begins with these HEAD_BYTES, in any format. */
  isBeginning(head: Buffer): boolean;
  /** What begins with these bytes if it is no capture file: completes "It is ..."; null if that is not known. */
  otherKind(head: Buffer): string | null;
}

/** Reads a format. */
export interface CaptureReader {
  /** Whether a file in this format begins with these MAGIC_BYTES. */
  recognizes(magic: Buffer): boolean;
  /**
   * Whether one begins with these HEAD_BYTES; frames of another file may have the same number, but not all of these.
   */
  isBeginning(head: Buffer): boolean;
  /** A parser for a file that begins with these MAGIC_BYTES, which are still in the queue. */
  parser(input: ParserInput, magic: Buffer): CaptureParser;
}

export const NO_BYTES = new Uint8Array(0);
export const NO_COMMENTS: readonly string[] = [];

/** The subject of errors; callers that know the file's name put it here, and for FILE and IFACE in the hint. */
export const CAPTURE_FILE = 'the capture file';

export const damaged = (why: string): VnetError =>
  new VnetError('STATE', CAPTURE_FILE, why, {
    hint: 'frames before this place were sent; capinfos or editcap may tell more',
  });

/** Removes the frame check sequence: the interface that sends the frame adds its own. */
export function withoutFcs(frame: CapturedFrame, fcsBytes: number): CapturedFrame {
  if (fcsBytes === 0) return frame;
  const length = Math.max(0, frame.length - fcsBytes);
  // A capture that cut a frame short may have lost only part of the sequence. Contradictory lengths stay as they are.
  const captured = frame.captured > frame.length ? frame.captured : Math.min(frame.captured, length);
  return { ...frame, length, captured, bytes: frame.bytes.subarray(0, captured) };
}

// Writing.

/** What a file says of itself before its first frame. */
export interface Section {
  application: string;
  os: string;
  interface: string;
  description: string;
  /** Bytes kept of a frame; 0 for all. */
  snapLen: number;
  /** A filter in tcpdump's syntax; undefined for all frames. */
  filter?: string | undefined;
}

export interface RecordedPacket {
  /** Nanoseconds since 1970, as two halves of 64 bits. */
  high: number;
  low: number;
  /** Bytes on the wire. */
  length: number;
  /** The bytes that are kept; `at` is a multiple of 4. */
  block: Block;
  at: number;
  captured: number;
  /** ASCII only. */
  comment: string;
}

/** Precedes the frame's virtio_net_hdr, in hexadecimal, in a comment; replay looks for it. */
export const VIRTIO_PREFIX = 'virtio_net_hdr ';

export interface Statistics {
  start: Stamp;
  end: Stamp;
  /** All frames, those that are missing from the file, and those in the file. */
  received: number;
  dropped: number;
  delivered: number;
  /** Frames that match the filter, if there is one. */
  accepted?: number | undefined;
  comment: string;
}

export interface Stamp {
  high: number;
  low: number;
}

/** Writes files in a format, one after another, into `out`; the caller takes what is there. */
export interface CaptureWriter {
  readonly out: { readonly length: number; take(): Uint8Array };
  /** Begins a file. */
  begin(section: Section): void;
  packet(packet: RecordedPacket): void;
  /**
   * Writes the counts, in at most STATISTICS_BYTES (sink.ts): at the end of a file, and now and then into a pipe, where
   * the latest count.
   */
  statistics(statistics: Statistics): void;
  /** Maximum number of bytes by which a frame of `captured` bytes and the statistics after it make a file grow. */
  bytesFor(captured: number): number;
  /**
   * How many of the bytes that take() has returned make a complete file, and how many frames they have. A full disk
   * cuts them off anywhere; the rest of them is counted by a second call.
   */
  complete(bytes: Uint8Array): { bytes: number; frames: number };
}

// Link types (draft-ietf-opsawg-pcaplinktype).

export const LINKTYPE_ETHERNET = 1;

export const LINK_TYPE_NAMES: Readonly<Record<number, string>> = {
  0: 'BSD loopback',
  1: 'Ethernet',
  6: 'Token Ring',
  9: 'PPP',
  10: 'FDDI',
  12: 'raw IP',
  14: 'raw IP',
  50: 'PPP',
  51: 'PPPoE',
  101: 'raw IP',
  105: 'IEEE 802.11',
  108: 'OpenBSD loopback',
  113: 'Linux cooked',
  127: 'IEEE 802.11 with radiotap',
  187: 'Bluetooth',
  189: 'USB',
  195: 'IEEE 802.15.4',
  201: 'Bluetooth',
  220: 'USB',
  227: 'CAN',
  228: 'IPv4',
  229: 'IPv6',
  239: 'netfilter log',
  249: 'USB',
  252: 'Wireshark upper PDU',
  253: 'netlink',
  276: 'Linux cooked',
};

export function linkTypeText(linkType: number): string {
  const name = LINK_TYPE_NAMES[linkType];
  return `link type ${linkType}${name === undefined ? '' : ` (${name})`}`;
}
