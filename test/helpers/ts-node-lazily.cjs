// SPDX-License-Identifier: MIT
/**
 * Preloaded with every test file. Most are compiled beforehand (TEST_SOURCES in the Makefile), because ts-node takes
 * more than a second of each; it is loaded only when a TypeScript file is.
 */
require.extensions['.ts'] = (module, file) => {
  delete require.extensions['.ts'];
  require('ts-node/register/transpile-only');
  require.extensions['.ts'](module, file);
};
