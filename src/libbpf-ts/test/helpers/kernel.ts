// SPDX-License-Identifier: MIT
/** What a test needs of the machine: root, a compiler, a program that runs, a namespace and file systems of its own. */
import { kernelIsAtLeast, NotSupportedError, requireFeature, type FeatureName } from '../../src/index';

/** For tap: the reason to skip a test of the real kernel, false when it must run. */
export const skipUnlessRoot: string | false = process.getuid?.() === 0 ? false : 'needs root';

/**
 * For tap: the reason to skip a test of a feature. Only the typed error counts, and only on a kernel that is older
 * than the feature.
 */
export function skipUnlessSupported(name: FeatureName): string | false {
  if (skipUnlessRoot) return skipUnlessRoot;
  try {
    requireFeature(name);
    return false;
  } catch (error) {
    if (!(error instanceof NotSupportedError) || kernelIsAtLeast(error.minimumKernel)) throw error;
    return error.message;
  }
}

/** A 4-byte key in native order. */
export function u32(value: number): Uint8Array {
  return new Uint8Array(new Uint32Array([value]).buffer);
}

/** A packet of `length` bytes that all TC programs accept. */
export function packet(length = 64, first = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes[0] = first;
  bytes[12] = 0x08;
  return bytes;
}
