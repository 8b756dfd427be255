// SPDX-License-Identifier: MIT
/**
 * `run-tests.ts unit|kernel|kernel-long|kernel-alone ...`: runs the groups of tests through tap, shows what happens,
 * and ends with the line `N passed, N failed`. The count is of assertions that really ran. Exit status 1 if anything
 * failed or nothing ran.
 */
import { groups, isGroupName } from './report/groups';
import { runGroup } from './report/run-group';
import { add, closingLine, nothing } from './report/tally';

async function main(names: readonly string[]): Promise<number> {
  let total = nothing();
  for (const name of names) {
    if (!isGroupName(name)) throw new Error(`there is no group ${name}; there are: ${Object.keys(groups).join(', ')}`);
    total = add(total, await runGroup(name));
  }
  console.log(closingLine(total));
  return total.failed === 0 && total.passed > 0 ? 0 : 1;
}

main(process.argv.slice(2)).then(
  (code) => (process.exitCode = code),
  (error: Error) => {
    console.error(`run-tests: ${error.message}`);
    process.exitCode = 1;
  },
);
