// SPDX-License-Identifier: MIT
/** `vnet-bpf list`. */
import { requirePrivileges } from '../controller/privileges';
import { netnsName } from '../link/netns';
import { allAttachments, isControlled, type Attachment } from '../state/store';
import { bytes, print, printJson, table } from './output';

/** One entry of `list --json`, and what `attach --json` prints. */
export interface AttachmentDescription {
  interface: string;
  netns: string | null;
  ifindex: number;
  backend: string;
  attach: string;
  state: 'running' | 'crashed';
  pid: number;
  startedAt: string;
  queues: number;
  /** Of each queue. */
  ringBytes: number;
  queuePackets: number | null;
  budget: number;
  whenFull: string;
  addresses: string[];
  /** The hook's file. */
  hook: string | null;
  /** What becomes of a frame over which the hook fails. */
  onHookError: string | null;
  /** Why nothing passes while the thread of a hook that decides over traffic is gone. */
  hookDown: string | null;
  metrics: string | null;
}

export function describeAttachment(attachment: Attachment): AttachmentDescription {
  const lives = isControlled(attachment);
  const decides = attachment.onHookError === 'drop';
  return {
    interface: attachment.iface,
    netns: attachment.netns.name ?? netnsName(attachment.netns.inode),
    ifindex: attachment.ifindex,
    backend: attachment.backend,
    attach: attachment.attach,
    state: lives ? 'running' : 'crashed',
    pid: attachment.pid,
    startedAt: attachment.startedAt,
    queues: attachment.queues,
    ringBytes: attachment.ringBytes,
    queuePackets: attachment.queuePackets || null,
    budget: attachment.budget,
    whenFull: attachment.whenFull,
    addresses: (attachment.hairpin?.addresses ?? []).map(({ address }) => address),
    // A controller that is gone took its hook along; what it decided over waits for another.
    hook: lives || decides ? attachment.hook : null,
    onHookError: lives || decides ? attachment.onHookError : null,
    hookDown: lives ? attachment.hookDown : null,
    metrics: lives ? attachment.metrics : null,
  };
}

export function listCommand(args: { json: boolean }): void {
  requirePrivileges();
  const entries = allAttachments().map(describeAttachment);
  if (args.json) return printJson(entries);
  if (entries.length === 0) return print('nothing is attached; vnet-bpf attach vnet0 does it');
  const rows = entries.map((entry) => [
    entry.interface,
    entry.netns ?? '-',
    entry.state,
    String(entry.pid),
    `${entry.backend}/${entry.attach}`,
    bytes(entry.ringBytes),
    entry.addresses.join(' ') || '-',
    entry.hook === null ? '-' : entry.hookDown === null ? entry.hook : `${entry.hook} (down)`,
  ]);
  print(table([['INTERFACE', 'NETNS', 'STATE', 'PID', 'BACKEND', 'RING', 'LOOPED ADDRESSES', 'HOOK'], ...rows]));
}
