// SPDX-License-Identifier: MIT
/** Reads the frames of a capture file in any supported format, compressed or not, alone or joined to others. */
import * as fs from 'node:fs';
import { pipeline, Readable, type Transform } from 'node:stream';
import * as zlib from 'node:zlib';

import { usageError, VnetError } from '../errors';
import { isPipe, pipeInput } from '../native/standard-input';
import { isTerminal } from '../native/terminal';
import { ByteQueue } from './buffers';
import {
  ANOTHER_FILE,
  CAPTURE_FILE,
  type CapturedFrame,
  type CaptureParser,
  type CaptureReader,
  damaged,
  HEAD_BYTES,
  MAGIC_BYTES,
  type ParserInput,
} from './contract';
import { READ_FORMATS, READERS, type UNPACKED } from './formats';

const readers: readonly CaptureReader[] = READERS.map(({ load }) => load());

/** The reader of a file that begins so; null if its format is not read, or too little is there to tell. */
const readerOf = (head: Buffer): CaptureReader | null =>
  head.length < MAGIC_BYTES ? null : (readers.find((reader) => reader.recognizes(head)) ?? null);

// Files that users take for captures, by their first bytes: compressed ones, and captures in other formats.

interface FileKind {
  /** Completes the sentence "The file is ...", without "is". */
  is: string;
  /** In hexadecimal; at the beginning, or at offset `at`. */
  magic: string;
  at?: number;
  /** Makes a stream that unpacks the file; null where this Node.js cannot. */
  unpack?: () => Transform | null;
  /** The program that unpacks standard input, or the file named after it, to standard output. */
  unpacker?: string;
}

/** Size of the pieces in which a stream unpacks, in bytes. */
const UNPACKED_BYTES = 256 << 10;

/** zlib of Node.js since 22.15 and 23.8. */
interface WithZstd {
  createZstdDecompress?: (options: { chunkSize: number }) => Transform;
}

const UNPACKERS: Readonly<Record<(typeof UNPACKED)[number], () => Transform | null>> = {
  gzip: () => zlib.createGunzip({ chunkSize: UNPACKED_BYTES }),
  zstd: () => (zlib as WithZstd).createZstdDecompress?.({ chunkSize: UNPACKED_BYTES }) ?? null,
};

const compressed = (by: string, unpacker: string) => ({ is: `compressed by ${by}`, unpacker });
const unpackable = (by: keyof typeof UNPACKERS, unpacker: string) => ({
  ...compressed(by, unpacker),
  unpack: UNPACKERS[by],
});

const hex = (text: string): string => Buffer.from(text, 'latin1').toString('hex');

