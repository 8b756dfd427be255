// SPDX-License-Identifier: MIT
/** The directory that this process was started in may be gone: its owner, or that of the one above, can remove it at any time. */

/**
 * Leaves a current directory that is gone, of which Node.js and its threads cannot tell the name, for /proc. There a
 * relative name is not found, and nothing can be made; absolute names work as ever.
 */
export function leaveMissingDirectory(): void {
  try {
    process.cwd();
  } catch {
    process.chdir('/proc');
  }
}
