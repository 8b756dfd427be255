// SPDX-License-Identifier: MIT
/** Where a program stands among the others of a device: TCX and netkit (Linux 6.6). */
import { integer } from './border';
import type { LinkRequest } from './bpf-call';
import { UsageError } from './errors';

/** Another program or link, which has an id. */
interface Neighbour {
  readonly id: number;
  /** Only programs have it. */
  readonly tag?: string;
}

/** One of `before`, `after`, `first` and `last`; behind all others unless given. */
export interface Anchor {
  /** A program or link of the same place: this one runs before it. */
  readonly before?: Neighbour;
  readonly after?: Neighbour;
  /** Before all others. */
  readonly first?: boolean;
  /** Behind all others. */
  readonly last?: boolean;
  /** Refused with ESTALE if the place has changed since it had this revision. */
  readonly expectedRevision?: number;
}

/** BPF_F_BEFORE, BPF_F_AFTER, BPF_F_ID and BPF_F_LINK (include/uapi/linux/bpf.h). */
const FLAG = { before: 1 << 3, after: 1 << 4, id: 1 << 5, link: 1 << 13 } as const;

/** Whether an anchor asks for anything. */
export const isAnchored = ({ before, after, first, last, expectedRevision }: Anchor): boolean =>
  [before, after, expectedRevision].some((one) => one !== undefined) || first === true || last === true;

/** The part of a request to create a link that an anchor is; throws UsageError if it contradicts itself. */
export function anchored(operation: string, anchor: Anchor): Pick<LinkRequest, 'flags' | 'details'> {
  const { before, after, first, last, expectedRevision = 0 } = anchor;
  if ([before !== undefined, after !== undefined, first === true, last === true].filter(Boolean).length > 1)
    throw new UsageError(operation, 'only one of before, after, first and last says where');
  const neighbour = before ?? after;
  const side =
    before !== undefined || first === true ? FLAG.before : after !== undefined || last === true ? FLAG.after : 0;
  const kind = neighbour === undefined ? 0 : neighbour.tag === undefined ? FLAG.id | FLAG.link : FLAG.id;
  const revision = integer(operation, 'expectedRevision', expectedRevision, 0, Number.MAX_SAFE_INTEGER);
  return {
    flags: side | kind,
    details: (attributes, at) =>
      attributes
        .setU32(at, neighbour === undefined ? 0 : integer(operation, 'id', neighbour.id, 1, 0xffff_ffff))
        .setU64(at + 8, revision),
  };
}