const FILE_KINDS: readonly FileKind[] = [
  { ...unpackable('gzip', 'gzip -dc'), magic: '1f8b' },
  { ...unpackable('zstd', 'zstd -dc'), magic: '28b52ffd' },
  // A skippable frame, which pzstd writes first.
  { ...unpackable('zstd', 'zstd -dc'), magic: '502a4d18' },
  { ...compressed('xz', 'xz -dc'), magic: 'fd377a585a00' },
  { ...compressed('lzma', 'xz --format=lzma -dc'), magic: '5d000080' },
  { ...compressed('bzip2', 'bzip2 -dc'), magic: hex('BZh') },
  { ...compressed('lz4', 'lz4 -dc'), magic: '04224d18' },
  { ...compressed('lz4', 'lz4 -dc'), magic: '02214c18' },
  { ...compressed('lzip', 'lzip -dc'), magic: hex('LZIP') },
  { ...compressed('lzop', 'lzop -dc'), magic: '894c5a4f000d0a1a' },
  { ...compressed('compress', 'gzip -dc'), magic: '1f9d' },
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
const KIND_BYTES = 264;

/** The kind of a file that begins with `head`; null if it is none of these. */
const kindOf = (head: Buffer): FileKind | null =>
  FILE_KINDS.find(({ magic, at = 0 }) => head.subarray(at, at + magic.length / 2).toString('hex') === magic) ?? null;

// Unpacks compressed captures while reading, and names the kinds that it cannot unpack.

export const unknownFile = (
  why: string,
  hint = 'it reads what tcpdump and Wireshark write; editcap -F pcapng FILE NEW converts other captures',
): VnetError => new VnetError('UNSUPPORTED', CAPTURE_FILE, why, { hint });

type Input = AsyncIterable<Buffer> | Iterable<Buffer>;
type Chunks = AsyncIterator<Buffer> | Iterator<Buffer>;

/**
 * The bytes of a file, unpacked for a parser. Throws a VnetError if the file is damaged or of a kind that cannot be
 * read.
 */
export async function* unpacked(input: Input): AsyncGenerator<Buffer> {
  const chunks: Chunks = Symbol.asyncIterator in input ? input[Symbol.asyncIterator]() : input[Symbol.iterator]();
  try {
    const head = await firstBytes(chunks);
    const kind = kindOf(head);
    yield* kind ? unpackedBy(kind, head, chunks) : joined(head, chunks);
  } finally {
    await chunks.return?.();
  }
}

async function* unpackedBy(kind: FileKind, head: Buffer, chunks: Chunks): AsyncGenerator<Buffer> {
  const unpack = kind.unpack?.();
  if (!unpack) throw unknownFile(`is ${kind.is}`, hintFor(kind));
  try {
    // Errors of either end arrive where the unpacked bytes are read.
    pipeline(Readable.from(joined(head, chunks)), unpack, () => undefined);
    let first = true;
    for await (const chunk of unpack as AsyncIterable<Buffer>) {
      if (first) refusePackedTwice(chunk, kind);
      first = false;
      yield chunk;
    }
  } catch (cause) {
    if (cause instanceof VnetError) throw cause;
    throw damaged(
      `is ${kind.is} and cannot be unpacked further: ${cause instanceof Error ? cause.message : String(cause)}`,
    );
  }
}

function hintFor({ unpacker }: FileKind): string {
  return unpacker === undefined
    ? 'editcap -F pcapng FILE NEW converts it'
    : `${unpacker} FILE | vnet-bpf replay - --into IFACE`;
}

function refusePackedTwice(chunk: Buffer, outer: FileKind): void {
  const kind = kindOf(chunk);
  if (kind)
    throw unknownFile(
      `is ${outer.is}, and what is in it is ${kind.is}`,
      kind.unpacker === undefined
        ? hintFor(kind)
        : `${outer.unpacker} FILE | ${kind.unpacker} | vnet-bpf replay - --into IFACE`,
    );
}

async function* joined(head: Buffer, chunks: Chunks): AsyncGenerator<Buffer> {
  if (head.length > 0) yield head;
  for (let next = await chunks.next(); !next.done; next = await chunks.next()) yield next.value;
}

/** Enough bytes to recognize the kind of file; fewer if these are a capture already, or the file ends. */
async function firstBytes(chunks: Chunks): Promise<Buffer> {
  let head: Buffer = Buffer.alloc(0);
  while (head.length < KIND_BYTES && !readerOf(head)) {
    const next = await chunks.next();
    if (next.done) break;
    head = head.length === 0 ? next.value : Buffer.concat([head, next.value]);
  }
  return head;
}

/**
 * Frames as they become readable. Those of each piece of the file are one Iterable: a promise per frame would cost more
 * than sending it.
 */
export async function* framesOf(
  input: AsyncIterable<Buffer> | Iterable<Buffer>,
): AsyncGenerator<Iterable<CapturedFrame>> {
  const files = new Files();
  for await (const chunk of unpacked(input)) {
    files.queue.push(chunk);
    yield files.frames();
  }
  files.ended = true;
  yield files.frames();
  files.requireEnd();
}

/** The files of the input, which may be joined. */
class Files implements ParserInput {
  readonly queue = new ByteQueue();
  /** Whether no more data will arrive. */
  ended = false;
  private parser: CaptureParser | null = null;

  /** The frames that can be read now. */
  *frames(): Generator<CapturedFrame> {
    for (;;) {
      this.parser ??= this.nextParser();
      const next = this.parser?.next() ?? null;
      if (next === null) return;
      if (next === ANOTHER_FILE) this.parser = null;
      else yield next;
    }
  }

  private nextParser(): CaptureParser | null {
    const { queue } = this;
    const magic = queue.peek(MAGIC_BYTES);
    if (!magic) return null;
    const reader = readerOf(magic);
    if (!reader) throw unknownFile(`is neither ${READERS.map(({ name }) => name).join(' nor ')}`);
    return reader.parser(this, magic);
  }

  beginsAnother(): boolean | null {
    const magic = this.queue.peek(MAGIC_BYTES);
    const reader = magic && readerOf(magic);
    if (!reader) return false;
    const head = this.queue.peek(HEAD_BYTES);
    return head && reader.isBeginning(head);
  }

  isBeginning(head: Buffer): boolean {
    return readerOf(head)?.isBeginning(head) ?? false;
  }

  otherKind(head: Buffer): string | null {
    return kindOf(head)?.is ?? null;
  }

  requireEnd(): void {
    const { queue } = this;
    if (!this.parser) throw unknownFile(queue.length === 0 ? 'is empty' : 'is too short');
    if (!queue.isEmpty) throw damaged(`ends at byte ${queue.taken + queue.length}, in the middle of a frame`);
  }
}

// The bytes of a capture file, a pipe or standard input, and how many have been read.

const CHUNK_BYTES = 1 << 20;
/** The name of standard input. */
export const STDIN = '-';

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EACCES: 'this user may not read it',
  EISDIR: 'is a directory',
};

