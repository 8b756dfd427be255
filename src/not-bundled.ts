// SPDX-License-Identifier: MIT
/**
 * Imported first by what needs the files of the package beside it: programs for the kernel, threads, koffi's library. In a
 * bundle they are missing, and what a bundler makes of our requires fails with words of its own.
 */
import { VnetError } from './errors';

function isWhereItBelongs(): boolean {
  try {
    // eslint-disable-next-line @typescript-eslint/no-require-imports
    const { existsSync } = require('node:fs') as typeof import('node:fs');
    return ['js', 'ts'].some((ending) => existsSync(`${__dirname}/not-bundled.${ending}`));
  } catch {
    return false; // an ES module: there is no require
  }
}

if (!isWhereItBelongs()) {
  throw new VnetError('UNSUPPORTED', 'vnet-bpf', 'cannot be part of a bundle; leave it outside of it, as by esbuild --external:vnet-bpf', { hint: 'docs/hooks.md#the-library' });
}
