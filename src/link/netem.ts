// SPDX-License-Identifier: MIT
/**
 * netem, the kernel's own impairments, as the root qdisc of the hidden peer: what comes back to vnet0 passes it. The
 * calling thread is in the hidden namespace.
 */
import { HINTS, VnetError } from '../errors';
import { requireNetemSeed } from '../kernel-features';
import { SystemError } from '../native/libc';
import { HOST_PEER_NETNS } from '../state/paths';
import { linkByName } from './links';
import { attribute, message, textAttribute } from './message';
import { netemMessage, type NetemOptions } from './netem-options';
import { qdiscsOf } from './qdisc';
import { change, NLM_F_CREATE, NLM_F_EXCL } from './rtnetlink';

const KIND = 'netem';
const RTM_NEWQDISC = 36;
const RTM_DELQDISC = 37;
const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const TC_H_ROOT = 0xffffffff;

/** struct tcmsg: family, ifindex, handle, parent, info. */
function rootOf(dev: string): Uint8Array {
  const ifindex = linkByName(dev)?.ifindex;
  if (ifindex === undefined) throw new VnetError('INTERFACE_GONE', `interface ${dev}`, 'is gone', { hint: HINTS.doctor });
  return new Uint8Array(Uint32Array.from([0, ifindex, 0, TC_H_ROOT, 0]).buffer);
}

/** What a netem has to say; null where there is none. */
export function readNetem(dev: string): { waiting: number; drops: number } | null {
  const found = qdiscsOf(dev).find(({ kind }) => kind === KIND);
  return found ? { waiting: found.qlen, drops: found.drops } : null;
}

/** Takes it away, if it is there, with the frames that are in it. */
export function removeNetem(dev: string): void {
  if (readNetem(dev)) change(RTM_DELQDISC, rootOf(dev));
}

/** Puts one there, where there is none. What is sent meanwhile is lost: the kernel exchanges the qdisc for noop first (qdisc_graft in net/sched/sch_api.c). */
export function addNetem(dev: string, options: NetemOptions): void {
  tell(dev, options, NLM_F_CREATE | NLM_F_EXCL);
}

/** Gives the one that is there other options. Frames in it keep their time; if the kernel refuses it, the old ones stay. */
export function changeNetem(dev: string, options: NetemOptions): void {
  tell(dev, options, 0);
}

function tell(dev: string, options: NetemOptions, flags: number): void {
  if (options.seed !== null) requireNetemSeed();
  try {
    change(RTM_NEWQDISC, message(rootOf(dev), textAttribute(TCA_KIND, KIND), attribute(TCA_OPTIONS, netemMessage(options))), flags);
  } catch (cause) {
    if (!(cause instanceof SystemError)) throw cause;
    if (cause.code === 'ENOENT') {
      throw new VnetError('UNSUPPORTED', 'impair', 'this kernel has no netem (CONFIG_NET_SCH_NETEM)', {
        hint: 'modprobe sch_netem if it is a module; the hook src/examples/chaos.ts makes a bad wire without it: docs/hooks.md',
      });
    }
    throw new VnetError('SYSCALL', 'impair', `the kernel refuses it (${cause.code}), and what was in place stays`, { hint: HINTS.doctor, cause });
  }
}

/** The same as commands that can be typed; `words` are those of tc, null to take it away. */
export function netemCommands(dev: string, present: boolean, words: readonly string[] | null): string[] {
  const remove = ['qdisc', 'del', 'dev', dev, 'root'];
  const commands = [...(present ? [remove] : []), ...(words ? [['qdisc', 'add', 'dev', dev, 'root', KIND, ...words]] : [])];
  return commands.map((args) => ['nsenter', `--net=${HOST_PEER_NETNS}`, 'tc', ...args].join(' '));
}
