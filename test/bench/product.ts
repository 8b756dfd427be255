// SPDX-License-Identifier: MIT
/** A checkout of the product to measure, and which options its `attach` has: younger ones appear as variants. */
import * as path from 'node:path';

import { ok } from '../helpers/netns';

export interface Product {
  /** In tables: `ours`, or the name given with --ours NAME=PATH. */
  name: string;
  /** Its dist/cli/main.js. */
  main: string;
  /** Whether one command attaches several interfaces, with one process for all. */
  attachesSeveral: boolean;
  has(option: string): boolean;
}

/** Looks at a product; `where` is a checkout or its dist/cli/main.js. */
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
