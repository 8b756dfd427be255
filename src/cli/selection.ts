// SPDX-License-Identifier: MIT
/** Which interfaces a reading command shows: one, those of a namespace, or all. */
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

/**
 * Among several, reports broken attachments and fails at the end, but shows the others. selected() throws for one that
 * was named.
 */
export function reportBroken({ iface, netns }: Selection): void {
  if (iface !== undefined) return;
  for (const broken of brokenOnes(null, netns)) process.exitCode = reportError(brokenError(broken), false);
}

/** Reads the counters. Among several, an attachment whose pins are gone (killed half-way) must not hide the others. */
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
      'its counters are out of sight: this process may look neither at the mount namespace of process 1 nor at that of its controller';
    return new VnetError('STATE', what, why, {
      hint: `outside of ip netns exec, unshare and the like: ${commandAbout('stats', attachment)}`,
      cause,
    });
  }
  const why = 'its counters are not there: it is being attached or detached, or a killed command left it half-made';
  return new VnetError('STATE', what, why, {
    hint: `${commandAbout('detach', attachment)} removes what is left`,
    cause,
  });
}

/** Parses an option in seconds that may be given without a number. */
export function secondsOf(option: string, text: string): number {
  const seconds = text === '' ? 1 : Number(text);
  if (!(seconds >= 0.1 && seconds <= 86400)) {
    throw usageError(`${option} "${text}"`, 'is not a number of seconds from 0.1 to 86400', `such as ${option} 2`);
  }
  return seconds;
}
