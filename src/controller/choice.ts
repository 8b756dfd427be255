// SPDX-License-Identifier: MIT
/**
 * What judges the frames of an interface: a hook, or faults, or an impairment without netem, or nothing. An interface
 * has only one of them: a hook that plays a host takes frames off the wire, so which frames the faults see would depend
 * on the hook.
 */
import type { HookWish, JudgeKind, JudgeWish } from '../control/orders';
import { commandFor, VnetError } from '../errors';
import type { FaultsWish } from '../faults/source';
import type { OnHookError } from '../hooks/contract';
import type { FunctionLink } from '../hooks/function-host';
import { trustedHookFile } from '../hooks/trust';
import type { HookThread } from '../hooks/worker-handle';
import type { Attachment } from '../state/store';
import type { FaultLogFiles } from './fault-log-files';

interface HookChoice {
  file: string;
  onError: OnHookError;
  /** For a hook that is a function of this program. */
  connect?: () => FunctionLink;
}

/** Faults fail closed: no frame passes without them. */
interface FaultsChoice {
  faults: FaultsWish;
  onError: 'drop';
}

export type Choice = HookChoice | FaultsChoice;

export const isFaults = <T extends HookWish | HookChoice>(
  choice: T | { faults: FaultsWish } | null,
): choice is { faults: FaultsWish } => choice !== null && 'faults' in choice;

export const kindOf = (choice: Choice | JudgeWish | null): JudgeKind | null =>
  choice === null ? null : !isFaults(choice) ? 'hook' : 'impairment' in choice.faults ? 'impairment' : 'faults';

/** What needs a thread of its own, for messages. */
const neededBy = (choice: Choice | null): string =>
  ({ hook: 'a hook', faults: 'a rule of faults', impairment: 'an impairment without netem' })[kindOf(choice) ?? 'hook'];

/** For messages. */
export function nameOf(choice: Choice | JudgeWish | null): string {
  if (choice === null) return 'no hook';
  if (!isFaults(choice)) return `hook ${choice.file}`;
  return 'impairment' in choice.faults ? 'an impairment' : 'faults';
}

/** Checks what is asked for, and resolves links in its path. `setting` is the interface's. Throws HOOK. */
export function choiceOf(wish: JudgeWish, setting: OnHookError): Choice {
  if (isFaults(wish)) return { faults: trusted(wish.faults), onError: 'drop' };
  const onError = wish.onError ?? setting;
  if ('connect' in wish) return { file: wish.file, onError, connect: wish.connect };
  return { file: trustedHookFile(wish.file), onError };
}

const trusted = (faults: FaultsWish): FaultsWish =>
  'file' in faults ? { ...faults, file: trustedHookFile(faults.file, 'faults') } : faults;

/** Makes a thread replace what it had by `choice`. Returns why a hook has not started, or null. */
export async function useIn(thread: HookThread, choice: Choice, faultLog: FaultLogFiles): Promise<string | null> {
  if (isFaults(choice)) {
    const { faults } = choice;
    const isLogged = !('impairment' in faults);
    const set = faultLog.nextSet();
    const rules = await thread.order({ kind: 'faults', faults, logFds: isLogged ? faultLog.open() : [], set });
    if (isLogged) faultLog.remember(set, rules);
    return null;
  }
  const { file, onError, connect } = choice;
  const link = connect?.();
  return link
    ? thread.order({ kind: 'use-function', link, onError }, [link.port])
    : thread.order({ kind: 'use', file, onError });
}

/** How a user removes what is in place. */
const REMOVE = {
  hook: ['hook', '--none'],
  faults: ['faults', '--clear'],
  impairment: ['impair', '--clear'],
} as const satisfies Record<JudgeKind, readonly [verb: string, option: string]>;

/** Throws STATE if something of another kind is in place. */
export function requireFree(choice: Choice | null, wanted: JudgeKind, iface: string, netns: string | null): void {
  const kind = kindOf(choice);
  if (kind === null || kind === wanted) return;
  const [verb, option] = REMOVE[kind];
  const why = 'an interface has one of a hook, faults, and an impairment without netem';
  throw new VnetError('STATE', `${wanted} on ${iface}`, `it has ${nameOf(choice)}, and ${why}`, {
    hint: `${commandFor(verb, iface, netns, option)} removes what is there`,
  });
}

/** Throws STATE if the thread of what is in place is gone: `down` says why, and is null if it is not. */
export function requireUp(choice: Choice | null, down: string | null, iface: string, netns: string | null): void {
  if (down === null) return;
  const [command] = REMOVE[kindOf(choice) ?? 'hook'];
  throw new VnetError('STATE', nameOf(choice), `nothing passes until its thread has started again: ${down}`, {
    hint: `${commandFor('log', iface, netns)} tells why it ended; vnet-bpf ${command} puts another in its place, or none`,
  });
}

/** What the record says about a choice. */
export function recordOf(choice: Choice | null): Pick<Attachment, 'hook' | 'faults'> {
  if (choice === null) return { hook: null, faults: null };
  if (!isFaults(choice)) return { hook: choice.file, faults: null };
  const { faults } = choice;
  if ('impairment' in faults) return { hook: null, faults: null }; // the record has its words elsewhere
  return {
    hook: null,
    faults: 'file' in faults ? { document: null, ...faults } : { ...faults, file: null, seed: null },
  };
}

/** The faults that a record names; null for none. */
export function faultsOfRecord(record: Attachment['faults']): FaultsWish | null {
  if (record === null) return null;
  const { document, file, seed } = record;
  return document !== null ? { document } : file !== null ? { file, seed } : null;
}

/**
 * The request of the only queue. Throws UNSUPPORTED if there are several: what is `needing` it has to see all frames in order, which
 * takes a single queue.
 */
export function onlyQueue<T>(
  { requests, interface: iface, netns }: { requests: readonly T[]; interface: string; netns: string | null },
  needing: string | Choice | null,
): T {
  const what = typeof needing === 'string' ? needing : neededBy(needing);
  if (requests.length > 1)
    throw new VnetError(
      'UNSUPPORTED',
      `${what} on ${iface}`,
      `it has ${requests.length} queues, and ${what} takes one`,
      { hint: `${commandFor('attach', iface, netns, '--replace')}, without --queues` },
    );
  return requests[0] as T;
}
