// SPDX-License-Identifier: MIT
/**
 * netem, the kernel's own impairments, as the root qdisc of the hidden peer: what comes back to vnet0 passes it. The
 * calling thread is in the hidden namespace.
 */
import { HINTS, VnetError } from '../errors';
import { tryCommand } from '../native/command';
import { HOST_PEER_NETNS } from '../state/paths';
import { qdiscsOf } from './qdisc';

const KIND = 'netem';

const removeArguments = (dev: string): string[] => ['qdisc', 'del', 'dev', dev, 'root'];
const addArguments = (dev: string, words: readonly string[]): string[] => ['qdisc', 'add', 'dev', dev, 'root', KIND, ...words];

/** What a netem has to say; null where there is none. */
export function readNetem(dev: string): { waiting: number; drops: number } | null {
  const found = qdiscsOf(dev).find(({ kind }) => kind === KIND);
  return found ? { waiting: found.qlen, drops: found.drops } : null;
}

/** Takes it away, if it is there, with the frames that are in it. */
export function removeNetem(dev: string): void {
  if (readNetem(dev)) tc(removeArguments(dev));
}

/** Puts one there; the words are those of impairmentWords(). There must be none. */
export function addNetem(dev: string, words: readonly string[]): void {
  tc(addArguments(dev, words));
}

/** The same as commands that can be typed; `words` are null to take it away. */
export function netemCommands(dev: string, present: boolean, words: readonly string[] | null): string[] {
  const commands = [...(present ? [removeArguments(dev)] : []), ...(words ? [addArguments(dev, words)] : [])];
  return commands.map((args) => ['nsenter', `--net=${HOST_PEER_NETNS}`, 'tc', ...args].join(' '));
}

function tc(args: readonly string[]): void {
  const { status, stderr } = tryCommand('tc', args);
  if (status === 0) return;
  if (/qdisc kind is unknown|qdisc not found/i.test(stderr)) {
    throw new VnetError('UNSUPPORTED', 'impair', 'this kernel has no netem (CONFIG_NET_SCH_NETEM)', {
      hint: 'modprobe sch_netem if it is a module; the hook src/examples/chaos.ts makes a bad wire without it: docs/hooks.md',
    });
  }
  const why = stderr.trim().split('\n')[0] ?? '';
  throw new VnetError('COMMAND_FAILED', `tc ${args.join(' ')}`, why.replace(/^(RTNETLINK answers|Error): /, '') || `exit status ${status}`, { hint: HINTS.doctor });
}
