// SPDX-License-Identifier: MIT
/**
 * The dummy back end: one interface and no peer. What `tx` lets pass, dummy_xmit counts and frees;
 * what the poller sends on it, `tx` knows by its mark and turns round. Everything runs in the
 * interface's namespace.
 */
import { HINTS, VnetError } from '../errors';
import { command, tryCommand } from '../native/command';
import { linkByName, type Link } from './links';
import { superpacketSegments } from './veth';

/** The name under which a dummy is made: unique, so that one that a kill left can be told from the user's. */
export const unnamedDummy = (id: string): string => `vd${id}`;

/** Makes a dummy under its unnamed name, down. */
export function createDummy(id: string, mac: string, mtu: number): Link {
  const name = unnamedDummy(id);
  const segments = String(superpacketSegments(mtu));
  const { status, stderr } = tryCommand('ip', ['link', 'add', 'name', name, 'address', mac, 'mtu', String(mtu), 'gso_max_segs', segments, 'type', 'dummy']);
  if (status !== 0) {
    const unknown = /not supported|Unknown device/i.test(stderr);
    throw new VnetError('UNSUPPORTED', '--type dummy', unknown ? 'this kernel has no dummy interfaces' : stderr.trim(), {
      hint: unknown ? 'modprobe dummy, or leave --type out for a veth' : '',
    });
  }
  return present(linkByName(name));
}

/** Gives it the user's name. */
export function nameDummy(id: string, iface: string): Link {
  command('ip', ['link', 'set', 'dev', unnamedDummy(id), 'name', iface]);
  return present(linkByName(iface));
}

function present(link: Link | null): Link {
  if (!link) throw new VnetError('INTERFACE_GONE', '--type dummy', 'somebody removed the interface while it was being made', { hint: HINTS.removed });
  return link;
}
