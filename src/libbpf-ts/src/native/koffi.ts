// SPDX-License-Identifier: MIT
// koffi declares its types as those of an ES module, while `require` gets its CommonJS build.
export type Koffi = typeof import('koffi', { with: { 'resolution-mode': 'import' } });
export type { LibraryHandle } from 'koffi' with { 'resolution-mode': 'import' };

/** The foreign function interface. Only the files of this folder use it. */
export const koffi = require('koffi') as Koffi;
