// SPDX-License-Identifier: MIT
/**
 * Reads the classic format of tcpdump (draft-ietf-opsawg-pcap): microseconds or nanoseconds, in either byte order, in
 * its old versions, and with the longer record headers of patched libpcaps (wiretap/libpcap.c of Wireshark).
 */
import type { ByteQueue } from './buffers';
import {
  ANOTHER_FILE,
  type CapturedFrame,
  type CaptureParser,
  type CaptureReader,
  damaged,
  FRAME_BYTES_MAX,
  HEAD_BYTES,
  NO_BYTES,
  NO_COMMENTS,
  type ParserInput,
  withoutFcs,
} from './contract';

const FILE_HEADER_BYTES = 24;
const RECORD_HEADER_BYTES = 16;
/** Bytes of the longest record; a longer one is not a frame, and the file is damaged. */
const RECORD_BYTES_MAX = 64 << 20;

/** Seconds, some years of them: frames of one capture are no further apart. */
const SECONDS_APART = 2 ** 28;

/** The layout of a file, by the magic number in its header. */
const MAGICS = {
  /** Also the number of Nokia's format and of Red Hat 6.1, which have longer record headers but did not change it. */
  [0xa1b2c3d4]: { perSecond: 1_000_000n, recordHeaders: [RECORD_HEADER_BYTES, 20, 24] },
  [0xa1b23c4d]: { perSecond: 1_000_000_000n, recordHeaders: [RECORD_HEADER_BYTES] },
  /** Alexey Kuznetsov's format, and that of SuSE 6.3. */
  [0xa1b2cd34]: { perSecond: 1_000_000n, recordHeaders: [24, 28] },
} as const;

interface PcapKind {
  little: boolean;
  /** Units of a timestamp in a second. */
  perSecond: bigint;
  /** Possible lengths of a record's header, in bytes. */
  recordHeaders: readonly number[];
}

/** The kind of pcap file by its first four bytes; null for another format. */
function pcapKind(head: Buffer): PcapKind | null {
  for (const little of [true, false]) {
    const magic = little ? head.readUInt32LE() : head.readUInt32BE();
    if (magic in MAGICS) return { little, ...MAGICS[magic as keyof typeof MAGICS] };
  }
  return null;
}

/** Whether a file header begins here; no record has such numbers. */
function isFileHeader(head: Buffer): boolean {
  const kind = pcapKind(head);
  if (!kind) return false;
  const [major, minor] = kind.little
    ? [head.readUInt16LE(4), head.readUInt16LE(6)]
    : [head.readUInt16BE(4), head.readUInt16BE(6)];
  return major === 2 && minor <= 4 && head.readUInt32LE(8) === 0 && head.readUInt32LE(12) === 0;
}

export const pcapReader: CaptureReader = {
  recognizes: (magic) => pcapKind(magic) !== null,
  isBeginning: isFileHeader,
  parser: (input, magic) => new PcapParser(input, pcapKind(magic) as PcapKind),
};

class PcapParser implements CaptureParser {
  private started = false;
  private linkType = 0;
  private fcsBytes = 0;
  /** Whether both lengths of a frame may be swapped, as in files older than version 2.4 (sf-pcap.c of libpcap). */
  private swapped: 'always' | 'perhaps' | 'never' = 'never';
  private perSecond: bigint;
  /** Length of a record's header; null until the second record has been seen. */
  private recordHeader: number | null;
  private readonly queue: ByteQueue;

  constructor(
    private readonly input: ParserInput,
    private readonly kind: PcapKind,
  ) {
    this.queue = input.queue;
    this.perSecond = kind.perSecond;
    this.recordHeader = kind.recordHeaders.length === 1 ? (kind.recordHeaders[0] as number) : null;
  }

