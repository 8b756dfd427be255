// SPDX-License-Identifier: MIT
/** Selects the interfaces that a command shows: one, those of a namespace, or all. */
import { countersAreMissing, readStats, type Stats } from '../datapath/stats';
import { commandAbout, usageError, VnetError } from '../errors';
import { attachmentsOfNetns, brokenError, brokenOnes, requireAttachment } from '../lifecycle/find-attachment';
import { checkInterfaceName, checkNetnsName } from '../options/values';
import { machineIsOutOfSight } from '../state/paths';
import { allAttachments, isControlled, type Attachment } from '../state/store';
import { reportError } from '../terminal/output';

export interface Selection {
  iface: string | undefined;
  netns: string | undefined;
}

export interface Read {
  attachment: Attachment;
  stats: Stats;
}

/** Checks the names before anything is read. */
export function checkSelection({ iface, netns }: Selection): void {
  if (iface !== undefined) checkInterfaceName(iface);
  if (netns !== undefined) checkNetnsName(netns);
}

export function selected({ iface, netns }: Selection): Attachment[] {
  if (iface !== undefined) return [requireAttachment(iface, netns ?? null)];
  return netns === undefined ? allAttachments() : attachmentsOfNetns(netns);
}

/** The same for a command that goes on: a named interface may go, and come again. */
export function selectedNow(selection: Selection): Attachment[] {
  try {
    return selected(selection);
  } catch (error) {
    if (error instanceof VnetError && (error.code === 'NOT_ATTACHED' || error.code === 'NO_SUCH_NETNS')) return [];
    throw error;
  }
}

/**
 * If several interfaces are shown, reports broken attachments and sets the exit code, so that the others are shown,
 * too. For an interface that was named, selected() throws instead.
 */
export function reportBroken({ iface, netns }: Selection): void {
  if (iface !== undefined) return;
  for (const broken of brokenOnes(null, netns)) process.exitCode = reportError(brokenError(broken), false);
}

/**
 * Reads the counters. If several interfaces are shown, one whose pins are gone (its command was killed halfway) must
 * not hide the others.
 */
export function readIfWhole(attachment: Attachment, { iface }: Selection): Read[] {
  try {
    return [{ attachment, stats: readStats(attachment) }];
  } catch (cause) {
    if (!countersAreMissing(cause)) throw cause;
    const error = withoutCounters(attachment, cause);
    if (iface !== undefined) throw error;
    process.exitCode = reportError(error, false);
    return [];
  }
}

function withoutCounters(attachment: Attachment, cause: unknown): VnetError {
  const what = `stats of ${attachment.iface}`;
  if (machineIsOutOfSight() && isControlled(attachment)) {
    const why =
      'its counters are out of sight: this process may inspect neither the mount namespace of process 1 nor that of its controller';
    return new VnetError('STATE', what, why, {
      hint: `run outside ip netns exec, unshare and the like: ${commandAbout('stats', attachment)}`,
      cause,
    });
  }
  const why = 'its counters do not exist: it is being attached or detached, or a killed command left it half-made';
  return new VnetError('STATE', what, why, {
    hint: `${commandAbout('detach', attachment)} removes what is left`,
    cause,
  });
}

/** Parses an option in seconds; without a number it means one second. */
export function secondsOf(option: string, text: string): number {
  const seconds = text === '' ? 1 : Number(text);
  if (!(seconds >= 0.1 && seconds <= 86400)) {
    throw usageError(`${option} "${text}"`, 'is not a number of seconds from 0.1 to 86400', `such as ${option} 2`);
  }
  return seconds;
}
