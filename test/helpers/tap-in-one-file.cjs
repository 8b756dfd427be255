// SPDX-License-Identifier: MIT
/**
 * Preloaded by run-tests.ts with every test file: gives `tap` from one file, which make has built. Finding and reading
 * its 250 modules takes half of the time of a small test file.
 */
const Module = require('node:module');
const path = require('node:path');

const bundle = path.resolve(__dirname, '..', '..', 'dist-test', 'tap.cjs');
const resolve = Module._resolveFilename;
Module._resolveFilename = function (request, ...rest) {
  return request === 'tap' ? bundle : resolve.call(this, request, ...rest);
};
