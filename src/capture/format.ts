// SPDX-License-Identifier: MIT
/**
 * Capture formats: a frame of a capture file, the numbers of pcapng, the names of link types, and the kinds of files by
 * their first bytes.
 */
import type { Transform } from 'node:stream';
import * as zlib from 'node:zlib';

import { VnetError } from '../errors';

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

/** Returned by next() where another file begins behind the frames of one, as in files joined by cat(1). */
export const ANOTHER_FILE = Symbol('another file');

/** Parses a file that arrives in pieces. */
export interface CaptureParser {
  /** The next frame; null if more bytes are needed. Throws a VnetError if the file is damaged. */
  next(): CapturedFrame | typeof ANOTHER_FILE | null;
}

export const NO_BYTES = new Uint8Array(0);
export const NO_COMMENTS: readonly string[] = [];

/** The subject of errors; callers that know the file's name put it here, and for FILE and IFACE in the hint. */
export const CAPTURE_FILE = 'the capture file';

export const damaged = (why: string): VnetError => new VnetError('STATE', CAPTURE_FILE, why, { hint: 'frames before this place were sent; capinfos or editcap may tell more' });

/** Removes the frame check sequence: the interface that sends the frame adds its own. */
export function withoutFcs(frame: CapturedFrame, fcsBytes: number): CapturedFrame {
  if (fcsBytes === 0) return frame;
  const length = Math.max(0, frame.length - fcsBytes);
  // A capture that cut a frame short may have lost only part of the sequence. Contradictory lengths stay as they are.
  const captured = frame.captured > frame.length ? frame.captured : Math.min(frame.captured, length);
  return { ...frame, length, captured, bytes: frame.bytes.subarray(0, captured) };
}

// Numbers of the pcapng format (draft-ietf-opsawg-pcapng).

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

/** The longest frame of the loop and of a capture file, in bytes: MAXIMUM_SNAPLEN of libpcap, and Wireshark's limit. */
export const FRAME_BYTES_MAX = 262144;

/**
 * Fields of epb_flags, and of the old packet block: the frame was outbound, and bytes of its frame check sequence if
 * known.
 */
export const FLAGS = { outbound: 2, fcsLength: { mask: 0x1e0, shift: 5 } } as const;

/** Bytes of the shortest block; lengths are multiples of 4. */
const BLOCK_BYTES_MIN = 12;

/** The type and the end of each complete block from the first on, in this machine's byte order. */
function* blockEnds(bytes: Uint8Array): Generator<{ type: number; end: number }> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + BLOCK_BYTES_MIN <= bytes.length; ) {
    const end = at + view.getUint32(at + 4, true);
    if (end > bytes.length || end < at + BLOCK_BYTES_MIN) return;
    yield { type: view.getUint32(at, true), end };
    at = end;
  }
}

/** Bytes of the complete blocks at the beginning of `bytes`. */
export function wholeBlocks(bytes: Uint8Array): number {
  let whole = 0;
  for (const { end } of blockEnds(bytes)) whole = end;
  return whole;
}

/** Number of frames in complete blocks. */
export function packetsIn(bytes: Uint8Array): number {
  let packets = 0;
  for (const { type } of blockEnds(bytes)) if (type === BLOCK.enhancedPacket) packets++;
  return packets;
}

// Names of common link types (draft-ietf-opsawg-pcaplinktype).

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

// Files that users take for captures, by their first bytes: compressed ones, and captures in other formats.

export interface FileKind {
  /** Completes the sentence "The file is ...", without "is". */
  is: string;
  /** In hexadecimal; at the beginning, or at offset `at`. */
  magic: string;
  at?: number;
  /** Makes a stream that unpacks the file; null where this Node.js cannot. */
  unpack?: () => Transform | null;
  /** The program that unpacks standard input, or the file named behind it, to standard output. */
  unpacker?: string;
}

const CHUNK_BYTES = 256 << 10;

/** zlib of Node.js since 22.15 and 23.8. */
interface WithZstd {
  createZstdDecompress?: (options: { chunkSize: number }) => Transform;
}

const ZSTD = {
  is: 'compressed by zstd',
  unpack: () => (zlib as WithZstd).createZstdDecompress?.({ chunkSize: CHUNK_BYTES }) ?? null,
  unpacker: 'zstd -dc',
} as const;

const hex = (text: string): string => Buffer.from(text, 'latin1').toString('hex');

export const FILE_KINDS: readonly FileKind[] = [
  { is: 'compressed by gzip', magic: '1f8b', unpack: () => zlib.createGunzip({ chunkSize: CHUNK_BYTES }), unpacker: 'gzip -dc' },
  { ...ZSTD, magic: '28b52ffd' },
  // A skippable frame, which pzstd writes first.
  { ...ZSTD, magic: '502a4d18' },
  { is: 'compressed by xz', magic: 'fd377a585a00', unpacker: 'xz -dc' },
  { is: 'compressed by lzma', magic: '5d000080', unpacker: 'xz --format=lzma -dc' },
  { is: 'compressed by bzip2', magic: hex('BZh'), unpacker: 'bzip2 -dc' },
  { is: 'compressed by lz4', magic: '04224d18', unpacker: 'lz4 -dc' },
  { is: 'compressed by lz4', magic: '02214c18', unpacker: 'lz4 -dc' },
  { is: 'compressed by lzip', magic: hex('LZIP'), unpacker: 'lzip -dc' },
  { is: 'compressed by lzop', magic: '894c5a4f000d0a1a', unpacker: 'lzop -dc' },
  { is: 'compressed by compress', magic: '1f9d', unpacker: 'gzip -dc' },
  { is: 'a zip archive', magic: hex('PK\x03\x04'), unpacker: 'unzip -p' },
  { is: 'a 7z archive', magic: '377abcaf271c', unpacker: '7z x -so' },
  { is: 'a tar archive', magic: hex('ustar'), at: 257, unpacker: 'tar -xOf' },
  { is: 'a capture of Sun snoop', magic: hex('snoop\0\0\0') },
  { is: 'a btsnoop capture, of Bluetooth', magic: hex('btsnoop\0') },
  { is: 'a capture of Microsoft Network Monitor 1', magic: hex('RTSS') },
  { is: 'a capture of Microsoft Network Monitor 2', magic: hex('GMBU') },
  { is: 'a capture of Sniffer', magic: hex('TRSNIFF data') },
  { is: 'a capture of Sniffer for Windows', magic: hex('XCP\0') },
  { is: 'a capture of Novell LANalyzer', magic: '01104c00' },
  { is: 'a capture of 5View', magic: 'aaaaaaaa' },
  { is: 'a trace of HP-UX nettl', magic: '54520064' },
  { is: 'a capture of Observer', magic: hex('ObserverPktBuffe') },
  { is: 'a capture of Visual Networks', magic: '05564e46' },
  { is: 'a trace of an EyeSDN', magic: hex('EyeSDN') },
  { is: 'a trace of a K12', magic: '0000020012050010' },
  { is: 'a K12 text file', magic: hex('+---------+-----') },
  { is: 'a capture of an Ixia', magic: 'ac01001c' },
  { is: 'a capture of an Ixia', magic: 'ab01001c' },
];

/** Bytes that are enough to recognize each kind. */
export const KIND_BYTES = 264;

/** The kind of a file that begins with `head`; null if it is none of these. */
export const kindOf = (head: Buffer): FileKind | null =>
  FILE_KINDS.find(({ magic, at = 0 }) => head.subarray(at, at + magic.length / 2).toString('hex') === magic) ?? null;
