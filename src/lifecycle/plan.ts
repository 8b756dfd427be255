// SPDX-License-Identifier: MIT
/**
 * Plans an attach without changing anything: checks what has to hold before it, finds what exists under the name and
 * whether it can be adopted, and makes the record of what is to be made.
 */
import { randomInt } from 'node:crypto';
import * as fs from 'node:fs';

import { commandAbout, commandFor, usageError, VnetError } from '../errors';
import { readWish } from '../faults/source';
import { trustedHookFile } from '../hooks/trust';
import { roomFrameMax, txBytesLimit } from '../link/credit';
import { recordTaken } from '../link/dummy';
import { requirePlace } from '../link/hairpin';
import { type Link, linkByIndex, linkByName, links } from '../link/links';
import { type Netns, openPeerNetns } from '../link/netns';
import { recordNetns } from '../link/netns-record';
import { planRooms } from '../link/room';
import { DEFAULT_MTU, peerName, superpacketBytesOf } from '../link/veth';
import { requireIp } from '../native/command';
import {
  type AttachOption,
  type AttachOptions,
  DEFAULTS,
  OPTION_ROWS,
  runningOptionsOf,
  takenText,
} from '../options/attach-options';
import { IPV6_MIN_MTU } from '../options/values';
import { requireKernel, requirePrivileges } from '../requirements';
import { type Attachment, isControlled, newId, STATE_VERSION } from '../state/store';
import { brokenError, brokenOnes } from './find-attachment';
import { attachmentCalled, itsLink } from './its-link';

/**
 * Checks what has to hold before anything is made or looked at. Any other problem of a hook, or of a module with
 * faults, shows when it is loaded.
 */
export function requireAttachable({ hook, faults, seed }: AttachOptions): void {
  requirePrivileges();
  requireKernel();
  requireIp();
  if (hook !== null) trustedHookFile(hook);
  const wish = faults === null ? null : readWish(faults, seed);
  if (wish && 'file' in wish) trustedHookFile(wish.file, 'faults');
}

/**
 * Throws UNSUPPORTED if there are IPv6 addresses and the interface cannot have one. Runs in its namespace, before or
 * after it is made.
 */
export function requireIpv6For(
  iface: string,
  { addresses: wanted, mtu, replace }: Pick<AttachOptions, 'addresses' | 'mtu' | 'replace'>,
): void {
  if (wanted.every(({ family }) => family === 4)) return;
  const cannot = (why: string, hint: string): VnetError =>
    new VnetError('UNSUPPORTED', `interface ${iface}`, why, { hint });
  if (!fs.existsSync('/proc/sys/net/ipv6')) throw cannot('this kernel has no IPv6', 'give it IPv4 addresses only');
  const present = replace ? null : linkByName(iface);
  const size = mtu ?? present?.mtu ?? DEFAULT_MTU;
  if (size < IPV6_MIN_MTU)
    throw cannot(
      `IPv6 needs an MTU of ${IPV6_MIN_MTU} or more, and this one is ${size}`,
      'choose a larger one, or give it IPv4 addresses only',
    );
  const isOff = (scope: string): boolean => {
    const file = `/proc/sys/net/ipv6/conf/${scope}/disable_ipv6`;
    return fs.existsSync(file) && fs.readFileSync(file, 'utf8').trim() !== '0';
  };
  // The interface's own value counts if it exists. Otherwise it is made with the value of `default`, which `all` sets,
  // too.
  const scope = present && fs.existsSync(`/proc/sys/net/ipv6/conf/${iface}`) ? iface : 'default';
  if (!isOff(scope)) return;
  const named = `net.ipv6.conf.${isOff('all') ? 'all' : scope}.disable_ipv6`;
  throw cannot(
    `IPv6 is switched off in its namespace (${named} is 1)`,
    `sysctl -w ${named}=0 there, or give it IPv4 addresses only`,
  );
}

/**
 * Throws UNSUPPORTED if the interface cannot have the addresses, or cannot loop them. Runs in its namespace, before it
 * is made.
 */
export function requireAddressesFor(iface: string, options: AttachOptions): void {
  requireIpv6For(iface, options);
  requirePlace(options.addresses);
}

/** Whether a crashed attachment got as far as looping, and all links behind its interface still exist. */
function isWhole(attachment: Attachment, peerNetns: Netns | null): boolean {
  if (attachment.phase !== 'running' || attachment.version !== STATE_VERSION) return false;
  const { peer: end } = attachment;
  if (!end) return true;
  const isThere = ({ name, ifindex }: { name: string; ifindex: number }): boolean =>
    peerNetns?.run(() => linkByIndex(ifindex))?.name === name;
  return isThere(end) && attachment.rooms.every(({ entry, exit }) => isThere(entry) && isThere(exit));
}

