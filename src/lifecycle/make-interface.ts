// SPDX-License-Identifier: MIT
/** Makes the interface of an attachment and sets it up. What exists is recorded as soon as it does. */
import * as fs from 'node:fs';

import { step } from '../control/fault';
import { merges } from '../datapath/programs';
import { HINTS, VnetError } from '../errors';
import { addresses, setAddress, withoutAddressDetection } from '../link/addresses';
import { roomFrameCost } from '../link/credit';
import { createDummy, nameDummy } from '../link/dummy';
import { correctFeatures, cutMergedPackets, loopable } from '../link/features';
import { syncHairpin } from '../link/hairpin';
import { type Link, linkByName, setUp, transmittedFramesOf } from '../link/links';
import type { Netns } from '../link/netns';
import { createRoom } from '../link/room';
import { loopTable } from '../link/rules';
import { createVeth, DEFAULT_MTU, randomMac, refused } from '../link/veth';
import type { AttachOptions } from '../options/attach-options';
import { passesUdpGso } from '../requirements';
import { type Attachment, saveAttachment } from '../state/store';

/** Makes the interface, unless it existed before. */
export function makeInterface(attachment: Attachment, netns: Netns, wireNetns: Netns, options: AttachOptions): void {
  if (attachment.peer) makeVeth(attachment, attachment.peer, netns, wireNetns, options);
  else if (!attachment.taken) netns.run(() => makeDummy(attachment, options));
}

function makeVeth(
  attachment: Attachment,
  end: { name: string; ifindex: number },
  netns: Netns,
  peerNetns: Netns,
  options: AttachOptions,
): void {
  const { id, iface, rooms, queuePackets, superpacketBytes } = attachment;
  const request = { iface, peer: end.name, mac: options.mac ?? randomMac(), mtu: options.mtu ?? DEFAULT_MTU, superpacketBytes };
  const { link, peer } = netns.run(() => createVeth(request, peerNetns));
  netns.run(() => correctFeatures(link.name, loopable({ udpGso: passesUdpGso(), merges: merges(attachment) })));
  peerNetns.run(() => cutMergedPackets(peer.name));
  step('veth');
  attachment.ifindex = link.ifindex;
  end.ifindex = peer.ifindex;
  attachment.baseline.peerTxPackets = peerNetns.run(() => transmittedFramesOf(peer.ifindex)) ?? 0;
  peerNetns.run(() => rooms.forEach((room, queue) => createRoom(id, queue, room, roomFrameCost(queuePackets), superpacketBytes)));
  saveAttachment(attachment);
  step('room');
}

function makeDummy(attachment: Attachment, options: AttachOptions): void {
  const link = createDummy(attachment.id, options.mac ?? randomMac(), options.mtu ?? DEFAULT_MTU);
  step('dummy');
  attachment.ifindex = link.ifindex;
  saveAttachment(attachment);
  nameDummy(attachment.id, attachment.iface);
  step('dummy-named');
}

/** The smallest MTU for IPv6 in bytes (IPV6_MIN_MTU). */
const IPV6_MIN_MTU = 1280;

/**
 * Throws UNSUPPORTED if there are IPv6 addresses and the interface cannot have one. Runs in its namespace, before or
 * after it is made.
 */
export function requireIpv6For(iface: string, { addresses: wanted, mtu, replace }: Pick<AttachOptions, 'addresses' | 'mtu' | 'replace'>): void {
  if (wanted.every(({ family }) => family === 4)) return;
  const cannot = (why: string, hint: string): VnetError => new VnetError('UNSUPPORTED', `interface ${iface}`, why, { hint });
  if (!fs.existsSync('/proc/sys/net/ipv6')) throw cannot('this kernel has no IPv6', 'give it IPv4 addresses only');
  const present = replace ? null : linkByName(iface);
  const size = mtu ?? present?.mtu ?? DEFAULT_MTU;
  if (size < IPV6_MIN_MTU) throw cannot(`IPv6 needs an MTU of ${IPV6_MIN_MTU} or more, and this one is ${size}`, 'choose a larger one, or give it IPv4 addresses only');
  const isOff = (scope: string): boolean => {
    const file = `/proc/sys/net/ipv6/conf/${scope}/disable_ipv6`;
    return fs.existsSync(file) && fs.readFileSync(file, 'utf8').trim() !== '0';
  };
  // The interface's own value counts if it exists. Otherwise it is made with the value of `default`, which `all` sets,
  // too.
  const scope = present && fs.existsSync(`/proc/sys/net/ipv6/conf/${iface}`) ? iface : 'default';
  if (!isOff(scope)) return;
  const named = `net.ipv6.conf.${isOff('all') ? 'all' : scope}.disable_ipv6`;
  throw cannot(`IPv6 is switched off in its namespace (${named} is 1)`, `sysctl -w ${named}=0 there, or give it IPv4 addresses only`);
}

/** Sets the interface up and adds its addresses. The loop is running already, so nothing that it sends is lost. */
export function bringUp(attachment: Attachment, options: AttachOptions): Link {
  const { iface, ifindex } = attachment;
  if (!attachment.taken) withoutAddressDetection(iface);
  // Addresses that an adopted interface has already are left alone, with the routes that belong to them.
  const present = attachment.added.length > 0 ? addresses(iface) : [];
  const missing = options.addresses.filter(({ address, prefix }) => !present.some((had) => had.address === address && had.prefix === prefix));
  requireIpv6For(iface, { ...options, replace: false });
  // Recorded before it is done, so that teardown can undo it after a kill in between.
  attachment.added = [...new Set([...attachment.added, ...options.addresses.map(({ address }) => address)])];
  saveAttachment(attachment);
  try {
    setUp(ifindex);
    for (const address of missing) setAddress(ifindex, address);
  } catch (cause) {
    throw refused(`interface ${iface}`, cause, 'ENODEV', 'somebody removed it while it was being made', HINTS.removed);
  }
  if (options.addresses.length > 0) {
    const before = attachment.hairpin;
    const added = options.addresses.filter(({ address }) => !before?.addresses.some((had) => had.address === address));
    attachment.hairpin = { addresses: before?.addresses ?? [], table: loopTable(ifindex) };
    saveAttachment(attachment);
    attachment.hairpin = syncHairpin(iface, ifindex, [...(before?.addresses ?? []), ...added], before);
    step('hairpin');
  }
  const link = linkByName(iface);
  if (!link) throw new VnetError('INTERFACE_GONE', `interface ${iface}`, 'somebody removed it while it was being made', { hint: HINTS.removed });
  return link;
}
