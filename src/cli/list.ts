// SPDX-License-Identifier: MIT
/** `vnet-bpf list`. */
import { nothingIsAttached } from '../errors';
import { wordsOf } from '../faults/source';
import { locate } from '../lifecycle/find-attachment';
import { lostAddresses } from '../link/hairpin';
import { linkByIndex } from '../link/links';
import { netnsText, openAttachmentNetns, shownNetns } from '../link/netns-record';
import { LOOP_GROUP } from '../link/rules';
import { requirePrivileges } from '../requirements';
import {
  allAttachments,
  type Attachment,
  type BrokenAttachment,
  brokenAttachments,
  conditionOf,
  STATE_VERSION,
} from '../state/store';
import { bytes, print, printJson, table } from '../terminal/output';

/** One entry of `list --json`, and what `attach --json` prints. */
export interface AttachmentDescription {
  interface: string;
  netns: string | null;
  /** Whether its namespace is gone, and the interface with it: only its record and its pins are left. */
  netnsGone: boolean;
  ifindex: number;
  backend: string;
  attach: string;
  state: 'running' | 'detached' | 'crashed';
  pid: number;
  startedAt: string;
  queues: number;
  /** Size of each queue's ring. */
  ringBytes: number;
  queuePackets: number | null;
  budget: number;
  whenFull: string;
  addresses: string[];
  /** The hook's file. */
  hook: string | null;
  /** What happens to a frame on which a hook fails, also if there is none now. */
  onHookError: string;
  /** Why nothing passes while the thread of a hook that decides over traffic is gone. */
  hookDown: string | null;
  /** Rules of faults in words, or the file with them. */
  faults: string | null;
  metrics: string | null;
  /** `down` while `vnet-bpf carrier` or a rule of faults has taken it away. */
  carrier: 'up' | 'down';
}

/** An entry of `list --json` for an attachment whose record is damaged. */
export interface BrokenDescription {
  /** The interface's name, or its identity if the name is unknown; `detach` takes either. */
  interface: string;
  netns: string | null;
  state: 'broken';
  id: string;
  /** What is wrong with the record. */
  error: string;
}

export function describeBroken(broken: BrokenAttachment): BrokenDescription {
  const { iface, netns } = locate(broken).attachment;
  return { interface: iface, netns: netns.name, state: 'broken', id: broken.id, error: broken.why };
}

export function describeAttachment(attachment: Attachment): AttachmentDescription {
  const state = conditionOf(attachment);
  const lives = state === 'running';
  const { name, gone } = shownNetns(attachment.netns, attachment.pid);
  const decides = attachment.onHookError === 'drop';
  return {
    interface: attachment.iface,
    netns: name,
    netnsGone: gone,
    ifindex: attachment.ifindex,
    backend: attachment.backend,
    attach: attachment.attach,
    state,
    pid: attachment.pid,
    startedAt: attachment.startedAt,
    queues: attachment.queues,
    ringBytes: attachment.ringBytes,
    queuePackets: attachment.queuePackets || null,
    budget: attachment.budget,
    whenFull: attachment.whenFull,
    addresses: loopedAddresses(attachment),
    // A hook ends with its controller; the traffic that it decided over waits for another hook.
    hook: lives || decides ? attachment.hook : null,
    onHookError: attachment.onHookError,
    hookDown: lives ? attachment.hookDown : null,
    // They outlive their controller: an attach that adopts the interface puts them in place again.
    faults: wordsOf(attachment.faults),
    metrics: lives ? attachment.metrics : null,
    carrier: attachment.carrierLost ? 'down' : 'up',
  };
}

/**
 * Without those that the interface has lost, and none while it is outside of the group by which the routing rules know
 * it. Of an interface that is gone, those that were recorded.
 */
function loopedAddresses(attachment: Attachment): string[] {
  const { hairpin, ifindex, version } = attachment;
  if (!hairpin || hairpin.addresses.length === 0) return [];
  const recorded = hairpin.addresses.map(({ address }) => address);
  using netns = openAttachmentNetns(attachment);
  const link = netns?.run(() => linkByIndex(ifindex));
  if (!netns || !link) return recorded;
  // Another version may have looped by other rules.
  if (version === STATE_VERSION && link.group !== LOOP_GROUP) return [];
  const lost = netns.run(() => lostAddresses(ifindex, hairpin));
  return recorded.filter((address) => !lost.has(address));
}

/** What judges the frames, for the table. */
function judgeText({ faults, hook, hookDown }: AttachmentDescription): string {
  const judge = faults === null ? hook : 'faults';
  return judge === null ? '-' : `${judge}${hookDown === null ? '' : ' (down)'}`;
}

export function listCommand(args: { json: boolean }): void {
  requirePrivileges();
  const entries = allAttachments().map(describeAttachment);
  const broken = brokenAttachments().map(describeBroken);
  if (args.json) return printJson([...entries, ...broken]);
  if (entries.length + broken.length === 0) return print(nothingIsAttached());
  const rows = entries.map((entry) => [
    entry.interface,
    netnsText({ name: entry.netns, gone: entry.netnsGone }) ?? '-',
    entry.carrier === 'up' ? entry.state : `${entry.state}, no carrier`,
    String(entry.pid),
    `${entry.backend}/${entry.attach}`,
    bytes(entry.ringBytes),
    entry.addresses.join(' ') || '-',
    judgeText(entry),
  ]);
  const brokenRows = broken.map((entry) => [
    entry.interface,
    entry.netns ?? '-',
    entry.state,
    '-',
    '-',
    '-',
    '-',
    entry.error,
  ]);
  print(
    ...table([
      ['INTERFACE', 'NETNS', 'STATE', 'PID', 'BACKEND', 'RING', 'LOOPED ADDRESSES', 'HOOK'],
      ...rows,
      ...brokenRows,
    ]),
  );
}
