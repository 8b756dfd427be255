// SPDX-License-Identifier: MIT
/** Warnings that Node.js prints about itself: they say nothing to a user of this program, and stand where its own line is looked for. */

/** What a newer version of Node.js would have its own users write otherwise. */
const ABOUT_NODE: readonly string[] = ['DeprecationWarning', 'ExperimentalWarning'];

/** From now on this thread prints none of them, unless whoever started it asks for them: `NODE_OPTIONS=--trace-warnings`. All others stay. */
export function keepNodeQuiet(): void {
  const options = [...process.execArgv, ...(process.env['NODE_OPTIONS'] ?? '').split(' ')];
  if (options.some((option) => /^--(trace|throw|pending)-(warnings|deprecation)$/.test(option))) return;
  const print = process.listeners('warning');
  process.removeAllListeners('warning');
  process.on('warning', (warning) => {
    if (!ABOUT_NODE.includes(warning.name)) for (const listener of print) listener.call(process, warning);
  });
}
