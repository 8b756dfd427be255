// SPDX-License-Identifier: MIT
/**
 * A checkout of the product to be measured, and the options that its `attach` has. Newer options appear as variants.
 */
import * as path from 'node:path';

import { ok } from '../helpers/netns';

export interface Product {
  /** Its name in tables: `ours`, or the name given with --ours NAME=PATH. */
  name: string;
  /** Its dist/cli/main.js. */
  main: string;
  /** Whether one command can attach several interfaces, all looped by one process. */
  attachesSeveral: boolean;
  has(option: string): boolean;
}

/** Describes the product at `where`, a checkout or its dist/cli/main.js. */
export function product(name: string, where: string): Product {
  const main = where.endsWith('.js') ? path.resolve(where) : path.resolve(where, 'dist', 'cli', 'main.js');
  const help = ok(process.execPath, [main, 'attach', '--help']);
  return {
    name,
    main,
    attachesSeveral: /^vnet-bpf attach .*\.\.[>\]]/m.test(help),
    has: (option) => help.includes(`--${option} `),
  };
}
