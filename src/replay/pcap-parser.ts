// SPDX-License-Identifier: MIT
/** The classic format, of tcpdump: microseconds or nanoseconds, in either byte order (draft-ietf-opsawg-pcap). */
import type { ByteQueue } from './byte-queue';
import { damaged, requireEthernet, type CapturedFrame, type CaptureParser } from './captured-frame';

const FILE_HEADER_BYTES = 24;
const FRAME_HEADER_BYTES = 16;
/** MAXIMUM_SNAPLEN of libpcap. */
const FRAME_BYTES_MAX = 262144;
const NONE: readonly string[] = [];

const MAGIC = { microseconds: 0xa1b2c3d4, nanoseconds: 0xa1b23c4d } as const;

/** What the first four bytes say; null if they are of another format. */
export function pcapKind(magic: Buffer): { little: boolean; perSecond: bigint } | null {
  for (const little of [true, false]) {
    const number = little ? magic.readUInt32LE() : magic.readUInt32BE();
    if (number === MAGIC.microseconds) return { little, perSecond: 1_000_000n };
    if (number === MAGIC.nanoseconds) return { little, perSecond: 1_000_000_000n };
  }
  return null;
}

export class PcapParser implements CaptureParser {
  private started = false;

  constructor(
    private readonly queue: ByteQueue,
    private readonly kind: NonNullable<ReturnType<typeof pcapKind>>,
  ) {}

  next(): CapturedFrame | null {
    if (!this.started && !this.begin()) return null;
    const { queue } = this;
    const header = queue.peek(FRAME_HEADER_BYTES);
    if (!header) return null;
    const captured = this.u32(header, 8);
    if (captured > FRAME_BYTES_MAX) throw damaged(`says that a frame has ${captured} bytes`);
    const record = queue.peek(FRAME_HEADER_BYTES + captured);
    if (!record) return null;
    queue.skip(record.length);
    const time = BigInt(this.u32(record, 0)) * 1_000_000_000n + (BigInt(this.u32(record, 4)) * 1_000_000_000n) / this.kind.perSecond;
    return { time, length: this.u32(record, 12), bytes: record.subarray(FRAME_HEADER_BYTES), comments: NONE };
  }

  private begin(): boolean {
    const header = this.queue.peek(FILE_HEADER_BYTES);
    if (!header) return false;
    // The upper bits say whether there is a checksum behind each frame, and how long it is.
    requireEthernet(this.u32(header, 20) & 0xffff);
    this.queue.skip(FILE_HEADER_BYTES);
    return (this.started = true);
  }

  private u32(bytes: Buffer, at: number): number {
    return this.kind.little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at);
  }
}
