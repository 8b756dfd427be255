// SPDX-License-Identifier: MIT
/**
 * Writes pcapng, in this machine's byte order: one section with one interface, frames with comments, and statistics at
 * the end. The page of `vnet-bpf web` does so, too: nothing here needs Node.js.
 */
import { BlockBuffer } from './buffers';
import { type CaptureWriter, LINKTYPE_ETHERNET, type RecordedPacket, type Section, type Statistics } from './contract';
import { BLOCK, BLOCK_BYTES_MIN, BYTE_ORDER_MAGIC, FLAGS, OPTION } from './pcapng';

const NANOSECONDS_RESOLUTION = 9;
/** Maximum size in bytes of a frame's block without the frame, and of the statistics block. */
const FRAME_OVERHEAD_BYTES = 512;
const STATISTICS_BYTES = 512;

export class PcapngWriter implements CaptureWriter {
  readonly out = new BlockBuffer();

  begin(section: Section): void {
    this.block(BLOCK.sectionHeader, () => {
      this.out.u32(BYTE_ORDER_MAGIC);
      this.out.pair16(1, 0); // version
      this.out.u32(0xffffffff); // length of the section: not known
      this.out.u32(0xffffffff);
      this.text(OPTION.section.os, section.os);
      this.text(OPTION.section.application, section.application);
      this.endOfOptions();
    });
    this.block(BLOCK.interfaceDescription, () => {
      this.out.pair16(LINKTYPE_ETHERNET, 0);
      this.out.u32(section.snapLen);
      this.text(OPTION.interface.name, section.interface);
      this.text(OPTION.interface.description, section.description);
      this.option(OPTION.interface.resolution, new Uint8Array([NANOSECONDS_RESOLUTION]));
      // The first byte marks tcpdump's syntax.
      if (section.filter !== undefined) this.text(OPTION.interface.filter, `\0${section.filter}`);
      this.text(OPTION.interface.os, section.os);
      this.endOfOptions();
    });
  }

  packet({ high, low, length, block, at: from, captured, comment }: RecordedPacket): void {
    const { out } = this;
    const at = this.open(BLOCK.enhancedPacket);
    out.u32(0); // interface
    out.u32(high);
    out.u32(low);
    out.u32(captured);
    out.u32(length);
    out.copied(block, from, captured);
    out.pair16(OPTION.comment, comment.length);
    out.ascii(comment);
    out.pair16(OPTION.packet.flags, 4);
    out.u32(FLAGS.outbound);
    this.endOfOptions();
    this.close(at);
  }

  /** Writes a statistics block with the latest counts. */
  statistics({ start, end, received, dropped, delivered, accepted, comment }: Statistics): void {
    this.block(BLOCK.interfaceStatistics, () => {
      this.out.u32(0);
      this.out.u32(end.high);
      this.out.u32(end.low);
      this.text(OPTION.comment, comment);
      this.pair(OPTION.statistics.start, start.high, start.low);
      this.pair(OPTION.statistics.end, end.high, end.low);
      this.count(OPTION.statistics.received, received);
      this.count(OPTION.statistics.dropped, dropped);
      if (accepted !== undefined) this.count(OPTION.statistics.accepted, accepted);
      this.count(OPTION.statistics.delivered, delivered);
      this.endOfOptions();
    });
  }

  bytesFor(captured: number): number {
    return captured + FRAME_OVERHEAD_BYTES + STATISTICS_BYTES;
  }

  complete(bytes: Uint8Array): { bytes: number; frames: number } {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let [whole, frames] = [0, 0];
    while (whole + BLOCK_BYTES_MIN <= bytes.length) {
      const end = whole + view.getUint32(whole + 4, true);
      if (end > bytes.length || end < whole + BLOCK_BYTES_MIN) break;
      if (view.getUint32(whole, true) === BLOCK.enhancedPacket) frames++;
      whole = end;
    }
    return { bytes: whole, frames };
  }

  private block(type: number, body: () => void): void {
    const at = this.open(type);
    body();
    this.close(at);
  }

  private open(type: number): number {
    const at = this.out.length;
    this.out.u32(type);
    this.out.u32(0);
    return at;
  }

  /** Ends a block: its length is written both at its start and at its end. */
  private close(at: number): void {
    const length = this.out.length + 4 - at;
    this.out.patch32(at + 4, length);
    this.out.u32(length);
  }

  private option(code: number, value: Uint8Array): void {
    this.out.pair16(code, value.length);
    this.out.padded(value);
  }

  private text(code: number, value: string): void {
    this.option(code, new TextEncoder().encode(value));
  }

  /** Writes a timestamp: the high half first, in either byte order. */
  private pair(code: number, high: number, low: number): void {
    this.out.pair16(code, 8);
    this.out.u32(high);
    this.out.u32(low);
  }

  /** Writes a 64-bit integer, in this machine's byte order. */
  private count(code: number, value: number): void {
    this.pair(code, value >>> 0, Math.floor(value / 4294967296));
  }

  private endOfOptions(): void {
    this.out.u32(OPTION.end);
  }
}
