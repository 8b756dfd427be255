// SPDX-License-Identifier: MIT
/**
 * What native code is called through: koffi, functions that are bound at first use, those of libc, and memory that C can
 * point to.
 */
import { koffiMissing } from './koffi-missing';

// koffi declares its types as those of an ES module, while `require` gets its CommonJS build.
export type Koffi = typeof import('koffi', { with: { 'resolution-mode': 'import' } });
export type LibraryHandle = import('koffi', { with: { 'resolution-mode': 'import' } }).LibraryHandle;

/** The foreign function interface. Only the files of this folder use it. */
export const koffi = load();

function load(): Koffi {
  try {
    return require('koffi') as Koffi;
  } catch (cause) {
    throw koffiMissing(cause);
  }
}
