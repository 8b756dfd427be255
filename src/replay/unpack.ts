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
type Chunks = AsyncIterator<Buffer> | Iterator<Buffer>;

/** The bytes of a file as a parser takes them. Throws a VnetError for a kind of file that cannot be read, or that is damaged. */
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
    // Errors of either end are met where the unpacked bytes are read.
    pipeline(Readable.from(joined(head, chunks)), unpack, () => undefined);
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

async function* joined(head: Buffer, chunks: Chunks): AsyncGenerator<Buffer> {
  if (head.length > 0) yield head;
  for (let next = await chunks.next(); !next.done; next = await chunks.next()) yield next.value;
}

const isCapture = (head: Buffer): boolean => head.length >= 4 && (isSectionHeader(head) || pcapKind(head) !== null);

/** Enough to see what kind of file it is; fewer bytes if these are a capture already, or there are no more. */
async function firstBytes(chunks: Chunks): Promise<Buffer> {
  let head: Buffer = Buffer.alloc(0);
  while (head.length < KIND_BYTES && !isCapture(head)) {
    const next = await chunks.next();
    if (next.done) break;
    head = head.length === 0 ? next.value : Buffer.concat([head, next.value]);
  }
  return head;
}
