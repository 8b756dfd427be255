// SPDX-License-Identifier: MIT
import { koffiMissing } from './koffi-missing';

// koffi declares its types as those of an ES module, while `require` gets its CommonJS build.
export type Koffi = typeof import('koffi', { with: { 'resolution-mode': 'import' } });
export type { LibraryHandle } from 'koffi' with { 'resolution-mode': 'import' };

/** The foreign function interface. Only the files of this folder use it. */
export const koffi = load();

function load(): Koffi {
  try {
    return require('koffi') as Koffi;
  } catch (cause) {
    throw koffiMissing(cause);
  }
}