export class CaptureInput implements AsyncIterable<Buffer> {
  /** Bytes read so far. */
  read = 0;

  private constructor(
    private readonly file: string,
    private readonly stream: Readable,
    /** Bytes in all; null where unknown. */
    readonly size: number | null,
  ) {}

  /** Opens a path, or `-` for standard input; waits for the writer of a named pipe. Throws a VnetError. */
  static open(file: string): CaptureInput {
    let fd = 0;
    try {
      if (file !== STDIN) fd = fs.openSync(file, 'r');
      return CaptureInput.of(file, fd);
    } catch (error) {
      if (fd > 2) fs.closeSync(fd);
      throw readError(file, error);
    }
  }

  private static of(file: string, fd: number): CaptureInput {
    const stat = fs.fstatSync(fd);
    if (stat.isDirectory()) throw Object.assign(new Error('EISDIR'), { code: 'EISDIR' });
    if (isTerminal(stat))
      throw usageError(
        file === STDIN ? 'replay -' : file,
        'is a terminal',
        'such as: zstd -dc run.pcap.zst | vnet-bpf replay - --into vnet0',
      );
    // Reading a pipe as a file would keep one of Node's threads, without which the process cannot end.
    if (isPipe(stat)) return new CaptureInput(file, pipeInput(fd), null);
    return new CaptureInput(
      file,
      fs.createReadStream(file, { fd, autoClose: fd > 2, highWaterMark: CHUNK_BYTES }),
      stat.isFile() ? stat.size : null,
    );
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    const chunks = this.stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    for (;;) {
      const next = await chunks.next().catch((error: unknown) => {
        throw readError(this.file, error);
      });
      if (next.done) return;
      this.read += next.value.length;
      yield next.value;
    }
  }

  /** Closes the input; a read in progress ends as at the end of the file. */
  close(): void {
    this.stream.destroy();
  }
}

function readError(file: string, cause: unknown): unknown {
  if (cause instanceof VnetError) return cause;
  const { code, message } = cause as NodeJS.ErrnoException;
  const why = code !== undefined && code in REASONS ? `${REASONS[code]} (${code})` : message;
  const hint =
    code === 'EISDIR' && file !== STDIN
      ? 'name a file in it, or several: cat FILE/*.pcap | vnet-bpf replay - --into IFACE'
      : `a file in ${READ_FORMATS}, such as vnet-bpf record writes`;
  return new VnetError('SYSCALL', CAPTURE_FILE, why, { hint, cause });
}
