// SPDX-License-Identifier: MIT
/** Reads the frames of a capture file: of whatever format, packed or not, alone or behind others. */
import { ByteQueue } from './byte-queue';
import { ANOTHER_FILE, damaged, type CapturedFrame, type CaptureParser } from './captured-frame';
import { unknownFile, unpacked } from './unpack';
import { isSectionHeader, pcapKind, PcapParser } from './pcap-parser';
import { PcapngParser } from './pcapng-parser';

/** Frames as they can be read: those of each piece of the file in a row, for a promise for each would take longer than to send it. */
export async function* framesOf(input: AsyncIterable<Buffer> | Iterable<Buffer>): AsyncGenerator<Iterable<CapturedFrame>> {
  const files = new Files();
  for await (const chunk of unpacked(input)) {
    files.queue.push(chunk);
    yield files.frames();
  }
  files.ended = true;
  yield files.frames();
  files.requireEnd();
}

/** The files that come one behind the other. */
class Files {
  readonly queue = new ByteQueue();
  /** Nothing more is to come. */
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
    const magic = queue.peek(4);
    if (!magic) return null;
    const ended = (): boolean => this.ended;
    if (isSectionHeader(magic)) return new PcapngParser(queue, ended);
    const kind = pcapKind(magic);
    if (!kind) throw unknownFile('is neither pcapng nor pcap');
    return new PcapParser(queue, kind, ended);
  }

  requireEnd(): void {
    const { queue } = this;
    if (!this.parser) throw unknownFile(queue.length === 0 ? 'is empty' : 'is too short');
    if (!queue.isEmpty) throw damaged(`ends at byte ${queue.taken + queue.length}, in the middle of a frame`);
  }
}
