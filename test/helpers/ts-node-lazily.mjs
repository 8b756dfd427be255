// SPDX-License-Identifier: MIT
/** The same for `tap run`: it starts tests with --import. */
import { register } from 'node:module';

import './ts-node-lazily.cjs';

// Node loads even the entry file as an ES module then and refuses the extension .ts. This says that .ts is CommonJS.
const hook = `export async function load(url, context, next) {
  return url.endsWith('.ts') ? { format: 'commonjs', shortCircuit: true } : next(url, context);
}`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);
