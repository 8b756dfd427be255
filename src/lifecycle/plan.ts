// SPDX-License-Identifier: MIT
/**
 * Plans an attach without changing anything: checks what has to hold before it, finds what exists under the name, and
 * makes the record of what is to be made and, for `attach --dry-run`, the steps in words.
 */
import { randomInt } from 'node:crypto';
import * as fs from 'node:fs';

import { kernelIsAtLeast } from 'libbpf-ts';

import { merges, objectFile, requireLibbpf, requireObject } from '../datapath/programs';
import { commandFor, named, usageError, VnetError } from '../errors';
import { trustedHookFile } from '../hooks/trust';
import { roomFrameMax, txBytesLimit } from '../link/credit';
import { recordTaken } from '../link/dummy';
import { type Link, linkByName, links } from '../link/links';
import { Netns, openPeerNetns } from '../link/netns';
import { attachmentIn, recordNetns } from '../link/netns-record';
import { planRooms } from '../link/room';
import { DEFAULT_MTU, peerName, superpacketBytesOf } from '../link/veth';
import { type AttachOptions, RUNNING_ROWS, type RunningOptions, runningOptionsOf } from '../options/attach-options';
import { requireKernel, requirePrivileges } from '../requirements';
import { bpffsIsMounted } from '../state/bpffs';
import { HOST_PEER_NETNS } from '../state/paths';
import { type Attachment, isControlled, newId, STATE_VERSION } from '../state/store';
import { isWhole, renewed, requireJudge, requireSameOptions, requireSameVersion } from './adopt';
import { removal } from './detach';
import { brokenError, brokenOnes, locate } from './find-attachment';
import { requireIpv6For } from './make-interface';

/**
 * Checks what has to hold before anything is made or looked at. Any other problem of a hook shows when it is loaded.
 */
export function requireAttachable({ hook }: AttachOptions): void {
  requirePrivileges();
  requireKernel();
  if (hook !== null) trustedHookFile(hook);
}

/**
 * Finds what an earlier attach left under that name, whole or broken. Changes nothing. Throws if it is running or does
 * not fit.
 */
export function previousAttachment(iface: string, netns: Netns, options: AttachOptions): { crashed?: Attachment; broken?: Attachment } {
  const [damaged] = brokenOnes(iface, options.netns);
  if (damaged) throw brokenError(damaged);
  const previous = attachmentIn(iface, netns);
  if (!previous) return {};
  if (isControlled(previous)) {
    throw new VnetError('ALREADY_ATTACHED', `interface ${iface}`, `is attached already, by process ${previous.pid}`, {
      hint: `${commandFor('detach', iface, options.netns ?? previous.netns.name)}, or attach with --replace`,
    });
  }
  requireSameVersion(previous);
  using peerNetns = openPeerNetns();
  if (!isWhole(previous, netns, peerNetns)) return { broken: previous };
  requireSameOptions(previous, options);
  requireJudge(previous, options);
  return { crashed: previous };
}

/** The interface of that name, if there is one that may be taken. Throws INTERFACE_REFUSED for any other. */
export function takeableLink(iface: string, netns: Netns, options: AttachOptions): Link | null {
  const existing = netns.run(() => linkByName(iface));
  if (existing && (existing.kind !== 'dummy' || options.type === 'veth')) refuse(existing, options.netns);
  return existing;
}

function refuse(link: Link, netns: string | null): never {
  const what = `interface ${link.name}`;
  const kind = link.kind ?? (link.name === 'lo' ? 'the loopback device' : 'a physical device');
  throw new VnetError('INTERFACE_REFUSED', what, `exists already, as ${link.kind ? `a ${kind}` : kind} that vnet-bpf did not make`, {
    hint: `choose another name: ${commandFor('attach', 'vnet0', netns)}`,
  });
}

