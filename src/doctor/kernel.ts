// SPDX-License-Identifier: MIT
/**
 * Checks of the kernel: its release and configuration, the features that the loop uses, its networking, and this
 * process's privileges.
 */
import * as fs from 'node:fs';

import { kernelIsAtLeast, kernelRelease, LibraryError, probeFeature } from 'libbpf-ts';

import { inNewNetns } from '../link/netns';
import { tryCommand } from '../native/command';
import {
  IN_USER_NAMESPACE,
  inUserNamespace,
  type KernelFeature,
  kernelFeatures,
  missingCapabilities,
} from '../requirements';
import { cannotCheck, type Check, fail, isRoot, ok, warn } from './check';

/** The oldest release on which the tests run; src/requirements.ts has what is really needed. */
const TESTED = '6.1';

function release(): Check {
  const { text } = kernelRelease();
  if (kernelIsAtLeast(TESTED)) return ok('release', text);
  return warn('release', `${text} is older than ${TESTED}: not tested`, `boot Linux ${TESTED} or later`);
}

function btf(): Check {
  const file = '/sys/kernel/btf/vmlinux';
  if (fs.existsSync(file)) return ok('BTF', file);
  return fail('BTF', `no ${file}`, 'boot a kernel with CONFIG_DEBUG_INFO_BTF, as distributions build it');
}

function jit(): Check {
  const file = '/proc/sys/net/core/bpf_jit_enable';
  let value: string;
  try {
    value = fs.readFileSync(file, 'utf8').trim();
  } catch {
    // Only the first network namespace has either file (net/core/sysctl_net_core.c).
    if (!fs.existsSync('/proc/sys/net/core/netdev_max_backlog'))
      return ok('JIT', 'net.core.bpf_jit_enable is not visible from this namespace');
    return warn('JIT', `no ${file}`, 'a kernel with CONFIG_BPF_JIT runs the programs several times as fast');
  }
  if (value !== '0') return ok('JIT', 'BPF programs are compiled');
  return warn('JIT', 'BPF programs are interpreted', 'sysctl -w net.core.bpf_jit_enable=1');
}

/**
 * Lockdown for confidentiality forbids BPF programs to read kernel memory, which is how they find checksums and GSO
 * fields.
 */
function lockdown(): Check {
  let text: string;
  try {
    text = fs.readFileSync('/sys/kernel/security/lockdown', 'utf8');
  } catch {
    return ok('lockdown', 'none');
  }
  const mode = /\[(\w+)\]/.exec(text)?.[1] ?? 'none';
  if (mode !== 'confidentiality') return ok('lockdown', mode);
  return fail('lockdown', mode, 'boot with lockdown=integrity or without lockdown');
}

export function kernelChecks(): Check[] {
  return [release(), btf(), jit(), lockdown()];
}

// Privileges of this process.

function root(): Check {
  if (!isRoot())
    return warn(
      'root',
      `user ${process.geteuid?.() ?? '?'}`,
      'sudo vnet-bpf doctor checks the rest; attach, detach, list and stats need root too',
    );
  if (inUserNamespace()) {
    return fail('root', IN_USER_NAMESPACE.what, IN_USER_NAMESPACE.hint);
  }
  return ok('root', 'yes');
}

function capabilities(): Check {
  if (!isRoot()) return cannotCheck('capabilities');
  const missing = missingCapabilities();
  if (missing.length === 0) return ok('capabilities', 'all that are needed');
  const names = missing.map(({ name }) => name);
  const why = missing.map(({ name, why }) => `${name} ${why}`).join('; ');
  const flags = names.map((name) => `--cap-add ${name.replace('CAP_', '')}`).join(' ');
  return fail('capabilities', `missing: ${names.join(', ')}`, `${why}; in a container: --privileged or ${flags}`);
}

export function privilegeChecks(): Check[] {
  return [root(), capabilities()];
}

// Kernel features that the loop uses, one line each: whether the kernel has it, and what happens without it.

/** Whether the kernel has the feature; null if it cannot be probed. */
function isThere({ since, probe }: KernelFeature): boolean | null {
  if (probe === undefined) return kernelIsAtLeast(since);
  // To root of a user namespace, the kernel answers as if it lacked the feature.
  if (!isRoot() || inUserNamespace()) return null;
  try {
    return probeFeature(probe).supported ?? null;
  } catch (error) {
    if (error instanceof LibraryError) return null;
    throw error;
  }
}

function check(feature: KernelFeature): Check {
  const { name, since, without } = feature;
  const there = isThere(feature);
  if (there) return ok(name, `supported (since Linux ${since})`);
  if (there === null)
    return {
      name,
      status: 'warn',
      found: `not checked: asking needs root and libbpf; Linux ${since} has it`,
      fix: null,
    };
  if (without === null) return fail(name, 'not supported', `boot Linux ${since} or later`);
  return warn(name, `degraded: ${without}`, `boot Linux ${since} or later`);
}

export const featureChecks = (): Check[] => kernelFeatures.map(check);

// The kernel's networking: the devices that it can make, and the settings that matter.

