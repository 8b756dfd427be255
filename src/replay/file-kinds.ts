// SPDX-License-Identifier: MIT
/** Files that people take for captures, by their first bytes: compressed ones, and captures of other formats. */
import * as zlib from 'node:zlib';
import type { Transform } from 'node:stream';

export interface FileKind {
  /** Behind "is". */
  is: string;
  /** In hexadecimal, at the beginning or at `at`. */
  magic: string;
  at?: number;
  /** Unpacks it on the fly; null where this Node.js cannot. */
  unpack?: () => Transform | null;
  /** The program that unpacks standard input, or the file whose name follows, to standard output. */
  unpacker?: string;
}

const CHUNK_BYTES = 256 << 10;

/** In Node.js since 22.15 and 23.8. */
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
  // A frame that can be skipped, such as pzstd puts in front.
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

/** As many bytes show each kind. */
export const KIND_BYTES = 264;

/** The kind of a file that begins so; null if it is none of these. */
export const kindOf = (head: Buffer): FileKind | null =>
  FILE_KINDS.find(({ magic, at = 0 }) => head.subarray(at, at + magic.length / 2).toString('hex') === magic) ?? null;