/** What happens while the queue is full. `hold` needs a veth: a dummy has no place where frames could wait. */
function whenFullOf(backend: 'veth' | 'dummy', options: AttachOptions): 'hold' | 'drop' {
  if (backend === 'veth') return options.whenFull ?? 'hold';
  if (options.whenFull === 'hold') {
    throw new VnetError('UNSUPPORTED', '--when-full hold', 'a dummy has no place where frames could wait: it refuses them while its queue is full', {
      hint: 'leave --when-full out, or use a veth',
    });
  }
  return 'drop';
}

/** Makes the record of what is to be made. Changes nothing. */
export function plan(iface: string, netns: Netns, options: AttachOptions, existing: Link | null): Attachment {
  const id = newId();
  const backend = existing ? 'dummy' : (options.type ?? 'veth');
  const whenFull = whenFullOf(backend, options);
  const { ringBytes } = options;
  const superpacketBytes = superpacketBytesOf(backend, ringBytes);
  if (existing && (options.mac !== null || options.mtu !== null)) {
    throw usageError(`attach ${iface}`, 'the interface exists: its MAC and MTU are left alone', 'leave --mac and --mtu out');
  }
  return {
    version: STATE_VERSION,
    id,
    phase: 'attaching',
    iface,
    ifindex: existing?.ifindex ?? 0,
    taken: existing && netns.run(() => recordTaken(existing)),
    added: [],
    netns: recordNetns(netns, options.netns),
    backend,
    peer: backend === 'veth' ? { name: peerName(id), ifindex: 0 } : null,
    reinjectMark: backend === 'veth' ? 0 : randomInt(1, 2 ** 31),
    rooms: whenFull === 'hold' ? planRooms(id, options.queues, hiddenLinks()) : [],
    attach: 'tcx',
    links: null,
    pid: process.pid,
    startedAt: new Date().toISOString(),
    ...runningOptionsOf(options),
    superpacketBytes,
    lowWatermarkBytes: Math.floor(txBytesLimit({ ringBytes, frameMax: roomFrameMax(superpacketBytes) }, whenFull) * options.lowWatermark),
    lowWatermarkPackets: Math.floor(options.queuePackets * options.lowWatermark),
    whenFull,
    baseline: { peerTxPackets: 0 },
    hook: null,
    onHookError: null,
    hookDown: null,
    hairpin: null,
    impairment: null,
    lostByChange: { down: 0, toolong: 0 },
    metrics: null,
  };
}

function hiddenLinks(): Link[] {
  using hidden = openPeerNetns();
  return hidden?.run(links) ?? [];
}

/** What attach would do, in words. Changes nothing. Throws what attach would throw before it makes anything. */
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
  return [`adopt ${where}, which process ${attachment.pid} left when it crashed, and deliver what is in its ring`, ...loopingSteps(where, { ...attachment, ...renewed(options) }, options)];
}

/** What the step that polls says of the options. */
const pollingWords = (options: RunningOptions): string =>
  RUNNING_ROWS.flatMap(({ key, polling }) => (polling as ((value: unknown) => string | null) | undefined)?.(options[key]) ?? []).join(', ');

function loopingSteps(where: string, attachment: Attachment, options: AttachOptions): string[] {
  const { iface, whenFull } = attachment;
  const addresses = options.addresses.map(({ address, prefix }) => `${address}/${prefix}`).join(', ');
  return [
    ...(options.hook === null ? [] : [`load the hook ${fs.realpathSync(options.hook)}`]),
    `poll ${where}, ${pollingWords(attachment)}; while its queue is full, ${whenFull === 'hold' ? 'frames wait' : 'frames are refused'}`,
    `set ${where} up${addresses === '' ? '' : `, with ${addresses}`}`,
    ...(addresses === '' ? [] : [`route what is sent to ${options.addresses.map(({ address }) => address).join(', ')} through ${iface}: rules before the local table`]),
    ...(options.hairpin ? [`route each address that ${where} gets later through it, too`] : []),
  ];
}
