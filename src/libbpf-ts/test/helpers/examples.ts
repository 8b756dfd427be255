// SPDX-License-Identifier: MIT
/** The examples as a user runs them: compiled, and with the built package. */
import { dirname, join } from 'node:path';

import { compile, Example } from './machine';

/** Their directory. */
export const EXAMPLES = join(__dirname, '..', '..', 'examples');

/** Compiles NAME.bpf.c and runs NAME.ts beside the object. @param wrapper as of {@link Example} */
export const startExample = (name: string, args: readonly string[] = [], wrapper: readonly string[] = []): Example =>
  new Example(dirname(compile(name, EXAMPLES)), join(EXAMPLES, `${name}.ts`), args, wrapper);
