// SPDX-License-Identifier: MIT
/**
 * The comment of a recorded frame: what happened to it in the loop, and its virtio_net_hdr. The recorder writes it, and
 * replay reads it.
 */
import { OUTCOME, POLLER_REFUSALS } from '../datapath/outcomes';
import { GSO_UDP_L4, NEEDS_CSUM, REFUSALS as TX_REFUSALS, VNET, VNET_HDR_BYTES } from '../layout';
import { VIRTIO_PREFIX } from './contract';
import type { RecordedFrame } from './trace-ring';

// A comment has the frame's struct virtio_net_hdr (include/uapi/linux/virtio_net.h), which is not among its bytes.

export { VIRTIO_PREFIX };

export interface VirtioNetHeader {
  needsChecksum: boolean;
  gsoType: number;
  gsoSize: number;
  checksumStart: number;
}

export function parseVirtioNetHeader(header: Uint8Array): VirtioNetHeader {
  const view = new DataView(header.buffer, header.byteOffset, header.length);
  return {
    needsChecksum: (view.getUint8(VNET.flags) & NEEDS_CSUM) !== 0,
    gsoType: view.getUint8(VNET.gsoType),
    gsoSize: view.getUint16(VNET.gsoSize, true),
    checksumStart: view.getUint16(VNET.checksumStart, true),
  };
}

const IN_COMMENT = new RegExp(`(?:^|[\\s;])${VIRTIO_PREFIX}([0-9a-f]{${2 * VNET_HDR_BYTES}})(?![0-9a-f])`);

/** The virtio_net_hdr in a comment; null if there is none. */
export function virtioNetHeaderOf(comment: string): Uint8Array | null {
  const hex = IN_COMMENT.exec(comment)?.[1];
  return hex === undefined ? null : Uint8Array.from(Buffer.from(hex, 'hex'));
}

// Where the payload of a superpacket begins.

const UDP_BYTES = 8;
const TCP_DATA_OFFSET = 12;

/** Bytes of all headers of a superpacket, whose partial checksum says where the last header begins. */
export function headerBytes(virtioNetHeader: Uint8Array, frame: Uint8Array): number {
  const { gsoType, checksumStart } = parseVirtioNetHeader(virtioNetHeader);
  if (gsoType === GSO_UDP_L4) return checksumStart + UDP_BYTES;
  return checksumStart + ((frame[checksumStart + TCP_DATA_OFFSET] ?? 0x50) >> 4) * 4;
}

/**
 * The comment, such as: `captured, held for 1.234 ms, reinjected after 0.087 ms; superpacket of 3 segments of 1448
 * bytes`, or `captured, dropped by faults after 0.087 ms; rule 1: udp port 53 nth 2: drop`. `rules`: the rules of faults
 * that did something to it.
 */
export function commentOf(frame: RecordedFrame, rules: readonly string[] = []): string {
  const way = [wayOf(frame), ...rules].join('; ');
  if (!frame.hasVirtioNetHeader) return way;
  const { virtioNetHeader: header } = frame;
  const { needsChecksum, gsoType, gsoSize } = parseVirtioNetHeader(header);
  const kinds: string[] = [];
  if (gsoType !== 0) {
    const segments = Math.max(1, Math.ceil((frame.length - headerBytes(header, frame.bytes)) / gsoSize));
    kinds.push(`superpacket of ${segments} segments of ${gsoSize} bytes`);
  }
  if (needsChecksum) kinds.push('partial checksum');
  return [way, ...kinds, VIRTIO_PREFIX + Buffer.from(header).toString('hex')].join('; ');
}

function wayOf(frame: RecordedFrame): string {
  const { ending, held, releasedAt, time } = frame;
  if (ending === 'refused') {
    const refused = `refused: ${TX_REFUSALS[frame.reason] ?? `reason ${frame.reason}`}`;
    return held ? `held for ${ms(releasedAt - time)}, then ${refused}` : refused;
  }
  if (frame.inRoom)
    return `held, ${ending === 'lost' ? 'when it was let out is not known: lost in the waiting room, or missed' : 'still waiting when the recording ended'}`;
  const before = held ? `captured, held for ${ms(releasedAt - time)}` : 'captured';
  if (ending === 'open') return `${before}, still in the queue when the recording ended`;
  if (ending !== 'told') return `${before}, what became of it was missed`;
  return `${before}, ${outcomeOf(frame)} after ${ms(frame.endedAt - (held ? releasedAt : time))}`;
}

/** The unit of the detail of OUTCOME.delayed, in nanoseconds. */
const NS_PER_DETAIL = 100_000;

function outcomeOf({ outcome, detail, faults }: RecordedFrame): string {
  const by = faults === null ? 'the hook' : 'faults';
  switch (outcome) {
    case OUTCOME.reinjected:
      return detail > 1 ? `reinjected with ${detail - 1} other${detail === 2 ? '' : 's'} as one packet` : 'reinjected';
    case OUTCOME.dropped:
      return `dropped by ${by}`;
    case OUTCOME.changed:
      return `changed by ${by} and reinjected`;
    case OUTCOME.segmented:
      return `cut by ${by}, ${detail} pieces reinjected`;
    case OUTCOME.delayed:
      return `delayed by ${by} for ${((detail * NS_PER_DETAIL) / 1e6).toFixed(1)} ms`;
    default:
      return refusedOnReinjectPath(outcome) ?? `outcome ${outcome}`;
  }
}

/** The same in a word, for a frame whose end is known; `unknown` otherwise. */
export function kindOf({ ending, outcome }: RecordedFrame): 'passed' | 'dropped' | 'changed' | 'delayed' | 'unknown' {
  if (ending === 'refused') return 'dropped';
  if (ending !== 'told') return 'unknown';
  if (outcome === OUTCOME.reinjected) return 'passed';
  if (outcome === OUTCOME.changed || outcome === OUTCOME.segmented) return 'changed';
  return outcome === OUTCOME.delayed ? 'delayed' : 'dropped';
}

/** Milliseconds from when a frame was sent to when it arrives; null if it does not, or if that is not known. */
export function tookOf(frame: RecordedFrame): number | null {
  const kind = kindOf(frame);
  if (kind === 'dropped' || kind === 'unknown') return null;
  const delayed = kind === 'delayed' ? frame.detail * NS_PER_DETAIL : 0;
  return Math.max(0, frame.endedAt - frame.time + delayed) / 1e6;
}

function refusedOnReinjectPath(outcome: number): string | null {
  const refusal = POLLER_REFUSALS.find((row) => row.outcome === outcome);
  return refusal ? `refused on the reinject path (${refusal.name})` : null;
}

/** Milliseconds, never negative: both ends may come from CPUs whose clocks differ by less than is shown. */
const ms = (nanoseconds: number): string => `${(Math.max(0, nanoseconds) / 1e6).toFixed(3)} ms`;
