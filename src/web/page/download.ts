// SPDX-License-Identifier: MIT
/**
 * A file of the frames that the page shows, with what became of each, written as `record` writes it. It is made in the
 * page: so it has exactly what is shown, even after the server has gone, and the server keeps no frames for it.
 */
import { blockOf } from '../../capture/buffers';
import type { Stamp } from '../../capture/contract';
import { PcapngWriter } from '../../capture/pcapng-writer';
import { printable } from '../../printable';
import type { FrameSeen } from '../protocol';
import { bytesOf } from './fields';

export interface Shown {
  interface: string;
  version: string;
  /** In tcpdump's syntax; '' for all. */
  filter: string;
  /** Frames that the server has left out. */
  missed: number;
}

/** Bytes that the server sends of a frame at most. */
const SNAP_BYTES = 256;

/** Milliseconds since 1970 as nanoseconds, in two halves. They are exact to a microsecond. */
function stampOf(ms: number): Stamp {
  const nanoseconds = BigInt(Math.round(ms * 1000)) * 1000n;
  return { high: Number(nanoseconds >> 32n), low: Number(nanoseconds & 0xffffffffn) };
}

/** Comments have only ASCII, as those of the server do already. */
const ascii = (text: string): string => printable(text).replace(/[^\x20-\x7e]/g, '?');

export function pcapngOf(
  frames: readonly FrameSeen[],
  { interface: name, version, filter, missed }: Shown,
): Uint8Array {
  const writer = new PcapngWriter();
  writer.begin({
    application: `vnet-bpf ${version} web`,
    os: 'Linux',
    interface: printable(name),
    description: `frames that ${printable(name)} transmits, as its page has shown them`,
    snapLen: SNAP_BYTES,
    filter: filter === '' ? undefined : filter,
  });
  for (const frame of frames) {
    const captured = bytesOf(frame.bytes);
    // The writer copies whole words.
    const bytes = new Uint8Array((captured.length + 3) & ~3);
    bytes.set(captured);
    writer.packet({
      ...stampOf(frame.time),
      length: frame.length,
      block: blockOf(bytes),
      at: 0,
      captured: captured.length,
      comment: ascii(frame.outcome),
    });
  }
  const [first, last] = [frames[0], frames.at(-1)];
  if (first && last) {
    // The page numbers all that it has got; the oldest of them it no longer has.
    const received = last.number + missed;
    writer.statistics({
      start: stampOf(first.time),
      end: stampOf(last.time),
      received,
      dropped: received - frames.length,
      delivered: frames.length,
      comment: `${received - frames.length} frames are not in this file: the page did not get them, or shows them no longer`,
    });
  }
  return writer.out.take();
}

/** `vnet0-20261130-221500.pcapng`, by the time of the last frame, in UTC. */
export function fileNameFor(name: string, frames: readonly FrameSeen[]): string {
  const time = new Date(frames.at(-1)?.time ?? 0).toISOString();
  const [date, clock] = [time.slice(0, 10), time.slice(11, 19)].map((part) => part.replace(/\D/g, ''));
  return `${name.replace(/[^\w.-]+/g, '-')}-${date}-${clock}.pcapng`;
}
