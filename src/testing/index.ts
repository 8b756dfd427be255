// SPDX-License-Identifier: MIT
/** `vnet-bpf/testing`: tests of the user's own protocols against the kernel's stack. */
import '../not-bundled';

export { differences, type Expected, type FrameMatcher } from './expected';
export { cannotRun, Lab, type ExpectOptions, type LabOptions } from './lab';
export type { RunOptions } from './run';
export type { SeedChoice } from './seed';