  next(): CapturedFrame | typeof ANOTHER_FILE | null {
    if (!this.started && !this.begin()) return null;
    const { queue } = this;
    const another = this.input.beginsAnother();
    if (another) return ANOTHER_FILE;
    if (another === null && !this.input.ended) return null;
    const header = (this.recordHeader ??= this.findRecordHeader());
    if (header === null) return null;
    const head = queue.peek(header);
    if (!head) return null;
    const { captured, length } = this.lengthsAt(head, 0);
    if (captured > RECORD_BYTES_MAX) {
      const kind = this.input.otherKind(head);
      throw damaged(
        kind !== null
          ? `goes on at byte ${queue.taken} with what is ${kind}`
          : `says at byte ${queue.taken} that a frame has ${captured} bytes`,
      );
    }
    const seconds = this.u32(head, 0);
    const time = BigInt(seconds) * 1_000_000_000n + (BigInt(this.u32(head, 4)) * 1_000_000_000n) / this.perSecond;
    const frame: CapturedFrame = {
      linkType: this.linkType,
      time,
      length,
      captured,
      bytes: NO_BYTES,
      comments: NO_COMMENTS,
    };
    if (captured > FRAME_BYTES_MAX) {
      queue.discard(header + captured);
      return frame;
    }
    const record = queue.peek(header + captured);
    if (!record) return null;
    queue.skip(record.length);
    frame.bytes = record.subarray(header);
    return withoutFcs(frame, this.fcsBytes);
  }

  private begin(): boolean {
    const header = this.queue.peek(FILE_HEADER_BYTES);
    if (!header) return false;
    const minor = this.kind.little ? header.readUInt16LE(6) : header.readUInt16BE(6);
    const type = this.u32(header, 20);
    this.linkType = type & 0xffff;
    this.fcsBytes = fcsBytesOf(type);
    if (minor < 3) this.swapped = 'always';
    else if (minor === 3) this.swapped = 'perhaps';
    if (minor === 2 && this.linkType === AIX_ETHERNET) {
      this.linkType = 1;
      this.perSecond = 1_000_000_000n;
      this.swapped = 'never';
    }
    this.queue.skip(FILE_HEADER_BYTES);
    return (this.started = true);
  }

  /** The first length with which a second record follows the first; null if more bytes are needed to tell. */
  private findRecordHeader(): number | null {
    const { queue } = this;
    const candidates = this.kind.recordHeaders;
    const shortest = candidates[0] as number;
    const first = queue.peek(RECORD_HEADER_BYTES);
    if (!first) return this.input.ended ? shortest : null;
    const { captured } = this.lengthsAt(first, 0);
    if (captured > FRAME_BYTES_MAX) return shortest;
    const seconds = this.u32(first, 0);
    for (const header of candidates) {
      const end = header + captured;
      const seen = queue.peek(end + HEAD_BYTES) ?? (this.input.ended ? queue.peek(queue.length) : null);
      if (!seen) return null;
      if (
        seen.length === end ||
        (seen.length > end && this.goesOn(seen.subarray(end), header === shortest ? null : seconds))
      )
        return header;
    }
    return shortest;
  }

  /**
   * Whether a record or another file begins here; given the time of the record before, the record must be plausible.
   */
  private goesOn(bytes: Buffer, before: number | null): boolean {
    if (bytes.length >= HEAD_BYTES && (this.input.isBeginning(bytes) || this.input.otherKind(bytes) !== null))
      return true;
    if (bytes.length < RECORD_HEADER_BYTES) return false;
    const { captured, length } = this.lengthsAt(bytes, 0);
    if (captured > FRAME_BYTES_MAX || this.u32(bytes, 4) >= this.perSecond) return false;
    return (
      before === null || (captured > 0 && captured <= length && Math.abs(this.u32(bytes, 0) - before) < SECONDS_APART)
    );
  }

  private lengthsAt(bytes: Buffer, at: number): { captured: number; length: number } {
    const [captured, length] = [this.u32(bytes, at + 8), this.u32(bytes, at + 12)];
    const swap = this.swapped === 'always' || (this.swapped === 'perhaps' && captured > length);
    return swap ? { captured: length, length: captured } : { captured, length };
  }

  private u32(bytes: Buffer, at: number): number {
    return this.kind.little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at);
  }
}

/** IFT_ETHER, which AIX writes in place of a link type. */
const AIX_ETHERNET = 6;

/**
 * Bytes of the frame check sequence after each frame; the upper bits of the link type have its length in 16-bit words.
 */
function fcsBytesOf(linkType: number): number {
  const words = (linkType & 0x04000000) === 0 ? 0 : linkType >>> 28;
  // Ethernet's sequence has 4 bytes; a writer that says 4 words means bytes.
  return words === 4 ? 4 : words * 2;
}
