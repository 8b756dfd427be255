// SPDX-License-Identifier: MIT
/** A line for each thing that the loop uses of the kernel: whether it is there, and what happens without it. */
import { kernelIsAtLeast, LibraryError, probeFeature } from 'libbpf-ts';

import { kernelFeatures, type KernelFeature } from '../kernel-features';
import { fail, isRoot, ok, warn, type Check } from './check';
import { inUserNamespace } from './privileges';

/** Whether the kernel has it; null if it cannot be asked. */
function isThere({ since, probe }: KernelFeature): boolean | null {
  if (probe === undefined) return kernelIsAtLeast(since);
  // The kernel answers a user namespace's root as if it lacked the feature.
  if (!isRoot() || inUserNamespace()) return null;
  try {
    return probeFeature(probe).supported ?? null;
  } catch (error) {
    if (error instanceof LibraryError) return null;
    throw error;
  }
}

function check(feature: KernelFeature): Check {
  const { name, since, without } = feature;
  const there = isThere(feature);
  if (there) return ok(name, `supported (since Linux ${since})`);
  if (there === null) return { name, status: 'warn', found: `not checked: asking needs root and libbpf; Linux ${since} has it`, mend: null };
  if (without === null) return fail(name, 'not supported', `boot Linux ${since} or later`);
  return warn(name, `degraded: ${without}`, `boot Linux ${since} or later`);
}

export const featureChecks = (): Check[] => kernelFeatures.map(check);
