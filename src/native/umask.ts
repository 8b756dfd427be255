// SPDX-License-Identifier: MIT
/** The umask that the caller has given this process. */

let callers: number | undefined;

/** It can only be read by setting it, which no worker thread may do. */
function callersUmask(): number {
  if (callers === undefined) {
    callers = process.umask(0o077);
    process.umask(callers);
  }
  return callers;
}

/** From now on the owner of what this process makes can read and write it: a umask of 0777 takes that away. */
export function leaveOwnerAlone(): void {
  process.umask(callersUmask() & 0o077);
}

/** Runs `body` with the caller's umask, for what it starts inherits that. */
export function withCallersUmask<T>(body: () => T): T {
  const present = process.umask(callersUmask());
  try {
    return body();
  } finally {
    process.umask(present);
  }
}
