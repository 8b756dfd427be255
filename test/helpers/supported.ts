// SPDX-License-Identifier: MIT
/**
 * The reason why a test cannot run on this kernel, or false. Only a typed "unsupported" error counts, and only if the
 * kernel is older than the feature: on a newer kernel without the feature, the test fails.
 */
import { kernelIsAtLeast, kernelRelease, NotSupportedError, requireFeature, type FeatureName } from 'libbpf-ts';

import { VnetError } from '../../src/errors';
import { requireKernel } from '../../src/requirements';
import { BACK_END, cannotRun } from './cli';
import { withoutDummy } from './dummy';

/** The reason why nothing can be looped here, or false. */
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

/** The reason why the traffic tests cannot run on their back end, or false. */
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
