// SPDX-License-Identifier: MIT
// Stands in for ts-node/register in the guest, where every .ts lies compiled as .js: a request for one gets the other.
const Module = require('node:module');

const resolve = Module._resolveFilename;
Module._resolveFilename = function (request, ...rest) {
  return resolve.call(this, request.replace(/\.ts$/, '.js'), ...rest);
};
