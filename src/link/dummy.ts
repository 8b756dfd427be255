// SPDX-License-Identifier: MIT
/**
 * The dummy back end: one interface without a peer, made here or there before. Frames that `tx` passes are counted and
 * freed by dummy_xmit (drivers/net/dummy.c). Frames that the poller sends on it are known to `tx` by their mark, and
 * turned round. Everything runs in the interface's namespace.
 */
import * as fs from 'node:fs';

import { HINTS, VnetError } from '../errors';
import { command, ipIfPossible, tryCommand } from '../native/command';
import type { TakenRecord } from '../state/record';
import { addresses } from './addresses';
import { type Link, linkByName, setGroup } from './links';
import { superpacketSegments } from './veth';

// What attach changes on an interface that existed before, so that detach can restore it.

/** The sysctls that hairpin sets. */
const SYSCTLS = ['accept_local', 'rp_filter'] as const;

const file = (iface: string, name: string): string => `/proc/sys/net/ipv4/conf/${iface}/${name}`;

/** Reads that state. Runs in the interface's namespace. */
export function recordTaken(link: Link): TakenRecord {
  return {
    wasUp: link.up,
    addresses: addresses(link.name).map(({ address }) => address),
    sysctls: Object.fromEntries(SYSCTLS.map((name) => [name, fs.readFileSync(file(link.name, name), 'utf8').trim()])),
    group: link.group,
  };
}

/** Restores that state; removes only addresses that attach added. Runs in the interface's namespace. */
export function restoreTaken({ name, ifindex, group }: Link, taken: TakenRecord, added: readonly string[]): void {
  for (const entry of addresses(name)) {
    if (!added.includes(entry.address) || taken.addresses.includes(entry.address)) continue;
    ipIfPossible(['addr', 'del', `${entry.address}/${entry.prefix}`, 'dev', name]);
  }
  for (const [sysctl, value] of Object.entries(taken.sysctls)) {
    if (fs.existsSync(file(name, sysctl))) fs.writeFileSync(file(name, sysctl), value);
  }
  if (taken.group !== null && group !== taken.group) setGroup(ifindex, taken.group);
  if (!taken.wasUp) ipIfPossible(['link', 'set', 'dev', name, 'down']);
}

/**
 * The name under which a dummy is made. It is unique, so that a dummy that a kill left behind can be told from the
 * user's.
 */
export const unnamedDummy = (id: string): string => `vd${id}`;

/** Makes a dummy under the name of unnamedDummy(), down. Throws UNSUPPORTED. */
export function createDummy(id: string, mac: string, mtu: number): Link {
  const name = unnamedDummy(id);
  const segments = String(superpacketSegments(mtu));
  const { status, stderr } = tryCommand('ip', [
    'link',
    'add',
    'name',
    name,
    'address',
    mac,
    'mtu',
    String(mtu),
    'gso_max_segs',
    segments,
    'type',
    'dummy',
  ]);
  if (status !== 0) {
    const unknown = /not supported|Unknown device/i.test(stderr);
    throw new VnetError(
      'UNSUPPORTED',
      '--type dummy',
      unknown ? 'this kernel has no dummy interfaces' : stderr.trim(),
      {
        hint: unknown ? 'modprobe dummy, or leave --type out for a veth' : '',
      },
    );
  }
  return present(linkByName(name));
}

/** Renames it to the user's name. */
export function nameDummy(id: string, iface: string): Link {
  command('ip', ['link', 'set', 'dev', unnamedDummy(id), 'name', iface]);
  return present(linkByName(iface));
}

function present(link: Link | null): Link {
  if (!link)
    throw new VnetError('INTERFACE_GONE', '--type dummy', 'somebody removed the interface while it was being made', {
      hint: HINTS.removed,
    });
  return link;
}
