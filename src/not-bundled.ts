// SPDX-License-Identifier: MIT
/**
 * Imported first by modules that need other files of the package: programs for the kernel, threads, koffi's library. A
 * bundle lacks these files, and our requires then fail in ways that do not show why.
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
  throw new VnetError(
    'UNSUPPORTED',
    'vnet-bpf',
    'cannot be part of a bundle; leave it outside of it, as by esbuild --external:vnet-bpf',
    { hint: 'docs/hooks.md#the-library' },
  );
}