interface Made {
  veth: string;
  clsact: string;
  room: string;
  dummy: string;
  netem: string;
}

/**
 * Makes what attach makes, in a namespace that is gone when this returns: a veth pair, a clsact qdisc, a waiting
 * room, a dummy; and what impair makes. Returns for each the reason why it could not be made, or ''.
 */
function make(): Made {
  const attemptAll = (commands: readonly string[]): string => {
    for (const line of commands) {
      const [program, ...args] = line.split(' ') as [string, ...string[]];
      const { status, stderr } = tryCommand(program, args);
      if (status !== 0) return stderr.trim().split('\n').at(-1) ?? 'failed';
    }
    return '';
  };
  return inNewNetns(() => ({
    veth: attemptAll(['ip link add name a type veth peer name b']),
    clsact: attemptAll(['tc qdisc add dev a clsact']),
    room: attemptAll([
      'ip link add link a name c type macvlan mode private',
      'tc qdisc add dev c root tbf rate 1mbit burst 100k limit 1m',
    ]),
    dummy: attemptAll(['ip link add name d type dummy']),
    netem: attemptAll(['tc qdisc add dev b root netem delay 1ms']),
  }));
}

function devices(tcx: boolean): Check[] {
  if (!isRoot()) return ['veth', 'clsact', 'waiting room', 'dummy', 'netem'].map(cannotCheck);
  let made: Made;
  try {
    made = make();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return [fail('veth', `no network namespace to try it in: ${why}`, 'the capabilities above may be the reason')];
  }
  if (made.veth !== '') return [fail('veth', made.veth, 'modprobe veth, or a kernel with CONFIG_VETH')];
  return [
    ok('veth', 'available'),
    clsact(made.clsact, tcx),
    room(made.room),
    optional('dummy', made.dummy, 'modprobe dummy, or attach without --type dummy'),
    optional('netem', made.netem, 'modprobe sch_netem; without it, impair works by rules of faults'),
  ];
}

function clsact(why: string, tcx: boolean): Check {
  if (tcx) return ok('clsact', `${why === '' ? 'available' : 'missing'}, not needed: there is tcx`);
  if (why === '') return ok('clsact', 'available');
  return fail(
    'clsact',
    why,
    'modprobe sch_ingress cls_bpf, or a kernel with CONFIG_NET_SCH_INGRESS and CONFIG_NET_CLS_BPF',
  );
}

/** Checks the waiting room, where frames wait while the queue is stopped. */
function room(why: string): Check {
  if (why === '') return ok('waiting room', 'macvlan and tbf are available');
  return warn('waiting room', why, 'modprobe macvlan sch_tbf, or attach with --when-full drop');
}

/** Checks what only some options and commands need. */
const optional = (name: string, why: string, fix: string): Check =>
  why === '' ? ok(name, 'available') : warn(name, why, fix);

function ipv6(): Check {
  if (fs.existsSync('/proc/sys/net/ipv6')) return ok('IPv6', 'available');
  return warn('IPv6', 'this kernel has none', 'give vnet0 IPv4 addresses only');
}

function sysctl(name: string): number | null {
  try {
    return Number(fs.readFileSync(`/proc/sys/${name.replaceAll('.', '/')}`, 'utf8'));
  } catch {
    return null;
  }
}

/** Checks rp_filter. The kernel uses the larger of `all` and the interface's own; attach sets only the latter. */
function reversePathFilter(): Check {
  const name = 'net.ipv4.conf.all.rp_filter';
  const value = sysctl(name);
  if (value === null) return warn('rp_filter', `${name} cannot be read`, 'mount proc on /proc');
  if (value !== 1) return ok('rp_filter', `${name} = ${value}`);
  return warn(
    'rp_filter',
    `${name} = 1: frames with a foreign source address are dropped`,
    `where such frames are to be looped: sysctl -w ${name}=2`,
  );
}

const BACKLOG_DEFAULT = 1000;

/** Checks the backlog of the receiving CPU, where reinjected frames wait. */
function backlog(): Check {
  const name = 'net.core.netdev_max_backlog';
  const value = sysctl(name);
  if (value === null) return ok('backlog', `${name} is not visible from this namespace`);
  if (value >= BACKLOG_DEFAULT) return ok('backlog', `${name} = ${value}`);
  return warn(
    'backlog',
    `${name} = ${value}: bursts lose frames (refused: backlog)`,
    `sysctl -w ${name}=${BACKLOG_DEFAULT}`,
  );
}

function kernelLog(): Check {
  try {
    fs.accessSync('/dev/kmsg', fs.constants.W_OK);
    return ok('kernel log', '/dev/kmsg takes the VNET: lines');
  } catch {
    if (!isRoot()) return cannotCheck('kernel log');
    return warn('kernel log', '/dev/kmsg cannot be written', 'nothing to do: vnet-bpf log has the same lines');
  }
}

export function networkChecks(tcx: boolean): Check[] {
  return [...devices(tcx), ipv6(), reversePathFilter(), backlog(), kernelLog()];
}
