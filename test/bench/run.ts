// SPDX-License-Identifier: MIT
/** `make bench` and `make bench-quick`: measures, prints tables, writes docs/benchmarks.*. --help says more. */
import * as path from 'node:path';

import { ROOT } from '../helpers/cli';
import type { Sample } from './measures/measure';
import { removeAll } from './open-things';
import { parseOptions, usage, type Options } from './options';
import { experiments, SECTIONS } from './plan';
import { writeResults } from './report/document';
import { BUSY, describeMachine, load, machineText } from './report/machine';
import { format, sectionTable } from './report/table';
import { verdict } from './report/verdict';
import { field } from './systems/field';

function say({ section, load, system, round, values }: Sample): void {
  const column = SECTIONS.find(({ id }) => id === section)?.value;
  const value = column ? `${format(values[column.key] ?? NaN, column.digits)} ${column.heading}` : '';
  console.error(`  ${round + 1}  ${section.padEnd(9)} ${load.padEnd(24)} ${system.padEnd(16)} ${value}`);
}

async function bench(options: Options): Promise<void> {
  const start = performance.now();
  const loadBefore = load();
  if (loadBefore > BUSY)
    console.error(`bench: the machine is busy already (load average ${loadBefore}): figures will spread`);
  const samples: Sample[] = [];
  for (const experiment of experiments(options, field(options))) samples.push(...(await experiment.run(say)));
  const machine = describeMachine(loadBefore, (performance.now() - start) / 1000);
  console.log(machineText(machine));
  for (const section of SECTIONS.filter(({ id }) => samples.some((sample) => sample.section === id))) {
    console.log(`\n${section.title}\n\n${sectionTable(section, samples)}`);
  }
  console.log(`\nWhat was promised, as far as it was measured\n\n${verdict(samples)}`);
  if (options.out === null) return;
  writeResults(options.out, path.join(ROOT, 'docs', 'benchmarks.md'), SECTIONS, { machine, samples });
  console.log(`\nwritten: ${options.out}/benchmarks.md, benchmarks.json, benchmarks-*.svg`);
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2), ROOT);
  if (options === 'help') return console.log(usage);
  if (process.geteuid?.() !== 0) throw new Error('needs root: it makes network namespaces');
  await bench(options);
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    removeAll();
    process.exit(130);
  });
}

main()
  .catch((error: Error) => {
    console.error(`bench: ${error.message}`);
    process.exitCode = 1;
  })
  .finally(removeAll);
