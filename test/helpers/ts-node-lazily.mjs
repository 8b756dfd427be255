// SPDX-License-Identifier: MIT
/** The same for `tap run`: it starts tests with --import. */
import { register } from 'node:module';

import './ts-node-lazily.cjs';

// Node then loads even the entry file as an ES module and refuses the extension .ts. This declares that .ts is
// CommonJS.
const hook = `export async function load(url, context, next) {
  return url.endsWith('.ts') ? { format: 'commonjs', shortCircuit: true } : next(url, context);
}`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);
