// SPDX-License-Identifier: MIT
import { HINTS, VnetError } from '../errors';
import { SystemError } from '../native/libc';
import { exhaustion } from '../state/exhaustion';

/** What a change that the kernel refused comes to; with the errno `missing` it lacks something, which the user may mend. */
export function refused(what: string, cause: unknown, missing: string, lack: string, mend: string): unknown {
  if (!(cause instanceof SystemError)) return cause;
  const exhausted = exhaustion(cause, what);
  if (exhausted) return exhausted;
  const isMissing = cause.code === missing;
  return new VnetError('COMMAND_FAILED', what, isMissing ? lack : `the kernel refuses it (${cause.code})`, { hint: isMissing ? mend : HINTS.doctor, cause });
}
