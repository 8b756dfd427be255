// SPDX-License-Identifier: MIT
// tap starts tests with --import, and then Node loads even the entry file as an ES module and
// refuses the extension .ts. This says that .ts is CommonJS, which ts-node/register compiles.
import { register } from 'node:module';

const hook = `export async function load(url, context, next) {
  return url.endsWith('.ts') ? { format: 'commonjs', shortCircuit: true } : next(url, context);
}`;

register(`data:text/javascript,${encodeURIComponent(hook)}`);
