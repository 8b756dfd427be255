// SPDX-License-Identifier: MIT
/** For those who look again and again, while interfaces come and go. */
import { BpfError } from 'libbpf-ts';

import type { Attachment } from '../state/store';
import { readStats, type Stats } from './stats';

/** Null while the counters are not there: it is being attached or detached, or a killed command left it half-made. */
export function statsIfThere(attachment: Attachment): Stats | null {
  try {
    return readStats(attachment);
  } catch (error) {
    if (error instanceof BpfError && error.errnoName === 'ENOENT') return null;
    throw error;
  }
}
