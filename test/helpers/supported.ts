// SPDX-License-Identifier: MIT
/**
 * Why a test cannot run on this kernel, or false. Only a typed "unsupported" error counts, and only where
 * the kernel is older than what it asks for: a new one without the feature fails the test.
 */
import { kernelIsAtLeast, kernelRelease, NotSupportedError, requireFeature, type FeatureName } from 'libbpf-ts';

import { VnetError } from '../../src/errors';
import { requireKernel } from '../../src/requirements';
import { BACK_END, cannotRun } from './cli';
import { withoutDummy } from './dummy';

/** Why nothing can be looped here. */
export function cannotLoop(): string | false {
  if (cannotRun) return cannotRun;
  try {
    requireKernel();
    return false;
  } catch (error) {
    if (error instanceof VnetError && error.code === 'UNSUPPORTED') return error.message;
    throw error;
  }
}

/** Why the traffic tests cannot run on the back end that they are to run on. */
export const cannotCarry = (): string | false => cannotLoop() || (BACK_END === 'dummy' && withoutDummy());

export function without(feature: FeatureName): string | false {
  const why = cannotLoop();
  if (why) return why;
  try {
    requireFeature(feature);
    return false;
  } catch (error) {
    if (!(error instanceof NotSupportedError)) throw error;
    if (kernelIsAtLeast(error.minimumKernel))
      throw new Error(`${error.message}, but this is Linux ${kernelRelease().text}`, { cause: error });
    return error.message;
  }
}
