// SPDX-License-Identifier: MIT
/** Unpacks compressed captures on the way, and names those that it cannot. */
import { pipeline, Readable } from 'node:stream';

import { VnetError } from '../errors';
import { CAPTURE_FILE, damaged } from './captured-frame';
import { KIND_BYTES, kindOf, type FileKind } from './file-kinds';
import { isSectionHeader, pcapKind } from './pcap-parser';

export const unknownFile = (why: string, hint = 'it reads what tcpdump and Wireshark write; editcap -F pcapng FILE NEW converts other captures'): VnetError =>
  new VnetError('UNSUPPORTED', CAPTURE_FILE, why, { hint });

type Input = AsyncIterable<Buffer> | Iterable<Buffer>;

/** The bytes of a file as a parser takes them. Throws a VnetError for a kind of file that cannot be read, or that is damaged. */
export async function* unpacked(input: Input): AsyncGenerator<Buffer> {
  const chunks = chunksOf(input);
  const head = await firstBytes(chunks);
  const kind = kindOf(head);
  const whole = (async function* () {
    if (head.length > 0) yield head;
    yield* chunks;
  })();
  if (!kind) return yield* whole;
  const unpack = kind.unpack?.();
  if (!unpack) throw unknownFile(`is ${kind.is}`, hintFor(kind));
  try {
    // Errors of either end are met where the unpacked bytes are read.
    pipeline(Readable.from(whole), unpack, () => undefined);
    let first = true;
    for await (const chunk of unpack as AsyncIterable<Buffer>) {
      if (first) refusePackedTwice(chunk, kind);
      first = false;
      yield chunk;
    }
  } catch (cause) {
    if (cause instanceof VnetError) throw cause;
    throw damaged(`is ${kind.is} and cannot be unpacked further: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}

function hintFor({ unpacker }: FileKind): string {
  return unpacker === undefined ? 'editcap -F pcapng FILE NEW converts it' : `${unpacker} FILE | vnet-bpf replay - --into IFACE`;
}

function refusePackedTwice(chunk: Buffer, outer: FileKind): void {
  const kind = kindOf(chunk);
  if (kind) throw unknownFile(`is ${outer.is}, and what is in it is ${kind.is}`, kind.unpacker === undefined ? hintFor(kind) : `${outer.unpacker} FILE | ${kind.unpacker} | vnet-bpf replay - --into IFACE`);
}

async function* chunksOf(input: Input): AsyncGenerator<Buffer> {
  for await (const chunk of input) yield chunk;
}

const isCapture = (head: Buffer): boolean => head.length >= 4 && (isSectionHeader(head) || pcapKind(head) !== null);

/** Enough to see what kind of file it is; fewer bytes if these are a capture already, or there are no more. */
async function firstBytes(chunks: AsyncGenerator<Buffer>): Promise<Buffer> {
  let head: Buffer = Buffer.alloc(0);
  while (head.length < KIND_BYTES && !isCapture(head)) {
    const { value, done } = await chunks.next();
    if (done) break;
    head = head.length === 0 ? value : Buffer.concat([head, value]);
  }
  return head;
}
