// SPDX-License-Identifier: MIT
/** Checks of the kernel's networking: what it can make, and the settings that matter. */
import * as fs from 'node:fs';

import { inNewNetns } from '../link/netns';
import { tryCommand } from '../native/command';
import { cannotCheck, fail, isRoot, ok, warn, type Check } from './check';

interface Made {
  veth: string;
  clsact: string;
  room: string;
}

/**
 * Makes what attach makes, in a namespace that is gone when this returns: a veth pair, a clsact
 * qdisc, and a waiting room. For each the reason why it could not be made, or ''.
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
  }));
}

function devices(tcx: boolean): Check[] {
  if (!isRoot()) return ['veth', 'clsact', 'waiting room'].map(cannotCheck);
  let made: Made;
  try {
    made = make();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return [fail('veth', `no network namespace to try it in: ${why}`, 'the capabilities above may be the reason')];
  }
  if (made.veth !== '') return [fail('veth', made.veth, 'modprobe veth, or a kernel with CONFIG_VETH')];
  return [ok('veth', 'available'), clsact(made.clsact, tcx), room(made.room)];
}

function clsact(why: string, tcx: boolean): Check {
  if (tcx) return ok('clsact', `${why === '' ? 'available' : 'missing'}, not needed: there is tcx`);
  if (why === '') return ok('clsact', 'available');
  return fail('clsact', why, 'modprobe sch_ingress cls_bpf, or a kernel with CONFIG_NET_SCH_INGRESS and CONFIG_NET_CLS_BPF');
}

/** Where frames wait while the queue is stopped. */
function room(why: string): Check {
  if (why === '') return ok('waiting room', 'macvlan and tbf are available');
  return warn('waiting room', why, 'modprobe macvlan sch_tbf, or attach with --when-full drop');
}

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

/** The kernel takes the larger one of `all` and the interface's own; attach sets only the latter. */
function reversePathFilter(): Check {
  const name = 'net.ipv4.conf.all.rp_filter';
  const value = sysctl(name);
  if (value === null) return warn('rp_filter', `${name} cannot be read`, 'mount proc on /proc');
  if (value !== 1) return ok('rp_filter', `${name} = ${value}`);
  return warn('rp_filter', `${name} = 1: frames with a foreign source address are dropped`, `where such frames are to be looped: sysctl -w ${name}=2`);
}

const BACKLOG_DEFAULT = 1000;

/** Reinjected frames wait in the backlog of the receiving CPU. */
function backlog(): Check {
  const name = 'net.core.netdev_max_backlog';
  const value = sysctl(name);
  if (value === null) return ok('backlog', `${name} is not visible from this namespace`);
  if (value >= BACKLOG_DEFAULT) return ok('backlog', `${name} = ${value}`);
  return warn('backlog', `${name} = ${value}: bursts lose frames (refused: backlog)`, `sysctl -w ${name}=${BACKLOG_DEFAULT}`);
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
