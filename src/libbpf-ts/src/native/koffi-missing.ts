// SPDX-License-Identifier: MIT

/** What koffi has for each kind of machine is an optional package, which npm may be told to leave out. The error has the code KOFFI_MISSING. */
export function koffiMissing(cause: unknown): Error {
  const why = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
  const error = new Error(`koffi: its part for ${process.platform} on ${process.arch} cannot be loaded (${why}); npm install without --omit=optional brings it`, { cause });
  return Object.assign(error, { code: 'KOFFI_MISSING' });
}
