// SPDX-License-Identifier: MIT
import { SystemError } from '../native/libc';

/** Makes a change that the kernel may refuse because its object is gone already, or there already. */
export function ifPossible(change: () => void): void {
  try {
    change();
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
  }
}
