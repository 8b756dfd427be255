// SPDX-License-Identifier: MIT
/** The umask that the caller has given this process. */

const callers = process.umask(0o077);
process.umask(callers);

/** From now on the owner of what this process makes can read and write it: a umask of 0777 takes that away. */
export function leaveOwnerAlone(): void {
  process.umask(callers & 0o077);
}

/** Runs `body` with the caller's umask, for what it starts inherits that. */
export function withCallersUmask<T>(body: () => T): T {
  const present = process.umask(callers);
  try {
    return body();
  } finally {
    process.umask(present);
  }
}
