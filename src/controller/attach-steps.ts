// SPDX-License-Identifier: MIT
/** `attach --dry-run`: the checks of attach(), and its steps in words. */
import * as fs from 'node:fs';

import { kernelIsAtLeast } from 'libbpf-ts';

import { merges, objectFile, requireLibbpf, requireObject } from '../datapath/datapath';
import { Netns } from '../link/netns';
import { openPeerNetns } from '../link/peer-netns';
import { DEFAULT_MTU } from '../link/veth';
import { bpffsIsMounted } from '../state/bpffs';
import { named } from '../state/named';
import { HOST_PEER_NETNS } from '../state/paths';
import type { Attachment } from '../state/store';
import { attachmentIn } from './attachment-netns';
import { plan, previousAttachment, requireAttachable, takeableLink } from './attach';
import { locate } from './broken';
import { removal } from './detach-steps';
import { brokenOnes } from './find-attachment';
import { requireIpv6For } from './make-interface';
import type { AttachOptions } from './options';

/** What attach would do; changes nothing. Throws what attach would throw before it makes anything. */
export function attachSteps(iface: string, options: AttachOptions): string[] {
  requireAttachable(options);
  requireObject();
  requireLibbpf();
  using netns = Netns.named(options.netns);
  netns.run(() => requireIpv6For(iface, options));
  const replaced = options.replace ? (attachmentIn(iface, netns) ?? brokenOnes(iface, options.netns).map((each) => locate(each).attachment)[0]) : null;
  if (replaced) return insteadOf(replaced, plan(iface, netns, options, null), options);
  const { crashed, broken } = previousAttachment(iface, netns, options);
  if (crashed) return adoptingSteps(crashed, options);
  if (broken) return insteadOf(broken, plan(iface, netns, options, null), options);
  using hidden = openPeerNetns();
  return makingSteps(plan(iface, netns, options, takeableLink(iface, netns, options)), options, hidden !== null);
}

function insteadOf(old: Attachment, attachment: Attachment, options: AttachOptions): string[] {
  const { steps, removesHidden } = removal([old]);
  return [...steps, ...makingSteps(attachment, options, !removesHidden)];
}

function makingSteps(attachment: Attachment, options: AttachOptions, hasHidden: boolean): string[] {
  const { iface, netns, backend, taken, whenFull, queues, ringBytes, queuePackets } = attachment;
  const where = named(iface, netns.name);
  const kind = `${backend} ${where}, with ${options.mac === null ? 'a random Ethernet address' : `the Ethernet address ${options.mac}`} and an MTU of ${options.mtu ?? DEFAULT_MTU}`;
  const programs = backend === 'veth' ? `tx to ${where}, sink ${merges(attachment) ? 'and cut ' : ''}to its other end${whenFull === 'hold' ? ', retry to the waiting room' : ''}` : `tx to ${where}`;
  const limit = queuePackets > 0 ? `, a queue of ${queuePackets} frames` : '';
  return [
    ...(backend === 'veth' && !hasHidden ? [`make the hidden network namespace ${HOST_PEER_NETNS}`] : []),
    ...(bpffsIsMounted() ? [] : ['mount the BPF file system on /sys/fs/bpf']),
    taken ? `use the ${backend} ${where}, which is there already` : `make the ${kind}`,
    ...(backend === 'veth' && whenFull === 'hold' ? [`make ${queues > 1 ? `${queues} waiting rooms` : 'a waiting room'}, where frames of ${where} wait while its queue is full`] : []),
    `load ${objectFile()}, with a ring of ${ringBytes} bytes${limit}${queues > 1 ? `, for each of ${queues} queues` : ''}`,
    `attach ${programs}, through ${kernelIsAtLeast('6.6') ? 'tcx' : 'clsact'}`,
    ...loopingSteps(where, attachment, options),
  ];
}

function adoptingSteps(attachment: Attachment, options: AttachOptions): string[] {
  const where = named(attachment.iface, attachment.netns.name);
  return [`adopt ${where}, which process ${attachment.pid} left when it crashed, and deliver what is in its ring`, ...loopingSteps(where, attachment, options)];
}

function loopingSteps(where: string, { iface, budget, whenFull }: Attachment, options: AttachOptions): string[] {
  const addresses = options.addresses.map(({ address, prefix }) => `${address}/${prefix}`).join(', ');
  return [
    ...(options.hook === null ? [] : [`load the hook ${fs.realpathSync(options.hook)}`]),
    `poll ${where}, ${budget} frames at a time; while its queue is full, ${whenFull === 'hold' ? 'frames wait' : 'frames are refused'}`,
    `set ${where} up${addresses === '' ? '' : `, with ${addresses}`}`,
    ...(addresses === '' ? [] : [`route what is sent to ${options.addresses.map(({ address }) => address).join(', ')} through ${iface}: rules before the local table`]),
    ...(options.hairpin ? [`route each address that ${where} gets later through it, too`] : []),
  ];
}
