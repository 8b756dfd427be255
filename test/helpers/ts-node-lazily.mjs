// SPDX-License-Identifier: MIT
/**
 * Preloaded with every test file. Most are compiled before (test/tsconfig.compile.json), because ts-node takes
 * more than a second of each; it is loaded when something in TypeScript is.
 */
import { createRequire, register } from 'node:module';

const require = createRequire(import.meta.url);

require.extensions['.ts'] = (module, file) => {
  delete require.extensions['.ts'];
  require('ts-node/register/transpile-only');
  require.extensions['.ts'](module, file);
};

// tap starts tests with --import, and then Node loads even the entry file as an ES module and refuses the
// extension .ts. This says that .ts is CommonJS.
const hook = `export async function load(url, context, next) {
  return url.endsWith('.ts') ? { format: 'commonjs', shortCircuit: true } : next(url, context);
}`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);