/** Throws STATE if another version made the attachment: its memory layout may differ. */
function requireSameVersion(attachment: Attachment): void {
  if (attachment.version === STATE_VERSION) return;
  throw new VnetError('STATE', `interface ${attachment.iface}`, 'a crashed controller of another version left it', {
    hint: `${commandAbout('detach', attachment)}, or attach with --replace`,
  });
}

/** Throws STATE for options that an existing ring cannot be given. Options left at their defaults follow the ring. */
export function requireSameOptions(attachment: Attachment, options: AttachOptions): void {
  const is: Readonly<Record<string, unknown>> = {
    ...attachment,
    type: attachment.backend,
    lowWatermark:
      lowWatermarkBytesOf(attachment, options.lowWatermark) === attachment.lowWatermarkBytes
        ? options.lowWatermark
        : lowWatermarkOf(attachment),
  };
  const fits = ({ key }: AttachOption): boolean => options[key] === DEFAULTS[key] || options[key] === is[key];
  const conflicts = OPTION_ROWS.filter((row) => row.adoption === 'must fit' && !fits(row)).map(
    (row) => `--${row.flag} ${takenText(row, is[row.key])}`,
  );
  if (conflicts.length === 0) return;
  throw new VnetError(
    'STATE',
    `interface ${attachment.iface}`,
    `a crashed controller left it with ${conflicts.join(', ')}`,
    {
      hint: 'attach with the same options adopts it, attach with --replace makes a new one',
    },
  );
}

/**
 * Throws STATE if a hook with `--on-hook-error drop` was to decide about the frames, and neither a hook nor faults are
 * given now: the frames must not pass unjudged.
 */
function requireJudge({ iface, hook, onHookError }: Attachment, options: AttachOptions): void {
  if (options.hook !== null || options.faults !== null || hook === null || onHookError !== 'drop') return;
  throw new VnetError(
    'STATE',
    `interface ${iface}`,
    `a crashed controller left it with a hook that decides over its frames, ${hook} (--on-hook-error drop)`,
    {
      hint: `attach with --hook ${hook} adopts it; attach with --replace makes a new one, without what waits in its queue`,
    },
  );
}

/**
 * Finds what an earlier attach left, whole or broken; the name is that of its interface now or at the crash. Changes
 * nothing. Throws if it is running, does not fit, or would have to go for an interface that is refused.
 */
export function previousAttachment(
  iface: string,
  netns: Netns,
  options: AttachOptions,
): { crashed?: Attachment; broken?: Attachment } {
  const [damaged] = brokenOnes(iface, options.netns);
  if (damaged) throw brokenError(damaged);
  const previous = attachmentCalled(iface, netns);
  if (!previous) return {};
  if (isControlled(previous)) {
    throw new VnetError('ALREADY_ATTACHED', `interface ${iface}`, `is attached already, by process ${previous.pid}`, {
      hint: `${commandFor('detach', iface, options.netns ?? previous.netns.name)}, or attach with --replace`,
    });
  }
  requireSameVersion(previous);
  requireName(iface, netns, options, previous);
  const link = netns.run(() => itsLink(previous));
  using peerNetns = openPeerNetns();
  if (!link || !isWhole(previous, peerNetns)) return { broken: previous };
  previous.iface = link.name; // no controller has followed a new name
  requireSameOptions(previous, options);
  requireJudge(previous, options);
  return { crashed: previous };
}

/**
 * Throws INTERFACE_REFUSED if the name of an attachment that crashed, or is to be replaced, is by now that of another
 * interface, unless its own is gone and the other may be taken. What is refused changes nothing, so this is checked
 * before the attachment is removed.
 */
export function requireName(iface: string, netns: Netns, options: AttachOptions, attachment: Attachment): void {
  if (attachment.phase !== 'running') return; // half-made or half-removed: its record may not tell which link is its own
  const own = netns.run(() => itsLink(attachment));
  if (own?.name === iface || !netns.run(() => linkByName(iface))) return;
  if (!own) return void takeableLink(iface, netns, options);
  const renamed = { iface: own.name, netns: { name: options.netns ?? attachment.netns.name } };
  throw new VnetError(
    'INTERFACE_REFUSED',
    `interface ${iface}`,
    `another interface has this name now; the one that a crashed controller left is called ${own.name}`,
    { hint: `${commandAbout('attach', renamed)} adopts that, ${commandAbout('detach', renamed)} removes it` },
  );
}

