// SPDX-License-Identifier: MIT
/** For those who look again and again, while interfaces come and go. */
import { BpfError } from 'libbpf-ts';

import type { Attachment } from '../state/store';
import { readStats, type Stats } from './stats';

/** Whether counters could not be read because they are not there: being attached or detached, or left half-made by a kill. */
export const countersAreMissing = (error: unknown): boolean => error instanceof BpfError && error.errnoName === 'ENOENT';

/** Null while they are not there. */
export function statsIfThere(attachment: Attachment): Stats | null {
  try {
    return readStats(attachment);
  } catch (error) {
    if (countersAreMissing(error)) return null;
    throw error;
  }
}
