// SPDX-License-Identifier: MIT
/**
 * Imports a module of a user. It stays outside of all bundles: V8 knows no loader for the modules that a script from
 * bytecode imports.
 */
export const importFrom = async (url: string): Promise<unknown> => import(url);