/** The interface of that name, if there is one that may be taken. Throws INTERFACE_REFUSED for any other. */
export function takeableLink(iface: string, netns: Netns, options: AttachOptions): Link | null {
  const existing = netns.run(() => linkByName(iface));
  if (!existing) return null;
  const isTakeable = existing.name === iface && existing.kind === 'dummy' && options.type !== 'veth';
  if (isTakeable) return existing;
  throw new VnetError('INTERFACE_REFUSED', `interface ${iface}`, whyRefused(existing, iface), {
    hint: `choose another name: ${commandFor('attach', netns.run(freeName), options.netns)}`,
  });
}

function whyRefused(link: Link, iface: string): string {
  // The kernel finds an interface by its alternative names, too.
  if (link.name !== iface) return `another interface has this name, too: ${link.name}, whose altname it is`;
  const kind = link.kind ?? (link.name === 'lo' ? 'the loopback device' : 'a physical device');
  return `exists already, as ${link.kind ? `a ${kind}` : kind} that vnet-bpf did not make`;
}

/** The first of vnet0, vnet1 and so on that no interface has. */
function freeName(): string {
  let number = 0;
  while (linkByName(`vnet${number}`)) number++;
  return `vnet${number}`;
}

/** What happens while the queue is full. `hold` needs a veth: a dummy has no place where frames could wait. */
function whenFullOf(backend: 'veth' | 'dummy', options: AttachOptions): 'hold' | 'drop' {
  if (backend === 'veth') return options.whenFull ?? 'hold';
  if (options.whenFull === 'hold') {
    throw new VnetError(
      'UNSUPPORTED',
      '--when-full hold',
      'a dummy has no place where frames could wait: it refuses them while its queue is full',
      {
        hint: 'leave --when-full out, or use a veth',
      },
    );
  }
  return 'drop';
}

type RingShape = Pick<Attachment, 'ringBytes' | 'superpacketBytes' | 'whenFull'>;

/** Bytes of a ring that make the queue full. */
const capacityOf = ({ ringBytes, superpacketBytes, whenFull }: RingShape): number =>
  txBytesLimit({ ringBytes, frameMax: roomFrameMax(superpacketBytes) }, whenFull);

/** The bytes at which the queue wakes, for a low watermark from 0 to 1. */
const lowWatermarkBytesOf = (ring: RingShape, part: number): number => Math.floor(capacityOf(ring) * part);

/** The low watermark, from 0 to 1, with the fewest digits that mean the bytes of the record. */
function lowWatermarkOf(attachment: Attachment): number {
  const { lowWatermarkBytes } = attachment;
  const exact = lowWatermarkBytes / capacityOf(attachment);
  const rounded = [2, 3, 4, 5, 6, 7].map((digits) => Number(exact.toFixed(digits)));
  return rounded.find((part) => lowWatermarkBytesOf(attachment, part) === lowWatermarkBytes) ?? exact;
}

/** Makes the record of what is to be made. Changes nothing. */
export function plan(iface: string, netns: Netns, options: AttachOptions, existing: Link | null): Attachment {
  const id = newId();
  const backend = existing ? 'dummy' : (options.type ?? 'veth');
  const whenFull = whenFullOf(backend, options);
  const { ringBytes } = options;
  const superpacketBytes = superpacketBytesOf(backend, ringBytes);
  if (existing && (options.mac !== null || options.mtu !== null)) {
    throw usageError(
      `attach ${iface}`,
      'the interface exists: its MAC and MTU are left alone',
      'leave --mac and --mtu out',
    );
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
    rooms: whenFull === 'hold' ? planRooms(id, options.queues, peerNetnsLinks()) : [],
    attach: 'tcx',
    links: null,
    pid: process.pid,
    startedAt: new Date().toISOString(),
    ...runningOptionsOf(options),
    superpacketBytes,
    lowWatermarkBytes: lowWatermarkBytesOf({ ringBytes, superpacketBytes, whenFull }, options.lowWatermark),
    lowWatermarkPackets: Math.floor(options.queuePackets * options.lowWatermark),
    whenFull,
    baseline: { peerTxPackets: 0 },
    hook: null,
    onHookError: options.onHookError ?? 'pass',
    hookDown: null,
    faults: null,
    carrierLost: null,
    hairpin: null,
    impairment: null,
    lostByChange: { down: 0, toolong: 0 },
    metrics: null,
  };
}

function peerNetnsLinks(): Link[] {
  using peerNetns = openPeerNetns();
  return peerNetns?.run(links) ?? [];
}
