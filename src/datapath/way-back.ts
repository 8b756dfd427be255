// SPDX-License-Identifier: MIT
/** What became of the frames that the socket took: the interface received them, or why it did not. */
import { readNetem } from '../link/netem';
import { openPeerNetns } from '../link/peer-netns';
import { transmittedFramesOf } from '../link/links';
import type { Attachment, ImpairmentRecord } from '../state/store';

export interface WayBack {
  /** Did not come to the interface, though it was up and large enough: did not fit into the receiving CPU's backlog. */
  backlog: number;
  /** Of `vnet-bpf impair`: in its qdisc now, lost there, and received more often than sent. */
  impair: { waiting: number; lost: number; duplicated: number };
}

/** What netem says of itself; null where there is none. */
export type NetemReading = ReturnType<typeof readNetem>;

/** What one netem has dropped for good: not what it had no room for, which the poller sends again. */
export const netemLosses = ({ drops }: { drops: number }, record: ImpairmentRecord, enobufs: number): number => Math.max(0, drops - (enobufs - record.enobufs));

/**
 * Before Linux 6.6 veth does not report to the sender what does not fit into a backlog, it only leaves it out of the
 * peer's TX. Behind netem no kernel does, and what it drops, duplicates, or takes along when it is removed is not in
 * that TX either. So the sum is what the counters leave, and netem's own counter says how much of it are losses.
 */
export function judgeWayBack(sent: number, delivered: number, record: ImpairmentRecord | null, netem: NetemReading, enobufs: number): WayBack {
  if (!record) return { backlog: Math.max(0, sent - delivered), impair: { waiting: 0, lost: 0, duplicated: 0 } };
  const waiting = netem?.waiting ?? 0;
  const missing = sent - delivered - waiting - record.backlog;
  const lost = Math.max(missing, record.lost + (netem ? netemLosses(netem, record, enobufs) : 0));
  return { backlog: record.backlog, impair: { waiting, lost, duplicated: lost - missing } };
}

/** A frame that netem lets go between the two readings would be neither waiting nor delivered: then they are read again. */
const READINGS = 8;

/** Reads it in the kernel, without what is lost by a change of the link; `taken` and `enobufs` have to be read before. A dummy counts nothing there. */
export function readWayBack({ peer: end, impairment, baseline, lostByChange }: Attachment, taken: number, enobufs: number): WayBack {
  const sent = taken - lostByChange.down - lostByChange.toolong;
  using netns = end && openPeerNetns();
  if (!end || !netns) return judgeWayBack(sent, sent, null, null, enobufs);
  return netns.run(() => {
    let delivered = transmittedFramesOf(end.ifindex);
    let netem: NetemReading = null;
    for (let reading = 0; impairment?.words && reading < READINGS; reading++) {
      netem = readNetem(end.name);
      const before = delivered;
      delivered = transmittedFramesOf(end.ifindex);
      if (delivered === before) break;
    }
    if (delivered === null) return judgeWayBack(sent, sent, null, null, enobufs);
    return judgeWayBack(sent, delivered - baseline.peerTxPackets, impairment, netem, enobufs);
  });
}
