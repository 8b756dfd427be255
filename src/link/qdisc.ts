// SPDX-License-Identifier: MIT
/** The queueing disciplines of an interface of the calling thread's network namespace. */
import { linkByName } from './links';
import { askAll, attributesOf, textOf } from './rtnetlink';

const RTM_GETQDISC = 38;
/** struct tcmsg: family, ifindex, handle, parent, info. */
const TC_BYTES = 20;
const IFINDEX_AT = 4;
const TCA_KIND = 1;
const TCA_STATS2 = 7;
/** struct gnet_stats_queue: qlen, backlog, drops, requeues, overlimits. */
const TCA_STATS_QUEUE = 3;

export interface Qdisc {
  kind: string;
  /** Frames that wait in it. */
  qlen: number;
  /** Their bytes. */
  backlog: number;
  /** Frames that it has dropped. */
  drops: number;
}

/** Those of an interface; none if there is no such interface. */
export function qdiscsOf(iface: string): Qdisc[] {
  const ifindex = linkByName(iface)?.ifindex;
  return askAll(RTM_GETQDISC, new Uint8Array(TC_BYTES)).flatMap((message) => {
    if (message.getInt32(IFINDEX_AT, true) !== ifindex) return [];
    const found = attributesOf(message, TC_BYTES);
    const stats = found.get(TCA_STATS2);
    const queue = stats && attributesOf(stats, 0).get(TCA_STATS_QUEUE);
    return [{ kind: textOf(found.get(TCA_KIND)) ?? '', qlen: queue?.getUint32(0, true) ?? 0, backlog: queue?.getUint32(4, true) ?? 0, drops: queue?.getUint32(8, true) ?? 0 }];
  });
}
