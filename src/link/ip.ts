// SPDX-License-Identifier: MIT
/**
 * Links, addresses and rules through iproute2 and its JSON. Everything here acts on the network
 * namespace of the calling thread: wrap calls in Netns.run().
 */
import { VnetError } from '../errors';
import { command, tryCommand } from '../native/command';

export interface Link {
  name: string;
  ifindex: number;
  /** ifindex of the other end of a veth, or null. */
  peerIfindex: number | null;
  /** The rtnl kind (`veth`, `dummy`, `tun`, `bridge`), or null for a physical one. */
  kind: string | null;
  up: boolean;
  mac: string;
  mtu: number;
  master: string | null;
  counters: { rxPackets: number; rxBytes: number; txPackets: number; txBytes: number; txDropped: number } | null;
}

interface RawStats {
  rx: { packets: number; bytes: number };
  tx: { packets: number; bytes: number; dropped: number };
}

interface RawLink {
  ifname: string;
  ifindex: number;
  link_index?: number;
  flags: string[];
  address?: string;
  mtu: number;
  master?: string;
  linkinfo?: { info_kind?: string };
  stats64?: RawStats;
}

function toLink(raw: RawLink): Link {
  const stats = raw.stats64;
  return {
    name: raw.ifname,
    ifindex: raw.ifindex,
    peerIfindex: raw.link_index ?? null,
    kind: raw.linkinfo?.info_kind ?? null,
    up: raw.flags.includes('UP'),
    mac: raw.address ?? '',
    mtu: raw.mtu,
    master: raw.master ?? null,
    counters: stats
      ? {
          rxPackets: stats.rx.packets,
          rxBytes: stats.rx.bytes,
          txPackets: stats.tx.packets,
          txBytes: stats.tx.bytes,
          txDropped: stats.tx.dropped,
        }
      : null,
  };
}

/** `ip -json` prints nothing, or objects without content, where there is nothing to list. */
function parse<T extends object>(json: string): T[] {
  if (json.trim() === '') return [];
  return (JSON.parse(json) as T[]).filter((entry) => Object.keys(entry).length > 0);
}

/** Every link of the namespace. */
export function links(): Link[] {
  return parse<RawLink>(command('ip', ['-json', '-details', '-statistics', 'link', 'show'])).map(toLink);
}

/** One link by name, or null. */
export function linkByName(name: string): Link | null {
  const { status, stdout } = tryCommand('ip', ['-json', '-details', '-statistics', 'link', 'show', 'dev', name]);
  const found = status === 0 ? parse<RawLink>(stdout)[0] : undefined;
  return found ? toLink(found) : null;
}

/** One link by ifindex, or null. */
export function linkByIndex(ifindex: number): Link | null {
  return links().find((link) => link.ifindex === ifindex) ?? null;
}

export interface Address {
  family: 4 | 6;
  address: string;
  prefix: number;
  scope: string;
}

/** The addresses of an interface. */
export function addresses(iface: string): Address[] {
  interface RawAddress {
    addr_info?: { family: string; local: string; prefixlen: number; scope: string }[];
  }
  const { status, stdout } = tryCommand('ip', ['-json', 'addr', 'show', 'dev', iface]);
  if (status !== 0) return [];
  return parse<RawAddress>(stdout).flatMap((entry) =>
    (entry.addr_info ?? [])
      .filter((info) => info.family === 'inet' || info.family === 'inet6')
      .map((info) => ({
        family: info.family === 'inet' ? (4 as const) : (6 as const),
        address: info.local,
        prefix: info.prefixlen,
        scope: info.scope,
      })),
  );
}

export interface Rule {
  priority: number;
  src: string;
  dst?: string;
  iif?: string;
  table?: string;
  protocol?: string;
}

/** The policy routing rules of a family, in the order in which the kernel asks them. */
export function rules(family: 4 | 6): Rule[] {
  return parse<Rule>(command('ip', [`-${family}`, '-json', 'rule', 'show']));
}

/** Runs `ip` commands, one a line, in one process; stops at the first that fails. */
export function ipBatch(lines: readonly string[], family?: 4 | 6): void {
  if (lines.length === 0) return;
  command('ip', [...(family ? [`-${family}`] : []), '-batch', '-'], batchInput(lines));
}

/** The same, but goes on after one that fails, because its object is gone already. */
export function ipBatchIfPossible(lines: readonly string[], family?: 4 | 6): void {
  if (lines.length === 0) return;
  tryCommand('ip', [...(family ? [`-${family}`] : []), '-force', '-batch', '-'], batchInput(lines));
}

function batchInput(lines: readonly string[]): string {
  // What `ip -batch` reads as a comment, a quote or a new line could turn one command into another.
  const unsafe = lines.find((line) => /[#"'\\\n]/.test(line));
  if (unsafe !== undefined) throw new VnetError('COMMAND_FAILED', 'ip -batch', `will not pass on: ${JSON.stringify(unsafe)}`);
  return lines.join('\n') + '\n';
}

/** Runs one `ip` command that may fail because its object is gone already. */
export function ipIfPossible(args: readonly string[]): boolean {
  return tryCommand('ip', args).status === 0;
}
