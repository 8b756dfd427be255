// SPDX-License-Identifier: MIT
/**
 * Preloaded with every test file. Most are compiled before (TEST_SOURCES in the Makefile), because ts-node takes
 * more than a second of each; it is loaded when something in TypeScript is.
 */
require.extensions['.ts'] = (module, file) => {
  delete require.extensions['.ts'];
  require('ts-node/register/transpile-only');
  require.extensions['.ts'](module, file);
};
