// SPDX-License-Identifier: MIT
/** Reads the frames of a capture file, whatever its format. */
import * as fs from 'node:fs';
import type { Readable } from 'node:stream';

import { VnetError } from '../errors';
import { BLOCK } from '../recording/pcapng';
import { ByteQueue } from './byte-queue';
import { damaged, type CapturedFrame, type CaptureParser } from './captured-frame';
import { pcapKind, PcapParser } from './pcap-parser';
import { PcapngParser } from './pcapng-parser';

const CHUNK_BYTES = 1 << 20;

/** `file` is a path, or `-` for standard input. */
export function openCapture(file: string): Readable {
  if (file === '-') return process.stdin;
  try {
    return fs.createReadStream(file, { fd: fs.openSync(file, 'r'), highWaterMark: CHUNK_BYTES });
  } catch (cause) {
    throw new VnetError('SYSCALL', `capture file ${file}`, cause instanceof Error ? cause.message : String(cause), { hint: 'a file in pcapng or pcap, such as vnet-bpf record writes', cause });
  }
}

/** Frames as they can be read: those of each piece of the file in a row, for a promise for each would take longer than to send it. */
export async function* framesOf(input: AsyncIterable<Buffer> | Iterable<Buffer>): AsyncGenerator<Iterable<CapturedFrame>> {
  const queue = new ByteQueue();
  let parser: CaptureParser | null = null;
  for await (const chunk of input) {
    queue.push(chunk);
    parser ??= parserFor(queue);
    if (parser) yield ready(parser);
  }
  if (!parser) throw unknown(queue.length === 0 ? 'is empty' : 'is too short');
  if (queue.length > 0) throw damaged('ends in the middle of a frame');
}

function* ready(parser: CaptureParser): Generator<CapturedFrame> {
  for (let frame = parser.next(); frame; frame = parser.next()) yield frame;
}

function parserFor(queue: ByteQueue): CaptureParser | null {
  const magic = queue.peek(4);
  if (!magic) return null;
  if (magic.readUInt32LE() === BLOCK.sectionHeader) return new PcapngParser(queue);
  const kind = pcapKind(magic);
  if (kind) return new PcapParser(queue, kind);
  throw unknown(magic[0] === 0x1f && magic[1] === 0x8b ? 'is compressed' : 'is neither pcapng nor pcap');
}

const unknown = (why: string): VnetError => new VnetError('UNSUPPORTED', 'the capture file', why, { hint: 'zcat FILE | vnet-bpf replay - unpacks one; editcap -F pcapng converts others' });
