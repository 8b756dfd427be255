// SPDX-License-Identifier: MIT
/**
 * What can be known of an attachment whose record is damaged: its identity is in the names of its peer and its pins,
 * and the peer's other end is the interface. Fields of the record that are sound say the rest.
 */
import { loopTable } from '../link/loop-rules';
import { linkByName, type Link } from '../link/links';
import { netnsFiles, netnsName, recordNetns } from '../link/netns-record';
import { otherEnd } from '../link/netns-id';
import { openPeerNetns } from '../link/peer-netns';
import { peerName } from '../link/veth';
import type { NetnsRecord } from '../state/record';
import { STATE_VERSION, type Attachment, type BrokenAttachment } from '../state/store';

export interface Located {
  /** For teardown, and to be named by: what is unknown is such that nothing is removed for its sake. */
  attachment: Attachment;
  /** Whether the kernel told where it is, or a sound part of the record. */
  located: boolean;
}

/** The namespace of nobody. */
const NOWHERE: NetnsRecord = { name: null, inode: 0, cookie: null, boot: null };

/** Of an attachment of which nothing is known but its identity. */
const unknown = (id: string): Attachment => ({
  version: STATE_VERSION,
  id,
  phase: 'detaching',
  iface: id,
  ifindex: 0,
  // An interface that may have been there before is left.
  taken: { wasUp: true, addresses: [], sysctls: {}, group: null },
  added: [],
  netns: NOWHERE,
  backend: 'veth',
  peer: null,
  reinjectMark: 0,
  rooms: [],
  attach: 'tcx',
  links: null,
  pid: 0,
  startedAt: '',
  queues: 1,
  superpacketBytes: 0,
  ringBytes: 0,
  queuePackets: 0,
  lowWatermarkBytes: 0,
  lowWatermarkPackets: 0,
  budget: 0,
  gro: false,
  busyPollUs: null,
  whenFull: 'drop',
  hook: null,
  onHookError: null,
  hookDown: null,
  baseline: { peerTxPackets: 0 },
  hairpin: null,
  impairment: null,
  lostByChange: { down: 0, toolong: 0 },
  metrics: null,
});

export function locate({ id, sound }: BrokenAttachment): Located {
  const { links: _links, ...rest } = sound;
  const recorded: Attachment = { ...unknown(id), ...rest, id };
  const found = interfaceOf(id);
  const ifindex = found?.link.ifindex ?? recorded.ifindex;
  const attachment: Attachment = {
    ...recorded,
    ...(found && { iface: found.link.name, ifindex, netns: found.netns, backend: 'veth', peer: found.peer, taken: null }),
    // Rules are known by the interface's table: teardown looks for them in the kernel.
    hairpin: ifindex > 0 ? { addresses: [], table: loopTable(ifindex) } : null,
    links: recorded.backend === 'dummy' ? (sound.links ?? null) : null,
  };
  return { attachment, located: found !== null || sound.netns !== undefined };
}

/** The interface of an attachment by its peer; null if that is gone, or the namespace is not to be found. */
function interfaceOf(id: string): { link: Link; netns: NetnsRecord; peer: { name: string; ifindex: number } } | null {
  using home = openPeerNetns();
  const peer = home?.run(() => linkByName(peerName(id)));
  const found = home && peer && otherEnd(home, peer, netnsFiles());
  if (!found) return null;
  using netns = found.netns;
  const record = recordNetns(netns, null);
  return { link: found.link, netns: { ...record, name: netnsName(record) }, peer: { name: peer.name, ifindex: peer.ifindex } };
}
