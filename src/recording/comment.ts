// SPDX-License-Identifier: MIT
/** What a recording says of a frame: how its way through the loop went, and what no byte of it shows. */
import { FATE } from '../datapath/fates';
import { REFUSALS } from '../datapath/layout';
import { headerBytes } from './headers';
import type { RecordedFrame } from './recorded-frame';
import { parseVirtioNetHeader, VIRTIO_PREFIX } from './virtio-net-header';

/** Such as: `captured, held for 1.234 ms, reinjected after 0.087 ms; superpacket of 3 segments of 1448 bytes`. */
export function commentOf(frame: RecordedFrame): string {
  const way = wayOf(frame);
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
    const refused = `refused: ${REFUSALS[frame.reason] ?? `reason ${frame.reason}`}`;
    return held ? `held for ${ms(releasedAt - time)}, then ${refused}` : refused;
  }
  if (frame.inRoom) return `held, ${ending === 'lost' ? 'when it was let out is not known: lost in the waiting room, or missed' : 'still waiting when the recording ended'}`;
  const before = held ? `captured, held for ${ms(releasedAt - time)}` : 'captured';
  if (ending === 'open') return `${before}, still in the queue when the recording ended`;
  if (ending !== 'told') return `${before}, what became of it was missed`;
  return `${before}, ${fateOf(frame)} after ${ms(frame.endedAt - (held ? releasedAt : time))}`;
}

function fateOf({ fate, detail }: RecordedFrame): string {
  switch (fate) {
    case FATE.reinjected:
      return detail > 1 ? `reinjected with ${detail - 1} other${detail === 2 ? '' : 's'} as one packet` : 'reinjected';
    case FATE.refusedToolong:
      return 'refused on the way back (toolong)';
    case FATE.refusedInvalid:
      return 'refused on the way back (invalid)';
    case FATE.refusedDown:
      return 'refused on the way back (down)';
    case FATE.refusedError:
      return 'refused on the way back (error)';
    case FATE.dropped:
      return 'dropped by the hook';
    case FATE.changed:
      return 'changed by the hook and reinjected';
    case FATE.cut:
      return `cut by the hook, ${detail} pieces reinjected`;
    default:
      return `fate ${fate}`;
  }
}

/** The two ends may be of two CPUs, whose clocks differ by less than shows. */
const ms = (nanoseconds: number): string => `${(Math.max(0, nanoseconds) / 1e6).toFixed(3)} ms`;
