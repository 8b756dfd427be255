// SPDX-License-Identifier: MIT
// The two interfaces that are compared, each in a namespace of its own, with the same name, addresses and settings:
// vnet0, and a veth whose peer sends back what it receives.
import { randomBytes } from 'node:crypto';
import path from 'node:path';

import { ok, okIn, run } from '../helpers/netns';
import { repository } from '../vm/paths';

/** What the table's commands know as $A4, $B4, $A6 and $B6. Those of udpgso.c, which has them written in. */
export const ADDRESSES = { A4: '10.0.0.1', B4: '10.0.0.2', A6: 'fd00::1', B6: 'fd00::2' } as const;
export const MAC = '02:00:00:00:00:77';

const all = Object.values(ADDRESSES);
const isIpv6 = (address: string): boolean => address.includes(':');
const prefixed = (address: string): string => `${address}/${isIpv6(address) ? 64 : 24}`;
/** Of the control's routes to its own addresses. */
const TABLE = '77';
/** The product's command, in a process without this one's loader. */
const vnetBpf = (args: readonly string[]): ReturnType<typeof run> =>
  run('env', ['-u', 'NODE_OPTIONS', process.execPath, path.join(repository, 'dist/cli/main.js'), ...args]);

export interface Network {
  readonly kind: 'control' | 'vnet0';
  readonly netns: string;
  readonly iface: string;
  /** Why the frames do not add up at rest; undefined if they do, or if they are not counted. */
  unbalanced(): string | undefined;
  remove(): void;
}

export interface Settings {
  readonly iface: string;
  readonly mtu: number;
  /** Segmentation offload of the control's far end. */
  readonly farTso: boolean;
  /** Whether it has the addresses, which are reached through it. */
  readonly looped: boolean;
  /** More options of `attach`. */
  readonly attachOptions: readonly string[];
}

export function makeNetwork(kind: Network['kind'], settings: Settings): Network {
  const { iface, looped } = settings;
  const netns = `vk${randomBytes(4).toString('hex')}`;
  ok('ip', ['netns', 'add', netns]);
  ok('ip', ['-n', netns, 'link', 'set', 'lo', 'up']);
  const made = kind === 'control' ? makeControl(netns, settings) : attach(netns, settings);
  if (looped)
    for (const address of all)
      ok('ip', ['-n', netns, 'neigh', 'replace', address, 'lladdr', MAC, 'dev', iface, 'nud', 'permanent']);
  return { kind, netns, iface, ...made };
}

function attach(
  netns: string,
  { iface, mtu, looped, attachOptions }: Settings,
): Pick<Network, 'unbalanced' | 'remove'> {
  const where = [iface, '--netns', netns];
  const addresses = looped ? all.flatMap((address) => ['--addr', prefixed(address)]) : [];
  const { status, stderr } = vnetBpf([
    'attach',
    ...where,
    '--daemon',
    '--mac',
    MAC,
    '--mtu',
    String(mtu),
    ...attachOptions,
    ...addresses,
  ]);
  if (status !== 0) throw new Error(stderr.trim());
  return {
    unbalanced: () => unbalanced(where),
    remove: () => {
      vnetBpf(['detach', ...where]);
      run('ip', ['netns', 'del', netns]);
    },
  };
}

/** Frames may be under way for a moment after the last process has ended. */
function unbalanced(where: readonly string[]): string | undefined {
  for (let tries = 0; ; tries++) {
    const { status, stdout, stderr } = vnetBpf(['stats', ...where, '--check']);
    if (status === 0) return undefined;
    if (tries === 5) return (stderr.trim() || stdout.trim()).split('\n').join('; ');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
  }
}

function makeControl(netns: string, { iface, mtu, farTso, looped }: Settings): Pick<Network, 'unbalanced' | 'remove'> {
  const far = `${netns}far`;
  ok('ip', ['netns', 'add', far]);
  okIn(far, 'sysctl', ['-qw', 'net.ipv6.conf.default.disable_ipv6=1']);
  ok('ip', [
    '-n',
    netns,
    'link',
    'add',
    iface,
    'address',
    MAC,
    'mtu',
    String(mtu),
    'type',
    'veth',
    'peer',
    'name',
    'far',
    'mtu',
    String(mtu),
    'netns',
    far,
  ]);
  if (!farTso) okIn(far, 'ethtool', ['-K', 'far', 'tso', 'off']);
  ok('ip', ['-n', far, 'link', 'set', 'far', 'up']);
  ok('tc', ['-n', far, 'qdisc', 'add', 'dev', 'far', 'clsact']);
  const everything = ['protocol', 'all', 'u32', 'match', 'u32', '0', '0'];
  ok('tc', [
    '-n',
    far,
    'filter',
    'add',
    'dev',
    'far',
    'ingress',
    ...everything,
    'action',
    'mirred',
    'egress',
    'redirect',
    'dev',
    'far',
  ]);
  // Duplicate address detection would meet itself.
  okIn(netns, 'sysctl', [
    '-qw',
    `net.ipv6.conf.${iface}.accept_dad=0`,
    `net.ipv4.conf.${iface}.accept_local=1`,
    `net.ipv4.conf.${iface}.rp_filter=0`,
  ]);
  ok('ip', ['-n', netns, 'link', 'set', iface, 'up']);
  if (looped) routeThrough(netns, iface);
  return {
    unbalanced: () => undefined,
    remove: () => {
      run('ip', ['netns', 'del', netns]);
      run('ip', ['netns', 'del', far]);
    },
  };
}

/** As `attach --addr` does it: the interface's own addresses leave through it, and what comes back is delivered. */
function routeThrough(netns: string, iface: string): void {
  for (const address of all) {
    const ip = (...words: string[]): string => ok('ip', ['-n', netns, isIpv6(address) ? '-6' : '-4', ...words]);
    ip('addr', 'add', prefixed(address), 'dev', iface, ...(isIpv6(address) ? ['nodad'] : []));
    ip('route', 'add', address, 'dev', iface, 'table', TABLE);
    ip('rule', 'add', 'priority', '20', 'iif', 'lo', 'to', address, 'lookup', TABLE);
  }
  for (const family of ['-4', '-6']) {
    const rule = (...words: string[]): string => ok('ip', ['-n', netns, family, 'rule', ...words]);
    rule('add', 'priority', '10', 'iif', iface, 'lookup', 'local');
    rule('add', 'priority', '30', 'lookup', 'local');
    rule('del', 'priority', '0');
  }
}
