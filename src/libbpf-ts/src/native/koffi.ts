// SPDX-License-Identifier: MIT
// koffi declares its types as those of an ES module, while `require` gets its CommonJS build.
export type Koffi = typeof import('koffi', { with: { 'resolution-mode': 'import' } });
export type { LibraryHandle } from 'koffi' with { 'resolution-mode': 'import' };

/** The foreign function interface. Only the files of this folder use it. */
export const koffi = load();

/** What koffi has for each kind of machine is an optional package, which npm may be told to leave out. */
function load(): Koffi {
  try {
    return require('koffi') as Koffi;
  } catch (cause) {
    const error: Error & { code?: string } = new Error(`koffi: its part for ${process.platform} on ${process.arch} cannot be loaded; npm install without --omit=optional brings it (${(cause as Error).message.split('\n')[0]})`, { cause });
    error.code = 'KOFFI_MISSING';
    throw error;
  }
}
